/**
 * @file The graph that decoding runs, lowered with the weights inside: one step of a causal model on top of its state.
 * Prefill, decoding and scoring are the same graph with other sizes. A plan is plain data, so it can go to another thread.
 */
import { ConfigError, ShapeError } from '../base/errors.ts';
import type { DType, HostTensor } from '../base/host-tensor.ts';
import { sub } from '../graph/ops/arithmetic.ts';
import { gather, takeAlongAxis } from '../graph/ops/indexing.ts';
import { flattenRows, reshape } from '../graph/ops/movement.ts';
import { logSumExp } from '../graph/ops/reduction.ts';
import { input } from '../graph/ops/source.ts';
import { addDims, dim, type Shape, SymbolicDim } from '../graph/shape.ts';
import type { Tensor } from '../graph/tensor.ts';
import type { CausalLanguageModel, StateSpec } from '../models/language-model.ts';
import { type EncodedModel, encodeWithExternalData, graphOf } from '../runtime/program.ts';

/** Where the rows of a batch lie in one tensor of the state. */
export interface StateLayout {
	readonly name: string;
	readonly dtype: DType;
	/** Sizes in `batch` and `past`. */
	readonly shape: Shape;
	readonly batchAxis: number;
}

export interface DecoderPlan {
	readonly vocabSize: number;
	readonly maxLength: number | undefined;
	readonly states: readonly StateLayout[];
	/** For batches in which every cached token is real. */
	readonly plain: EncodedModel;
	/** For batches with padding: takes `attentionMask` as well. */
	readonly masked: EncodedModel;
	/** Bytes of all weights. */
	readonly weightBytes: number;
}

/** Names of the tensors that a step takes and gives. */
export const STEP = {
	/** int32 [batch, time] */
	tokens: 'tokens',
	/** int32 [batch, time] */
	positions: 'positions',
	/** bool [batch, past + time] */
	attentionMask: 'attentionMask',
	/** int32 [scored]: which of the batch * time hidden states get logits. */
	scored: 'scored',
	/** int32 [scored]: the token whose log-probability is wanted at each of them. */
	labels: 'labels',
	/** float32 [scored, vocab] */
	logits: 'logits',
	/** float32 [scored] */
	labelLogprobs: 'labelLogprobs',
	stateIn: (name: string) => `state.${name}`,
	stateOut: (name: string) => `next.${name}`,
} as const;

/** The outputs of one step as a graph; parameters are inputs. */
export function stepGraph(
	model: CausalLanguageModel,
	{ masked }: { readonly masked: boolean },
): Record<string, Tensor> {
	const [batch, time, past, count] = [dim('batch'), dim('time'), dim('past'), dim('scored')];
	const tokens = input(STEP.tokens, 'int32', [batch, time]);
	const positions = input(STEP.positions, 'int32', [batch, time]);
	const scored = input(STEP.scored, 'int32', [count]);
	const labels = input(STEP.labels, 'int32', [count]);
	const state = model.stateSpecs.map(({ name, dtype, shape }) => input(STEP.stateIn(name), dtype, shape));
	const step = model.step({
		tokens,
		positions,
		state,
		...(masked && { attentionMask: input(STEP.attentionMask, 'bool', [batch, addDims(past, time)]) }),
	});
	if (step.state.length !== state.length) {
		throw new ShapeError('a step gives back another number of state tensors than it takes', {
			expected: `${state.length}`,
			found: `${step.state.length}`,
		});
	}
	const logits = model.logits(gather(flattenRows(step.hidden), scored, 0));
	const labelLogits = reshape(takeAlongAxis(logits, reshape(labels, [count, 1]), 1), [count]);
	const next = step.state.map((tensor, i) => [STEP.stateOut((model.stateSpecs[i] as StateSpec).name), tensor] as const);
	return {
		[STEP.logits]: logits,
		[STEP.labelLogprobs]: sub(labelLogits, logSumExp(logits, { axis: 1 })),
		...Object.fromEntries(next),
	};
}

/**
 * Lowers a model and its weights for decoding.
 * @param weights by graph input name, as ParameterTree.initialize gives them
 * @throws ConfigError when a weight is missing, ShapeError when one does not fit
 */
export function planDecoder(model: CausalLanguageModel, weights: ReadonlyMap<string, HostTensor>): DecoderPlan {
	const bound = new Map<string, HostTensor>();
	for (const { name } of model.parameters.all) {
		const value = weights.get(name);
		if (value === undefined) throw new ConfigError(`the weights have no tensor "${name}"`);
		bound.set(name, value);
	}
	const encode = (masked: boolean): EncodedModel =>
		encodeWithExternalData(graphOf(stepGraph(model, { masked })), { bound });
	return {
		vocabSize: model.vocabSize,
		maxLength: model.maxLength,
		states: model.stateSpecs.map(layoutOf),
		plain: encode(false),
		masked: encode(true),
		weightBytes: [...bound.values()].reduce((total, { data }) => total + data.byteLength, 0),
	};
}

/** Restores what sending a plan to another thread takes away: the class of its symbolic sizes. */
export function revivePlan(plan: DecoderPlan): DecoderPlan {
	const shape = (sizes: Shape): Shape =>
		sizes.map((size) => (typeof size === 'number' ? size : new SymbolicDim(size.terms)));
	const model = (encoded: EncodedModel): EncodedModel => ({
		...encoded,
		inputs: encoded.inputs.map((value) => ({ ...value, shape: shape(value.shape) })),
		outputs: encoded.outputs.map((value) => ({ ...value, shape: shape(value.shape) })),
	});
	return {
		...plan,
		states: plan.states.map((state) => ({ ...state, shape: shape(state.shape) })),
		plain: model(plan.plain),
		masked: model(plan.masked),
	};
}

function layoutOf({ name, dtype, shape }: StateSpec): StateLayout {
	const batchAxis = shape.findIndex((size) => typeof size !== 'number' && size.key === 'batch');
	if (batchAxis < 0) {
		throw new ShapeError(`the state "${name}" has no batch axis`, { expected: 'one axis of size dim("batch")' });
	}
	return { name, dtype, shape, batchAxis };
}
