/** @file Pieces of quantisation: scales, rounding with a straight-through gradient, 8-bit integers and their product. */
import { ShapeError } from '../../base/errors.ts';
import type { DType } from '../../base/host-tensor.ts';
import { straightThrough } from '../alias.ts';
import { apply1, defineOp } from '../op.ts';
import { mapN, type NDArray } from '../reference.ts';
import { broadcastShapes, type Dim, dimsEqual, formatShape, normalizeAxis, type Shape } from '../shape.ts';
import type { Tensor, TensorType } from '../tensor.ts';
import { clamp } from './arithmetic.ts';
import { matmulReference } from './matmul.ts';
import { max, type ReduceOptions } from './reduction.ts';
import { abs, round } from './unary.ts';

/** Largest absolute value over axes (all of them by default). */
export function absMax(x: Tensor, options: ReduceOptions = {}): Tensor {
	return max(abs(x), options);
}

export interface RoundClampOptions {
	/** `identity`: the gradient passes everywhere (default); `inside`: only where `x` is within the limits. */
	readonly gradient?: 'identity' | 'inside';
}

/** `x` rounded (halves to even) and limited to [low, high], with a straight-through gradient (Bengio et al. 2013). */
export function roundClamp(
	x: Tensor,
	low: number,
	high: number,
	{ gradient = 'identity' }: RoundClampOptions = {},
): Tensor {
	return straightThrough(clamp(round(x), low, high), gradient === 'identity' ? x : clamp(x, low, high));
}

type Quantized = 'int8' | 'uint8';
const LIMITS: Readonly<Record<Quantized, readonly [number, number]>> = { int8: [-128, 127], uint8: [0, 255] };

interface QuantizeAttributes {
	readonly to: Quantized;
	/** Axis that a vector of scales belongs to. */
	readonly axis: number;
}

function requireScale(x: TensorType, scale: TensorType, axis: number): void {
	const fits =
		scale.shape.length === 0 || (scale.shape.length === 1 && dimsEqual(scale.shape[0]!, x.shape[axis] as Dim));
	if (!fits || scale.dtype !== 'float32') {
		throw new ShapeError('the scale does not fit', {
			expected: `float32[] or float32[${x.shape[axis]}]`,
			found: `${scale.dtype}${formatShape(scale.shape)}`,
		});
	}
}

/** Scale with size-1 axes so that it broadcasts along `axis`. */
function aligned(scale: NDArray, rank: number, axis: number): NDArray {
	if (scale.dims.length === 0) return scale;
	return { ...scale, dims: Array.from({ length: rank }, (_, i) => (i === axis ? (scale.dims[0] as number) : 1)) };
}

function halfEven(x: number): number {
	const floor = Math.floor(x);
	return x - floor === 0.5 ? floor + (Math.abs(floor) % 2) : Math.round(x);
}

const quantizeOp = defineOp<QuantizeAttributes>({
	name: 'quantizeLinear',
	infer: ([x, scale], { to, axis }) => {
		if (x!.dtype !== 'float32') throw new ShapeError('quantizeLinear is for float32', { found: x!.dtype });
		requireScale(x!, scale!, axis);
		return [{ dtype: to, shape: x!.shape }];
	},
	lower: (emitter, inputs, { attributes: { to, axis } }) => [
		emitter.node('QuantizeLinear', inputs, { attributes: { axis, output_dtype: to === 'int8' ? 3 : 2 } }),
	],
	reference: ([x, scale], { to, axis }) => {
		const [low, high] = LIMITS[to];
		return [
			mapN(to, [x!, aligned(scale!, x!.dims.length, axis)], (value, unit) =>
				Math.min(high, Math.max(low, halfEven(Math.fround(value / unit)))),
			),
		];
	},
	samples: [
		{
			inputs: [{ dims: [3, 4] }, { dims: [], values: [0.1] }],
			attributes: { to: 'int8', axis: 0 },
			differentiable: [],
		},
		{
			inputs: [{ dims: [3, 4] }, { dims: [3], range: [0.005, 0.3] }],
			attributes: { to: 'int8', axis: 0 },
			differentiable: [],
		},
		{ inputs: [{ dims: [2, 3] }, { dims: [3], range: [0.01, 0.1] }], attributes: { to: 'uint8', axis: 1 } },
	],
});

