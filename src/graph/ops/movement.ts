/** @file The same elements in another arrangement: reshape, transpose, expand, repeat. */
import { ShapeError } from '../../base/errors.ts';
import { apply1, defineOp, located } from '../op.ts';
import { broadcastOffset, forEachIndex, ndarray, stridesOf } from '../reference.ts';
import {
	concreteShape,
	type Dim,
	dimsEqual,
	divideDims,
	formatShape,
	multiplyDims,
	normalizeAxis,
	type Shape,
	shapesEqual,
	sizeOf,
} from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { broadcast } from './arithmetic.ts';
import { sum } from './reduction.ts';

const reshapeOp = defineOp<{ readonly shape: Shape }>({
	name: 'reshape',
	view: true,
	infer: ([x], { shape }) => {
		if (!dimsEqual(sizeOf(x!.shape), sizeOf(shape))) {
			throw new ShapeError('cannot reshape', {
				expected: `${sizeOf(x!.shape)} elements, as in ${formatShape(x!.shape)}`,
				found: `${sizeOf(shape)} elements in ${formatShape(shape)}`,
			});
		}
		return [{ dtype: x!.dtype, shape }];
	},
	gradient: ({ inputs: [x] }, [dy]) => [dy && reshape(dy, x!.shape)],
	lower: (emitter, [x], { attributes: { shape } }) => [
		emitter.node('Reshape', [x!, emitter.shape(shape)], { attributes: { allowzero: 1 } }),
	],
	reference: ([x], { shape }) => [{ dtype: x!.dtype, dims: concreteShape(shape), data: x!.data }],
	samples: [
		{ inputs: [{ dims: [2, 6] }], attributes: { shape: [3, 4] } },
		{ inputs: [{ dims: [1] }], attributes: { shape: [] } },
		{ inputs: [{ dims: [2, 3] }], attributes: { shape: [1, 6, 1] } },
	],
});

/** The same elements in another shape; one dimension may be -1. */
export function reshape(x: Tensor, shape: Shape): Tensor {
	const resolved = located('reshape', [x], () => inferMinusOne(x, shape));
	if (shapesEqual(x.shape, resolved)) return x;
	if (x.node.op === reshapeOp) return reshape(x.node.inputs[0] as Tensor, resolved);
	return apply1(reshapeOp, [x], { shape: resolved });
}

function inferMinusOne(x: Tensor, shape: Shape): Shape {
	const at = shape.indexOf(-1);
	if (at < 0) return shape;
	const rest = sizeOf(shape.filter((_, axis) => axis !== at));
	const missing = divideDims(sizeOf(x.shape), rest);
	if (missing === undefined || shape.lastIndexOf(-1) !== at) {
		throw new ShapeError('cannot infer the dimension given as -1', {
			expected: 'one -1, and other sizes that divide the number of elements',
			found: formatShape(shape),
		});
	}
	return shape.map((value, axis) => (axis === at ? missing : value));
}

/** Merges all leading axes: [..., last] to [rows, last]. */
export function flattenRows(x: Tensor): Tensor {
	return reshape(x, [sizeOf(x.shape.slice(0, -1)), x.shape[x.rank - 1] as Dim]);
}

/** Inserts axes of size 1 at the given positions of the result. */
export function expandDims(x: Tensor, axes: number | readonly number[]): Tensor {
	const positions = [axes].flat();
	const rank = x.rank + positions.length;
	const inserted = new Set(positions.map((axis) => normalizeAxis(axis, rank, 'expandDims')));
	const shape: Dim[] = [];
	let from = 0;
	for (let axis = 0; axis < rank; axis++) shape.push(inserted.has(axis) ? 1 : (x.shape[from++] as Dim));
	return reshape(x, shape);
}

/** Removes axes of size 1. */
export function squeeze(x: Tensor, axes: number | readonly number[]): Tensor {
	const removed = new Set([axes].flat().map((axis) => normalizeAxis(axis, x.rank, 'squeeze')));
	for (const axis of removed) {
		located('squeeze', [x], () => {
			if (x.shape[axis] !== 1) throw new ShapeError(`cannot remove axis ${axis}`, { expected: 'size 1' });
		});
	}
	return reshape(
		x,
		x.shape.filter((_, axis) => !removed.has(axis)),
	);
}

