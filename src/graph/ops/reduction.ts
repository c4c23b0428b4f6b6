/** @file Reductions over axes. */
import { ShapeError } from '../../base/errors.ts';
import type { HostTensor } from '../../base/host-tensor.ts';
import { apply1, defineOp, type OpDefinition, type OpSample } from '../op.ts';
import { forEachIndex, type NDArray, ndarray, stridesOf } from '../reference.ts';
import { type Dim, normalizeAxis, type Shape, sizeOf } from '../shape.ts';
import { isFloat, type Tensor, type TensorType } from '../tensor.ts';
import { div, mul, sub } from './arithmetic.ts';
import { cast } from './cast.ts';
import { equal } from './compare.ts';
import { expand, expandDims } from './movement.ts';
import { dimValue } from './ranges.ts';
import { exp } from './unary.ts';

export interface ReduceAttributes {
	/** Axes that disappear; sorted, non-negative. */
	readonly axes: readonly number[];
	/** Keep reduced axes with size 1. */
	readonly keepDims: boolean;
}

function reducedShape(x: TensorType, { axes, keepDims }: ReduceAttributes): Shape {
	const shape: Dim[] = [];
	x.shape.forEach((size, axis) => {
		if (!axes.includes(axis)) shape.push(size);
		else if (keepDims) shape.push(1);
	});
	return shape;
}

function reduceReference(
	x: NDArray,
	{ axes, keepDims }: ReduceAttributes,
	initial: number,
	step: (total: number, value: number) => number,
	finish: (total: number, count: number) => number = (total) => total,
): NDArray {
	const kept = x.dims.map((size, axis) => (axes.includes(axis) ? 1 : size));
	const result = ndarray(x.dtype, kept);
	result.data.fill(initial);
	const strides = stridesOf(kept);
	forEachIndex(x.dims, (index, flat) => {
		let at = 0;
		for (let axis = 0; axis < kept.length; axis++) {
			if (kept[axis] !== 1) at += (index[axis] as number) * (strides[axis] as number);
		}
		result.data[at] = step(result.data[at] as number, x.data[flat] as number);
	});
	const count = axes.reduce((product, axis) => product * (x.dims[axis] as number), 1);
	for (let i = 0; i < result.data.length; i++) result.data[i] = finish(result.data[i] as number, count);
	const dims = keepDims ? kept : x.dims.filter((_, axis) => !axes.includes(axis));
	return { dtype: x.dtype, dims, data: result.data };
}

type ReduceGradient = (x: Tensor, y: Tensor, dy: Tensor, attributes: ReduceAttributes) => Tensor;

const samples: readonly OpSample<ReduceAttributes>[] = [
	{ inputs: [{ dims: [2, 3, 4] }], attributes: { axes: [1], keepDims: false } },
	{ inputs: [{ dims: [2, 3, 4] }], attributes: { axes: [0, 2], keepDims: true } },
	{ inputs: [{ dims: [5] }], attributes: { axes: [0], keepDims: false } },
	{ inputs: [{ dims: [3, 4] }], attributes: { axes: [0], keepDims: false } },
	{ inputs: [{ dims: [5, 16, 3], range: [-1, 1] }], attributes: { axes: [0, 1], keepDims: false } },
	{ inputs: [{ dims: [70, 2, 3], range: [-1, 1] }], attributes: { axes: [0], keepDims: true } },
];

const lowerTo =
	(onnx: string): OpDefinition<ReduceAttributes>['lower'] =>
	(emitter, [x], { attributes: { axes, keepDims } }) => [
		emitter.node(onnx, [x!, emitter.integers(axes)], { attributes: { keepdims: keepDims ? 1 : 0 } }),
	];

/** Rows from which the engine's matrix product adds up columns faster than its reduction (bench/passes.ts). */
const PRODUCT_ROWS = 64;

const rowsOfOnes = new Map<number, HostTensor>();

/** One object for each length, so that a graph holds it once. */
function rowOfOnes(length: number): HostTensor {
	let row = rowsOfOnes.get(length);
	if (row === undefined) {
		row = { dtype: 'float32', dims: [1, length], data: new Float32Array(length).fill(1) };
		rowsOfOnes.set(length, row);
	}
	return row;
}

/** The sum over leading axes of many rows (gradients of biases and norms) is a product with a row of ones. */
const lowerSum: OpDefinition<ReduceAttributes>['lower'] = (emitter, [x], context) => {
	const { shape, dtype } = context.inputs[0] as Tensor;
	const { axes } = context.attributes;
	const leading = axes.length < shape.length && axes.every((axis, i) => axis === i);
	const rows = sizeOf(shape.slice(0, axes.length));
	if (!leading || dtype !== 'float32' || typeof rows !== 'number' || rows < PRODUCT_ROWS) {
		return lowerTo('ReduceSum')(emitter, [x!], context);
	}
	const columns = sizeOf(shape.slice(axes.length));
	const matrix = shape.length === 2 ? x! : emitter.node('Reshape', [x!, emitter.shape([rows, columns])]);
	const total = emitter.node('MatMul', [emitter.constant(rowOfOnes(rows)), matrix]);
	return [emitter.node('Reshape', [total, emitter.shape((context.outputs[0] as Tensor).shape)])];
};

