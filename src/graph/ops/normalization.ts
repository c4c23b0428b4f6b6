/** @file Softmax, log-softmax, layer norm, RMS norm, over the last axis. */
import { ShapeError } from '../../base/errors.ts';
import { apply, apply1, defineOp, type OpDefinition } from '../op.ts';
import { forEachLine, type NDArray, ndarray } from '../reference.ts';
import { type Dim, formatShape } from '../shape.ts';
import { isFloat, type Tensor, type TensorType } from '../tensor.ts';
import { add, mul, sub } from './arithmetic.ts';
import { mean, sum } from './reduction.ts';
import { exp, rsqrt } from './unary.ts';

function requireFloat({ dtype, shape }: TensorType): void {
	if (!isFloat(dtype) || shape.length === 0) {
		throw new ShapeError('needs a float tensor with at least one axis', { found: `${dtype}${formatShape(shape)}` });
	}
}

function overLastAxis(x: NDArray, compute: (line: Float64Array) => Float64Array): NDArray {
	const result = ndarray(x.dtype, x.dims);
	forEachLine(x.dims, x.dims.length - 1, (offset, _stride, length) => {
		result.data.set(compute(x.data.slice(offset, offset + length)), offset);
	});
	return result;
}

function logSumExpOf(line: Float64Array): number {
	const top = line.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
	return top + Math.log(line.reduce((total, value) => total + Math.exp(value - top), 0));
}

const softmaxOp = defineOp<null>({
	name: 'softmax',
	infer: ([x]) => {
		requireFloat(x!);
		return [x!];
	},
	gradient: ({ outputs: [y] }, [dy]) => {
		if (dy === undefined) return [undefined];
		const weighted = mul(dy, y!);
		return [sub(weighted, mul(y!, sum(weighted, { axis: -1, keepDims: true })))];
	},
	lower: (emitter, inputs) => [emitter.node('Softmax', inputs, { attributes: { axis: -1 } })],
	reference: ([x]) => [overLastAxis(x!, (line) => line.map((value) => Math.exp(value - logSumExpOf(line))))],
	samples: [
		{ inputs: [{ dims: [3, 5] }], attributes: null },
		{ inputs: [{ dims: [2, 2, 4], range: [-30, 30] }], attributes: null },
	],
});

const logSoftmaxOp = defineOp<null>({
	name: 'logSoftmax',
	infer: softmaxOp.infer,
	gradient: ({ outputs: [y] }, [dy]) => [dy && sub(dy, mul(exp(y!), sum(dy, { axis: -1, keepDims: true })))],
	lower: (emitter, inputs) => [emitter.node('LogSoftmax', inputs, { attributes: { axis: -1 } })],
	reference: ([x]) => [
		overLastAxis(x!, (line) => {
			const total = logSumExpOf(line);
			return line.map((value) => value - total);
		}),
	],
	samples: [
		{ inputs: [{ dims: [3, 5] }], attributes: null },
		{ inputs: [{ dims: [2, 4], range: [-30, 30] }], attributes: null },
	],
});

/** Softmax over the last axis. */
export const softmax = (x: Tensor): Tensor => apply1(softmaxOp, [x], null);
/** Logarithm of softmax over the last axis. */
export const logSoftmax = (x: Tensor): Tensor => apply1(logSoftmaxOp, [x], null);

export interface NormAttributes {
	readonly epsilon: number;
}

function inferNorm(inputs: readonly TensorType[]): void {
	const [x, ...affine] = inputs;
	requireFloat(x!);
	for (const { shape } of affine) {
		if (shape.length !== 1 || String(shape[0]) !== String(x!.shape[x!.shape.length - 1] as Dim)) {
			throw new ShapeError('scale and bias must cover the last axis', {
				expected: `[${x!.shape[x!.shape.length - 1]}]`,
				found: formatShape(shape),
			});
		}
	}
}

const statistics = (x: TensorType) => ({ dtype: x.dtype, shape: [...x.shape.slice(0, -1), 1] });