const dequantizeOp = defineOp<{ readonly axis: number }>({
	name: 'dequantizeLinear',
	infer: ([x, scale], { axis }) => {
		if (!(['int8', 'uint8', 'int32'] as DType[]).includes(x!.dtype)) {
			throw new ShapeError('dequantizeLinear is for int8, uint8 and int32', { found: x!.dtype });
		}
		requireScale(x!, scale!, axis);
		return [{ dtype: 'float32', shape: x!.shape }];
	},
	lower: (emitter, inputs, { attributes: { axis } }) => [
		emitter.node('DequantizeLinear', inputs, { attributes: { axis } }),
	],
	reference: ([x, scale], { axis }) => [
		mapN('float32', [x!, aligned(scale!, x!.dims.length, axis)], (value, unit) => value * unit),
	],
	samples: [
		{
			inputs: [
				{ dims: [3, 4], dtype: 'int8', range: [-128, 127] },
				{ dims: [], values: [0.1] },
			],
			attributes: { axis: 0 },
			differentiable: [],
		},
		{
			inputs: [
				{ dims: [3, 4], dtype: 'uint8', range: [0, 255] },
				{ dims: [4], range: [0.1, 0.3] },
			],
			attributes: { axis: 1 },
			differentiable: [],
		},
		{
			inputs: [
				{ dims: [5], dtype: 'int32', range: [-9999, 9999] },
				{ dims: [], values: [0.01] },
			],
			attributes: { axis: 0 },
			differentiable: [],
		},
	],
});

export interface QuantizeOptions {
	/** Default int8. */
	readonly to?: Quantized;
	/** Axis that a vector of scales belongs to; default the first. */
	readonly axis?: number;
}

const axisOf = (x: Tensor, axis: number, name: string): number =>
	x.rank === 0 ? 0 : normalizeAxis(axis, x.rank, name);

/**
 * `round(x / scale)` limited to the 8-bit type: x float32 [...], scale float32 [] or [size of the axis] -> int8 or uint8.
 * No gradient; for training use `roundClamp`.
 */
export function quantizeLinear(x: Tensor, scale: Tensor, { to = 'int8', axis = 0 }: QuantizeOptions = {}): Tensor {
	return apply1(quantizeOp, [x, scale], { to, axis: axisOf(x, axis, 'quantizeLinear') });
}

/** `x * scale` as float32: x int8, uint8 or int32 [...], scale float32 [] or [size of the axis]. No gradient. */
export function dequantizeLinear(x: Tensor, scale: Tensor, { axis = 0 }: { readonly axis?: number } = {}): Tensor {
	return apply1(dequantizeOp, [x, scale], { axis: axisOf(x, axis, 'dequantizeLinear') });
}

const matmulIntegerOp = defineOp<null>({
	name: 'matmulInteger',
	infer: ([a, b]) => {
		const bytes = (x: TensorType): boolean => x.dtype === 'int8' || x.dtype === 'uint8';
		const [inner, rows] = [a!.shape.at(-1), b!.shape.at(-2)];
		const batch: Shape | undefined = broadcastShapes(a!.shape.slice(0, -2), b!.shape.slice(0, -2));
		const deep = a!.shape.length >= 2 && b!.shape.length >= 2;
		if (!bytes(a!) || !bytes(b!) || !deep || !dimsEqual(inner!, rows!) || batch === undefined) {
			throw new ShapeError('8-bit matrices cannot be multiplied', {
				expected: 'int8 or uint8 [..., m, k] and [..., k, n]',
				found: `${a!.dtype}${formatShape(a!.shape)} and ${b!.dtype}${formatShape(b!.shape)}`,
			});
		}
		return [{ dtype: 'int32', shape: [...batch, a!.shape.at(-2) as Dim, b!.shape.at(-1) as Dim] }];
	},
	lower: (emitter, inputs) => [emitter.node('MatMulInteger', inputs)],
	reference: ([a, b]) => [
		{ ...matmulReference(a!, b!, { transposeA: false, transposeB: false, alpha: 1 }), dtype: 'int32' },
	],
	samples: [
		{
			inputs: [
				{ dims: [3, 8], dtype: 'int8', range: [-128, 127] },
				{ dims: [8, 4], dtype: 'int8', range: [-128, 127] },
			],
			attributes: null,
		},
		{
			inputs: [
				{ dims: [2, 3, 8], dtype: 'uint8', range: [0, 255] },
				{ dims: [8, 4], dtype: 'int8', range: [-128, 127] },
			],
			attributes: null,
		},
	],
});

/** Exact product of 8-bit matrices: a [..., m, k], b [..., k, n] -> int32 [..., m, n]. No gradient. */
export function matmulInteger(a: Tensor, b: Tensor): Tensor {
	return apply1(matmulIntegerOp, [a, b], null);
}
