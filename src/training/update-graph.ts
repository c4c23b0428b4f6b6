/** @file The graph of one optimizer step: gradient norm, clipping, the update of every parameter, moving averages. */
import { add, addAll, div, minimum, mul } from '../graph/ops/arithmetic.ts';
import { isInf, isNan, logicalNot, logicalOr, where } from '../graph/ops/compare.ts';
import { reshape } from '../graph/ops/movement.ts';
import { sumSquare } from '../graph/ops/reduction.ts';
import { input, scalar } from '../graph/ops/source.ts';
import { sqrt } from '../graph/ops/unary.ts';
import { scan } from '../graph/scan.ts';
import { staticShape } from '../graph/shape.ts';
import type { Tensor } from '../graph/tensor.ts';
import type { ParameterSpec } from '../nn/parameters.ts';
import { fullShape } from '../nn/parameters.ts';
import type { Optimizer, UpdateResult } from './optimizer.ts';

/** Against division by zero in the clip factor; PyTorch's value. */
const CLIP_EPSILON = 1e-6;
/** Elements updated at a time: the parameter, its gradient and two moments then stay in a core's second-level cache. */
const PIECE_ELEMENTS = 32768;
/** Smaller tensors fit the cache whole. */
const PIECED_ELEMENTS = 4 * PIECE_ELEMENTS;

/** A tensor that lives on between steps: the graph input it is read from and the value it gets. */
export interface Slot {
	/** Name of the graph input, and of the tensor wherever it is stored. */
	readonly name: string;
	readonly kind: 'parameter' | 'state' | 'ema';
	readonly spec: ParameterSpec;
	/** Name of the graph output with the next value. It has the same elements, perhaps in another shape. */
	readonly output: string;
	/** Shape of the graph input. */
	readonly inputShape: readonly number[];
	/** Shape of the graph output. */
	readonly outputShape: readonly number[];
}

export interface UpdateGraph {
	readonly outputs: Readonly<Record<string, Tensor>>;
	readonly slots: readonly Slot[];
	readonly gradientNorm: Tensor;
}

export interface UpdateOptions {
	readonly optimizer: Optimizer;
	readonly specs: readonly ParameterSpec[];
	/** Of the specs in order; sums over the step's micro-batches, already divided by the number of labels. */
	readonly gradients: readonly Tensor[];
	/** Largest global norm; undefined does not clip. */
	readonly clip: number | undefined;
	/** Keep an exponential moving average of the parameters; its decay is the scalar `emaDecay`. */
	readonly ema: boolean;
	/** The gradients are multiplied by the scalar `lossScale`; undo that, and change nothing where they are not finite. */
	readonly scaled: boolean;
	/** Update large tensors piece by piece in the cache. Default true. */
	readonly pieces?: boolean;
}

/** Name of the graph input of a step's scalar. */
export function scalarName(name: string): string {
	return `scalar.${name}`;
}

/** Builds the update of all parameters. Outputs: `gradientNorm` (before clipping) and one for each slot. */
export function buildUpdate(options: UpdateOptions): UpdateGraph {
	const { optimizer, specs, clip, ema, scaled } = options;
	const scalars = Object.fromEntries(
		Object.keys(optimizer.scalars({ step: 1, factor: 1 })).map((name) => [name, scalarInput(name)]),
	);
	const unscale = scaled ? div(scalar(1), scalarInput('lossScale')) : undefined;
	const scaledNorm = globalNorm(options.gradients);
	const gradientNorm = unscale === undefined ? scaledNorm : mul(scaledNorm, unscale);
	const finite = scaled ? logicalNot(logicalOr(isNan(scaledNorm), isInf(scaledNorm))) : undefined;
	let factor = unscale;
	if (clip !== undefined) {
		const clipFactor = minimum(div(scalar(clip), add(gradientNorm, CLIP_EPSILON)), 1);
		factor = factor === undefined ? clipFactor : mul(factor, clipFactor);
	}
	const emaDecay = ema ? scalarInput('emaDecay') : undefined;
	const emaShare = ema ? scalarInput('emaShare') : undefined;
	const outputs: Record<string, Tensor> = { gradientNorm };
	const slots: Slot[] = [];
	specs.forEach((spec, i) => {
		const rule = optimizer.rule(spec);
		const full = fullShape(spec);
		const pieced = rule.elementwise && options.pieces !== false ? pieceShape(full) : undefined;
		const shape = pieced ?? full;
		const names: Pick<Slot, 'name' | 'kind'>[] = [
			{ name: spec.name, kind: 'parameter' },
			...rule.slots.map((slot) => ({ name: `${slot}.${spec.name}`, kind: 'state' as const })),
			...(ema ? [{ name: `ema.${spec.name}`, kind: 'ema' as const }] : []),
		];
		const old = names.map(({ name, kind }) =>
			kind === 'parameter' ? reshape(spec.tensor, shape) : input(name, 'float32', shape),
		);
		const update = ([gradient, parameter, ...rest]: readonly Tensor[]): readonly Tensor[] => {
			const state = rest.slice(0, rule.slots.length);
			const clipped = factor === undefined ? (gradient as Tensor) : mul(gradient as Tensor, factor);
			const result: UpdateResult = rule.update({ parameter: parameter as Tensor, gradient: clipped, state, scalars });
			const next = [result.parameter, ...result.state];
			if (emaDecay !== undefined && emaShare !== undefined) {
				next.push(add(mul(rest.at(-1) as Tensor, emaDecay), mul(result.parameter, emaShare)));
			}
			if (finite === undefined) return next;
			return next.map((value, j) => where(finite, value, [parameter, ...rest][j] as Tensor));
		};
		const read = [reshape(options.gradients[i] as Tensor, shape), ...old];
		const next =
			pieced === undefined
				? update(read)
				: scan([], read, (_, slices) => ({ carry: [], stacked: update(slices) })).stacked;
		names.forEach(({ name, kind }, j) => {
			const output = `next.${name}`;
			const tensor = next[j] as Tensor;
			outputs[output] = tensor;
			const inputShape = kind === 'parameter' ? full : shape;
			slots.push({ name, kind, spec, output, inputShape, outputShape: staticShape(tensor.shape, 'a parameter') });
		});
	});
	return { outputs, slots, gradientNorm };
}

function scalarInput(name: string): Tensor {
	return input(scalarName(name), 'float32', []);
}

/** Root of the sum of squares over all tensors. */
function globalNorm(gradients: readonly Tensor[]): Tensor {
	// A reduction of a scalar over no axes is the scalar itself, so that one is squared by hand.
	return sqrt(
		addAll(gradients.map((gradient) => (gradient.rank === 0 ? mul(gradient, gradient) : sumSquare(gradient)))),
	);
}

/**
 * [pieces, elements] with pieces of about PIECE_ELEMENTS, or undefined where the tensor is small or has no divisor near it.
 */
export function pieceShape(shape: readonly number[]): readonly [number, number] | undefined {
	const count = shape.reduce((a, b) => a * b, 1);
	if (count < PIECED_ELEMENTS) return undefined;
	const ideal = Math.round(count / PIECE_ELEMENTS);
	for (let distance = 0; distance <= ideal / 2; distance++) {
		for (const pieces of [ideal - distance, ideal + distance]) {
			if (count % pieces === 0) return [pieces, count / pieces];
		}
	}
	return undefined;
}