/** Outputs: y, mean and 1/sqrt(variance + eps) of each row (kept for the gradient). */
const layerNormOp: OpDefinition<NormAttributes> = defineOp<NormAttributes>({
	name: 'layerNorm',
	infer: (inputs) => {
		inferNorm(inputs);
		return [inputs[0]!, statistics(inputs[0]!), statistics(inputs[0]!)];
	},
	gradient: ({ inputs: [x, weight, bias], outputs: [, mu, rstd], needs }, [dy]) => {
		if (dy === undefined) return [];
		const normalized = mul(sub(x!, mu!), rstd!);
		const scaled = mul(dy, weight!);
		const dx = mul(
			rstd!,
			sub(
				sub(scaled, mean(scaled, { axis: -1, keepDims: true })),
				mul(normalized, mean(mul(scaled, normalized), { axis: -1, keepDims: true })),
			),
		);
		const rows = leadingAxes(x!);
		return [
			needs(0) ? dx : undefined,
			needs(1) ? sum(mul(dy, normalized), { axis: rows }) : undefined,
			bias && needs(2) ? sum(dy, { axis: rows }) : undefined,
		];
	},
	lower: (emitter, inputs, { attributes: { epsilon } }) =>
		emitter.nodes('LayerNormalization', inputs, { outputs: 3, attributes: { axis: -1, epsilon: { float: epsilon } } }),
	reference: ([x, weight, bias], { epsilon }) => {
		const [mu, rstd] = [meanRows(x!), ndarray(x!.dtype, [...x!.dims.slice(0, -1), 1])];
		const y = ndarray(x!.dtype, x!.dims);
		forEachLine(x!.dims, x!.dims.length - 1, (offset, _stride, length, line) => {
			let variance = 0;
			for (let i = 0; i < length; i++) variance += (x!.data[offset + i]! - mu.data[line]!) ** 2 / length;
			rstd.data[line] = 1 / Math.sqrt(variance + epsilon);
			for (let i = 0; i < length; i++) {
				y.data[offset + i] =
					(x!.data[offset + i]! - mu.data[line]!) * rstd.data[line]! * weight!.data[i]! + (bias?.data[i] ?? 0);
			}
		});
		return [y, mu, rstd];
	},
	samples: [
		{ inputs: [{ dims: [2, 3, 8] }, { dims: [8] }, { dims: [8] }], attributes: { epsilon: 1e-5 }, tolerance: 5e-4 },
		{ inputs: [{ dims: [4, 8] }, { dims: [8] }], attributes: { epsilon: 1e-3 }, tolerance: 5e-4 },
	],
});

function meanRows(x: NDArray): NDArray {
	const result = ndarray(x.dtype, [...x.dims.slice(0, -1), 1]);
	forEachLine(x.dims, x.dims.length - 1, (offset, _stride, length, line) => {
		for (let i = 0; i < length; i++) result.data[line]! += x.data[offset + i]! / length;
	});
	return result;
}

const leadingAxes = (x: Tensor): number[] => Array.from({ length: x.rank - 1 }, (_, axis) => axis);

const rmsNormOp: OpDefinition<NormAttributes> = defineOp<NormAttributes>({
	name: 'rmsNorm',
	infer: (inputs) => {
		inferNorm(inputs);
		return [inputs[0]!];
	},
	gradient: ({ inputs: [x, weight], attributes: { epsilon }, needs }, [dy]) => {
		if (dy === undefined) return [];
		// Computed again here: the engine's second output is not the same on every device.
		const rstd = rsqrt(add(mean(mul(x!, x!), { axis: -1, keepDims: true }), epsilon));
		const normalized = mul(x!, rstd);
		const scaled = mul(dy, weight!);
		const along = mean(mul(scaled, normalized), { axis: -1, keepDims: true });
		return [
			needs(0) ? mul(rstd, sub(scaled, mul(normalized, along))) : undefined,
			needs(1) ? sum(mul(dy, normalized), { axis: leadingAxes(x!) }) : undefined,
		];
	},
	lower: (emitter, inputs, { attributes: { epsilon }, inputs: types }) => {
		if (emitter.contributed) {
			const attributes = { axis: -1, epsilon: { float: epsilon } };
			return [emitter.node('SimplifiedLayerNormalization', inputs, { attributes })];
		}
		const [x, weight] = inputs as [string, string];
		const square = emitter.node('ReduceMean', [emitter.node('Mul', [x, x]), emitter.integers([-1])]);
		const root = emitter.node('Sqrt', [emitter.node('Add', [square, emitter.scalar(types[0]!.dtype, epsilon)])]);
		return [emitter.node('Mul', [emitter.node('Div', [x, root]), weight])];
	},
	reference: ([x, weight], { epsilon }) => {
		const y = ndarray(x!.dtype, x!.dims);
		forEachLine(x!.dims, x!.dims.length - 1, (offset, _stride, length) => {
			let square = 0;
			for (let i = 0; i < length; i++) square += x!.data[offset + i]! ** 2 / length;
			const rstd = 1 / Math.sqrt(square + epsilon);
			for (let i = 0; i < length; i++) y.data[offset + i] = x!.data[offset + i]! * rstd * weight!.data[i]!;
		});
		return [y];
	},
	samples: [{ inputs: [{ dims: [2, 3, 8] }, { dims: [8] }], attributes: { epsilon: 1e-6 }, tolerance: 5e-4 }],
});

/** Layer normalisation over the last axis (Ba et al. 2016), biased variance: x [..., dim], weight and bias [dim]. */
export function layerNorm(x: Tensor, weight: Tensor, bias: Tensor | undefined, epsilon = 1e-5): Tensor {
	return apply(layerNormOp, bias === undefined ? [x, weight] : [x, weight, bias], { epsilon })[0] as Tensor;
}

/** `x / sqrt(mean(x^2) + eps) * weight` over the last axis (Zhang & Sennrich 2019): x [..., dim], weight [dim]. */
export function rmsNorm(x: Tensor, weight: Tensor, epsilon = 1e-6): Tensor {
	return apply1(rmsNormOp, [x, weight], { epsilon });
}