const transposeOp = defineOp<{ readonly permutation: readonly number[] }>({
	name: 'transpose',
	infer: ([x], { permutation }) => {
		const sorted = [...permutation].sort((a, b) => a - b);
		if (permutation.length !== x!.shape.length || sorted.some((axis, i) => axis !== i)) {
			throw new ShapeError('not a permutation of the axes', {
				expected: `each of 0..${x!.shape.length - 1} once`,
				found: `[${permutation.join(', ')}]`,
			});
		}
		return [{ dtype: x!.dtype, shape: permutation.map((axis) => x!.shape[axis] as Dim) }];
	},
	gradient: ({ attributes: { permutation } }, [dy]) => {
		const inverse = new Array<number>(permutation.length);
		permutation.forEach((axis, i) => {
			inverse[axis] = i;
		});
		return [dy && transpose(dy, inverse)];
	},
	lower: (emitter, inputs, { attributes: { permutation } }) => [
		emitter.node('Transpose', inputs, { attributes: { perm: permutation } }),
	],
	reference: ([x], { permutation }) => {
		const result = ndarray(
			x!.dtype,
			permutation.map((axis) => x!.dims[axis] as number),
		);
		const strides = stridesOf(x!.dims);
		forEachIndex(result.dims, (index, flat) => {
			let at = 0;
			permutation.forEach((axis, i) => {
				at += (index[i] as number) * (strides[axis] as number);
			});
			result.data[flat] = x!.data[at] as number;
		});
		return [result];
	},
	samples: [
		{ inputs: [{ dims: [2, 3] }], attributes: { permutation: [1, 0] } },
		{ inputs: [{ dims: [2, 3, 4, 2] }], attributes: { permutation: [0, 2, 1, 3] } },
		{ inputs: [{ dims: [2, 3, 4] }], attributes: { permutation: [2, 0, 1] } },
	],
});

/** Axes in another order; reversed when no permutation is given. */
export function transpose(x: Tensor, permutation?: readonly number[]): Tensor {
	const order = permutation ?? x.shape.map((_, axis) => x.rank - 1 - axis);
	return order.every((axis, i) => axis === i) && order.length === x.rank
		? x
		: apply1(transposeOp, [x], { permutation: order });
}

/** Exchanges two axes. */
export function swapAxes(x: Tensor, a: number, b: number): Tensor {
	const order = x.shape.map((_, axis) => axis);
	const [first, second] = [normalizeAxis(a, x.rank, 'swapAxes'), normalizeAxis(b, x.rank, 'swapAxes')];
	order[first] = second;
	order[second] = first;
	return transpose(x, order);
}

const expandOp = defineOp<{ readonly shape: Shape }>({
	name: 'expand',
	infer: ([x], { shape }) => {
		if (!shapesEqual(broadcast(x!.shape, shape), shape)) {
			throw new ShapeError('cannot expand', {
				expected: `a shape that broadcasts to ${formatShape(shape)}`,
				found: formatShape(x!.shape),
			});
		}
		return [{ dtype: x!.dtype, shape }];
	},
	gradient: ({ inputs: [x] }, [dy]) => [dy && sumTo(dy, x!.shape)],
	lower: (emitter, [x], { attributes: { shape } }) => [emitter.node('Expand', [x!, emitter.shape(shape)])],
	reference: ([x], { shape }) => {
		const result = ndarray(x!.dtype, concreteShape(shape));
		const strides = stridesOf(x!.dims);
		forEachIndex(result.dims, (index, flat) => {
			result.data[flat] = x!.data[broadcastOffset(index, x!.dims, strides)] as number;
		});
		return [result];
	},
	samples: [
		{ inputs: [{ dims: [2, 1, 3] }], attributes: { shape: [2, 4, 3] } },
		{ inputs: [{ dims: [] }], attributes: { shape: [2, 2] } },
	],
});

/** Repeats size-1 axes to reach `shape`. */
export function expand(x: Tensor, shape: Shape): Tensor {
	return shapesEqual(x.shape, shape) ? x : apply1(expandOp, [x], { shape });
}

/** The reverse of broadcasting: sums a gradient over the axes along which `shape` was repeated. */
export function sumTo(x: Tensor, shape: Shape): Tensor {
	if (shapesEqual(x.shape, shape)) return x;
	const extra = x.rank - shape.length;
	const axes: number[] = [];
	for (let axis = 0; axis < x.rank; axis++) {
		if (axis < extra || (shape[axis - extra] === 1 && x.shape[axis] !== 1)) axes.push(axis);
	}
	return axes.length === 0 ? reshape(x, shape) : reshape(sum(x, { axis: axes }), shape);
}

/** Repeats the whole tensor along an axis. */
export function repeat(x: Tensor, axis: number, times: Dim): Tensor {
	const at = normalizeAxis(axis, x.rank, 'repeat');
	const widened = expandDims(x, at);
	const shape = widened.shape.map((value, i) => (i === at ? times : value));
	return reshape(
		expand(widened, shape),
		x.shape.map((value, i) => (i === at ? multiplyDims(value, times) : value)),
	);
}
