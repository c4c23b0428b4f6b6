/**
 * @file A stack of layers, one after the other or as one loop over stacked parameters. The loop keeps the graph small at
 * any depth; the chain is faster for shallow models. Both have the same parameters and give the same numbers.
 */
import { ShapeError } from '../base/errors.ts';
import { checkpoint } from '../graph/checkpoint.ts';
import { arange } from '../graph/ops/ranges.ts';
import { sum } from '../graph/ops/reduction.ts';
import { input } from '../graph/ops/source.ts';
import { scan } from '../graph/scan.ts';
import { type Dim, dim, type Shape } from '../graph/shape.ts';
import type { Tensor } from '../graph/tensor.ts';
import type { LayerState } from './layer-context.ts';
import { ParameterScope, type ParameterSpec, type ParameterTree, specOf } from './parameters.ts';
import type { Pass } from './pass.ts';

/** What a layer reads beside its input while decoding. */
export interface LayerInputs {
	/** Growing states, in the order of `states`; absent in a full pass. */
	readonly state?: readonly Tensor[];
	/** Keys and values of the source, made once a text; absent in a full pass. */
	readonly memory?: readonly Tensor[];
}

export interface LayerOutputs {
	/** [batch, time, dim]. */
	readonly x: Tensor;
	readonly state: readonly Tensor[];
	readonly auxiliaryLosses: readonly Tensor[];
}

/** One layer whose parameters exist. */
export interface Layer {
	readonly states: readonly LayerState[];
	readonly apply: (x: Tensor, pass: Pass, inputs: LayerInputs) => LayerOutputs;
	/** Tensors a decoder keeps of an encoder output [batch, source, dim]; empty without cross-attention. */
	readonly memory: (hidden: Tensor) => readonly Tensor[];
	readonly flops: (contextLength: number, sourceLength: number) => number;
}

/** A state tensor of the whole stack. */
export interface StackState {
	readonly name: string;
	readonly shape: Shape;
	readonly growsAlong?: number;
}

export interface LayerStack {
	readonly states: readonly StackState[];
	readonly apply: (x: Tensor, pass: Pass, inputs?: LayerInputs) => LayerOutputs;
	readonly memory: (hidden: Tensor) => readonly Tensor[];
	readonly flops: (contextLength: number, sourceLength: number) => number;
}

export interface LayerStackOptions {
	readonly tree: ParameterTree;
	readonly scope: ParameterScope;
	/** Parameters are named `<name>.0.`, `<name>.1.` ... */
	readonly name: string;
	readonly count: number;
	readonly mode: 'scan' | 'unroll';
	/** Keep only the input of every layer for the backward pass and compute its inside again. */
	readonly checkpointing: boolean;
	/** Makes one layer; `index` is undefined in a loop, where all layers are equal. */
	readonly build: (scope: ParameterScope, index: number | undefined) => Layer;
}

/** Builds the stack; parameters are made once, `apply` may be called any number of times. */
export function layerStack(options: LayerStackOptions): LayerStack {
	return options.mode === 'scan' ? scannedStack(options) : unrolledStack(options);
}

function run(layer: Layer, x: Tensor, pass: Pass, inputs: LayerInputs, checkpointing: boolean): LayerOutputs {
	if (!checkpointing || inputs.state !== undefined) return layer.apply(x, pass, inputs);
	const [y, ...auxiliaryLosses] = checkpoint([x], (again) => {
		const result = layer.apply(again as Tensor, pass, inputs);
		return [result.x, ...result.auxiliaryLosses];
	});
	return { x: y as Tensor, state: [], auxiliaryLosses };
}