function reduction(
	name: string,
	onnx: string,
	reference: (x: NDArray, attributes: ReduceAttributes) => NDArray,
	gradient?: ReduceGradient,
	lower: OpDefinition<ReduceAttributes>['lower'] = lowerTo(onnx),
): OpDefinition<ReduceAttributes> {
	return defineOp<ReduceAttributes>({
		name,
		infer: ([x], attributes) => [{ dtype: x!.dtype, shape: reducedShape(x!, attributes) }],
		...(gradient && {
			gradient: ({ inputs: [x], outputs: [y], attributes }, [dy]) => {
				if (dy === undefined) return [undefined];
				const restore = (t: Tensor): Tensor => (attributes.keepDims ? t : expandDims(t, attributes.axes));
				return [gradient(x!, restore(y!), restore(dy), attributes)];
			},
		}),
		lower,
		reference: ([x], attributes) => [reference(x!, attributes)],
		samples,
	});
}

const sumOp = reduction(
	'sum',
	'ReduceSum',
	(x, a) => reduceReference(x, a, 0, (t, v) => t + v),
	(x, _y, dy) => expand(dy, x.shape),
	lowerSum,
);
const meanOp = reduction(
	'mean',
	'ReduceMean',
	(x, a) =>
		reduceReference(
			x,
			a,
			0,
			(t, v) => t + v,
			(t, n) => t / n,
		),
	(x, _y, dy, { axes }) => {
		const count = sizeOf(axes.map((axis) => x.shape[axis] as Dim));
		const share = typeof count === 'number' ? mul(dy, 1 / count) : div(dy, dimValue(count, dy.dtype));
		return expand(share, x.shape);
	},
);
// Ties share the gradient equally.
const extremeGradient: ReduceGradient = (x, y, dy, { axes }) => {
	const hit = cast(equal(x, y), dy.dtype);
	return mul(hit, div(dy, apply1(sumOp, [hit], { axes, keepDims: true })));
};
const maxOp = reduction(
	'max',
	'ReduceMax',
	(x, a) => reduceReference(x, a, Number.NEGATIVE_INFINITY, Math.max),
	extremeGradient,
);
const minOp = reduction(
	'min',
	'ReduceMin',
	(x, a) => reduceReference(x, a, Number.POSITIVE_INFINITY, Math.min),
	extremeGradient,
);
const prodOp = reduction(
	'prod',
	'ReduceProd',
	(x, a) => reduceReference(x, a, 1, (t, v) => t * v),
	(x, y, dy) => div(mul(dy, y), x),
);
const sumSquareOp = reduction(
	'sumSquare',
	'ReduceSumSquare',
	(x, a) => reduceReference(x, a, 0, (t, v) => t + v * v),
	(x, _y, dy) => mul(mul(dy, 2), x),
);
const logSumExpOp = reduction(
	'logSumExp',
	'ReduceLogSumExp',
	(x, a) => reduceReference(x, a, 0, (t, v) => t + Math.exp(v), Math.log),
	(x, y, dy) => mul(dy, exp(sub(x, y))),
);

/** Axes and shape of a reduction: all axes when none are given. */
export interface ReduceOptions {
	readonly axis?: number | readonly number[];
	readonly keepDims?: boolean;
}

const reduce =
	(op: OpDefinition<ReduceAttributes>) =>
	(x: Tensor, options: ReduceOptions = {}) => {
		const given = options.axis === undefined ? x.shape.map((_, axis) => axis) : [options.axis].flat();
		const axes = [...new Set(given.map((axis) => normalizeAxis(axis, x.rank, op.name)))].sort((a, b) => a - b);
		if (axes.length === 0) return op === sumSquareOp ? mul(x, x) : x;
		if (!isFloat(x.dtype) && op !== sumOp && op !== maxOp && op !== minOp && op !== prodOp) {
			throw new ShapeError(`${op.name} is for floats`, { found: x.dtype });
		}
		return apply1(op, [x], { axes, keepDims: options.keepDims ?? false });
	};

/** Sum over axes. */
export const sum = reduce(sumOp);
/** Arithmetic mean over axes. */
export const mean = reduce(meanOp);
/** Largest value over axes; equal maxima share the gradient. */
export const max = reduce(maxOp);
/** Smallest value over axes; equal minima share the gradient. */
export const min = reduce(minOp);
/** Product over axes; the gradient needs non-zero values. */
export const prod = reduce(prodOp);
/** Sum of squares over axes. */
export const sumSquare = reduce(sumSquareOp);
/** log(sum(exp(x))) over axes, computed without overflow. */
export const logSumExp = reduce(logSumExpOp);

function requireBool(x: Tensor, name: string): void {
	if (x.dtype !== 'bool') throw new ShapeError(`${name} is for bool`, { found: x.dtype });
}

/** Whether every value over axes is true: bool -> bool. */
export function all(x: Tensor, options: ReduceOptions = {}): Tensor {
	requireBool(x, 'all');
	return cast(min(cast(x, 'int32'), options), 'bool');
}

/** Whether any value over axes is true: bool -> bool. */
export function any(x: Tensor, options: ReduceOptions = {}): Tensor {
	requireBool(x, 'any');
	return cast(max(cast(x, 'int32'), options), 'bool');
}