function unrolledStack({ scope, name, count, build, checkpointing }: LayerStackOptions): LayerStack {
	const layers = Array.from({ length: count }, (_, index) => build(scope.child(`${name}.${index}`), index));
	return {
		states: layers.flatMap(({ states }, index) =>
			states.map((state) => ({ ...stackState(state, []), name: `${name}.${index}.${state.name}` })),
		),
		apply: (x, pass, inputs = {}) => {
			const [state, memory] = [[...(inputs.state ?? [])], [...(inputs.memory ?? [])]];
			const outputs: LayerOutputs[] = [];
			layers.forEach((layer, index) => {
				const here = {
					...(inputs.state && { state: state.splice(0, layer.states.length) }),
					...(inputs.memory && { memory: memory.splice(0, inputs.memory.length / count) }),
				};
				outputs.push(run(layer, outputs.at(-1)?.x ?? x, pass.inLayer(index), here, checkpointing));
			});
			return {
				x: outputs.at(-1)?.x ?? x,
				state: outputs.flatMap((output) => output.state),
				auxiliaryLosses: outputs.flatMap((output) => output.auxiliaryLosses),
			};
		},
		memory: (hidden) => layers.flatMap((layer) => layer.memory(hidden)),
		flops: (contextLength, sourceLength) =>
			layers.reduce((total, layer) => total + layer.flops(contextLength, sourceLength), 0),
	};
}

function scannedStack({ tree, scope, name, count, build, checkpointing }: LayerStackOptions): LayerStack {
	const full = scope.prefix === '' ? name : `${scope.prefix}.${name}`;
	const specs: ParameterSpec[] = [];
	const prototype = build(
		ParameterScope.from((local, shape, initializer, hints) => {
			const stackedName = `${full}.*.${local}`;
			const tensor = input(stackedName, 'float32', [count, ...shape]);
			const spec = { ...specOf(stackedName, shape, initializer, hints, tensor), stacked: count };
			specs.push(spec);
			tree.add(spec);
			// Only the shape of this tensor is used: the loop body gets slices instead.
			return input(`${full}.layer.${local}`, 'float32', shape);
		}),
		undefined,
	);
	/** The layer with its parameters read from slices of the stacked ones. */
	const rebuild = (slices: readonly Tensor[]): Layer => {
		const byName = new Map(specs.map((spec, i) => [spec.name, slices[i] as Tensor]));
		return build(
			ParameterScope.from((local) => {
				const slice = byName.get(`${full}.*.${local}`);
				if (slice === undefined) throw new ShapeError(`a layer makes the parameter "${local}" only sometimes`);
				return slice;
			}),
			undefined,
		);
	};
	const weights = specs.map((spec) => spec.tensor);
	return {
		states: prototype.states.map((state) => ({ ...stackState(state, [count]), name: `${name}.*.${state.name}` })),
		apply: (x, pass, inputs = {}) => {
			const indices = arange(0, count, 'int32');
			const [state, memory] = [inputs.state ?? [], inputs.memory ?? []];
			const { carry, stacked } = scan([x], [...weights, indices, ...state, ...memory], ([current], slices) => {
				const layer = rebuild(slices.slice(0, specs.length));
				const [index, ...rest] = slices.slice(specs.length) as [Tensor, ...Tensor[]];
				const here = {
					...(inputs.state && { state: rest.slice(0, state.length) }),
					...(inputs.memory && { memory: rest.slice(state.length) }),
				};
				const result = run(layer, current as Tensor, pass.inLayer(index), here, checkpointing);
				return { carry: [result.x], stacked: [...result.state, ...result.auxiliaryLosses] };
			});
			return {
				x: carry[0] as Tensor,
				state: stacked.slice(0, state.length),
				auxiliaryLosses: stacked.slice(state.length).map((losses) => sum(losses)),
			};
		},
		memory: (hidden) => {
			const { stacked } = scan([], weights, (_, slices) => ({ carry: [], stacked: rebuild(slices).memory(hidden) }));
			return stacked;
		},
		flops: (contextLength, sourceLength) => count * prototype.flops(contextLength, sourceLength),
	};
}

function stackState({ name, shape, growsAlong }: LayerState, leading: readonly number[]): StackState {
	const sizes: Dim[] = shape.map((size) => (typeof size === 'number' ? size : dim(size)));
	return {
		name,
		shape: [...leading, ...sizes],
		...(growsAlong !== undefined && { growsAlong: growsAlong + leading.length }),
	};
}
