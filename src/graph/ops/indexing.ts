/** @file Reading and adding by index: gather (embedding lookup), gather along an axis, scatter-add. */
import { ShapeError } from '../../base/errors.ts';
import { elementCount } from '../../base/host-tensor.ts';
import { apply1, defineOp } from '../op.ts';
import { forEachIndex, ndarray, stridesOf } from '../reference.ts';
import { type Dim, dimsEqual, formatShape, normalizeAxis, type Shape, shapesEqual, sizeOf } from '../shape.ts';
import type { Tensor, TensorType } from '../tensor.ts';
import { transpose } from './movement.ts';

function requireIndices({ dtype }: TensorType): void {
	if (dtype !== 'int64' && dtype !== 'int32')
		throw new ShapeError('indices must be integers', { expected: 'int64 or int32', found: dtype });
}

interface AxisAttributes {
	readonly axis: number;
}

const gatherOp = defineOp<AxisAttributes>({
	name: 'gather',
	infer: ([x, indices], { axis }) => {
		requireIndices(indices!);
		return [{ dtype: x!.dtype, shape: [...x!.shape.slice(0, axis), ...indices!.shape, ...x!.shape.slice(axis + 1)] }];
	},
	gradient: ({ inputs: [x, indices], attributes: { axis } }, [dy]) => {
		if (dy === undefined) return [undefined, undefined];
		if (axis === 0) return [scatterAddRows(x!.shape, indices!, dy), undefined];
		// Bring the gathered axes to the front, scatter rows, and put the axis back.
		const k = indices!.rank;
		const order = [
			...Array.from({ length: k }, (_, i) => axis + i),
			...dy.shape.map((_, i) => i).filter((i) => i < axis || i >= axis + k),
		];
		const moved = [x!.shape[axis] as Dim, ...x!.shape.filter((_, i) => i !== axis)];
		const scattered = scatterAddRows(moved, indices!, transpose(dy, order));
		const back = x!.shape.map((_, i) => (i === axis ? 0 : i < axis ? i + 1 : i));
		return [transpose(scattered, back), undefined];
	},
	lower: (emitter, inputs, { attributes: { axis } }) => [emitter.node('Gather', inputs, { attributes: { axis } })],
	reference: ([x, indices], { axis }) => {
		const dims = [...x!.dims.slice(0, axis), ...indices!.dims, ...x!.dims.slice(axis + 1)];
		const result = ndarray(x!.dtype, dims);
		const inner = elementCount(x!.dims.slice(axis + 1));
		const outer = elementCount(x!.dims.slice(0, axis));
		const size = x!.dims[axis] as number;
		const count = indices!.data.length;
		for (let o = 0; o < outer; o++) {
			for (let i = 0; i < count; i++) {
				const at = wrap(indices!.data[i] as number, size);
				for (let j = 0; j < inner; j++) {
					result.data[(o * count + i) * inner + j] = x!.data[(o * size + at) * inner + j] as number;
				}
			}
		}
		return [result];
	},
	samples: [
		{ inputs: [{ dims: [5, 3] }, { dims: [2, 4], dtype: 'int64', range: [0, 4] }], attributes: { axis: 0 } },
		{ inputs: [{ dims: [5, 3] }, { dims: [2, 4], dtype: 'int32', range: [0, 4] }], attributes: { axis: 0 } },
		{ inputs: [{ dims: [2, 5, 3] }, { dims: [4], dtype: 'int64', range: [0, 4] }], attributes: { axis: 1 } },
		{ inputs: [{ dims: [2, 3, 5] }, { dims: [2, 2], dtype: 'int64', range: [0, 4] }], attributes: { axis: 2 } },
		{ inputs: [{ dims: [5] }, { dims: [], dtype: 'int64', values: [3] }], attributes: { axis: 0 } },
	],
});

function wrap(index: number, size: number): number {
	return index < 0 ? index + size : index;
}

/** Slices of `x` at `indices` along `axis`: [...before, ...indices, ...after]. Repeated indices add up in the gradient. */
export function gather(x: Tensor, indices: Tensor, axis = 0): Tensor {
	return apply1(gatherOp, [x, indices], { axis: normalizeAxis(axis, x.rank, 'gather') });
}

/** Rows of a table: weight [vocab, dim], ids [...] -> [..., dim]. */
export function embedding(weight: Tensor, ids: Tensor): Tensor {
	if (weight.rank !== 2)
		throw new ShapeError('an embedding table has two axes', {
			expected: '[vocab, dim]',
			found: formatShape(weight.shape),
		});
	return gather(weight, ids, 0);
}

const scatterAddRowsOp = defineOp<{ readonly shape: Shape }>({
	name: 'scatterAddRows',
	infer: ([indices, values], { shape }) => {
		requireIndices(indices!);
		const expected = [...indices!.shape, ...shape.slice(1)];
		if (
			values!.shape.length !== expected.length ||
			expected.some((value, i) => !dimsEqual(value, values!.shape[i] as Dim))
		) {
			throw new ShapeError('values do not fit', { expected: formatShape(expected), found: formatShape(values!.shape) });
		}
		return [{ dtype: values!.dtype, shape }];
	},
	gradient: ({ inputs: [indices] }, [dy]) => [undefined, dy && gather(dy, indices!, 0)],
	// ScatterElements runs in index order on one thread, so repeated indices always add up in the same order.
	lower: (emitter, [indices, values], { attributes: { shape }, inputs }) => {
		const rows = sizeOf(inputs[0]!.shape);
		const width = sizeOf(shape.slice(1));
		const zeros = emitter.node('ConstantOfShape', [emitter.shape([shape[0] as Dim, width])], {
			attributes: {
				value: {
					tensor: {
						dtype: inputs[1]!.dtype,
						dims: [1],
						data:
							inputs[1]!.dtype === 'float16'
								? new Uint16Array(1)
								: inputs[1]!.dtype === 'float32'
									? new Float32Array(1)
									: inputs[1]!.dtype === 'int64'
										? new BigInt64Array(1)
										: new Int32Array(1),
					},
				},
			},
		});
		const column = emitter.node('Reshape', [indices!, emitter.shape([rows, 1])]);
		const everywhere = emitter.node('Expand', [column, emitter.shape([rows, width])]);
		const flat = emitter.node('Reshape', [values!, emitter.shape([rows, width])]);
		const sum = emitter.node('ScatterElements', [zeros, everywhere, flat], {
			attributes: { axis: 0, reduction: 'add' },
		});
		return [emitter.node('Reshape', [sum, emitter.shape(shape)])];
	},
	reference: ([indices, values], { shape }) => {
		const dims = shape as readonly number[];
		const result = ndarray(values!.dtype, dims);
		const width = elementCount(dims.slice(1));
		indices!.data.forEach((index, i) => {
			const row = wrap(index, dims[0] as number);
			for (let j = 0; j < width; j++) result.data[row * width + j]! += values!.data[i * width + j] as number;
		});
		return [result];
	},
	samples: [
		{ inputs: [{ dims: [6], dtype: 'int64', range: [0, 3] }, { dims: [6, 2] }], attributes: { shape: [4, 2] } },
		{
			inputs: [{ dims: [2, 3], dtype: 'int32', range: [0, 3] }, { dims: [2, 3, 2, 2] }],
			attributes: { shape: [4, 2, 2] },
		},
	],
});

/** Zeros of `shape` with `values[i...]` added to row `indices[i...]`: the transpose of gathering rows. */
export function scatterAddRows(shape: Shape, indices: Tensor, values: Tensor): Tensor {
	return apply1(scatterAddRowsOp, [indices, values], { shape });
}

const takeAlongAxisOp = defineOp<AxisAttributes>({
	name: 'takeAlongAxis',
	infer: ([x, indices], { axis }) => {
		requireIndices(indices!);
		sameOutsideAxis(x!, indices!, axis);
		return [{ dtype: x!.dtype, shape: indices!.shape }];
	},
	gradient: ({ inputs: [x, indices], attributes: { axis } }, [dy]) => [
		dy && scatterAdd(x!.shape, indices!, dy, axis),
		undefined,
	],
	lower: (emitter, inputs, { attributes: { axis } }) => [
		emitter.node('GatherElements', inputs, { attributes: { axis } }),
	],
	reference: ([x, indices], { axis }) => {
		const result = ndarray(x!.dtype, indices!.dims);
		const strides = stridesOf(x!.dims);
		forEachIndex(indices!.dims, (index, flat) => {
			result.data[flat] = x!.data[
				offsetWith(index, axis, wrap(indices!.data[flat] as number, x!.dims[axis] as number), strides)
			] as number;
		});
		return [result];
	},
	samples: [
		{ inputs: [{ dims: [3, 5] }, { dims: [3, 2], dtype: 'int64', range: [0, 4] }], attributes: { axis: 1 } },
		{ inputs: [{ dims: [4, 2, 3] }, { dims: [2, 2, 3], dtype: 'int32', range: [0, 3] }], attributes: { axis: 0 } },
	],
});

function sameOutsideAxis(x: TensorType, indices: TensorType, axis: number): void {
	const fits =
		x.shape.length === indices.shape.length &&
		x.shape.every((value, i) => i === axis || dimsEqual(value, indices.shape[i] as Dim));
	if (!fits)
		throw new ShapeError('indices must agree with the tensor on every other axis', {
			expected: `${formatShape(x.shape)} except axis ${axis}`,
			found: formatShape(indices.shape),
		});
}

function offsetWith(index: readonly number[], axis: number, at: number, strides: readonly number[]): number {
	let offset = 0;
	for (let i = 0; i < index.length; i++) offset += (i === axis ? at : (index[i] as number)) * (strides[i] as number);
	return offset;
}

/** `result[i][j] = x[i][indices[i][j]]` along `axis` (torch.gather). */
export function takeAlongAxis(x: Tensor, indices: Tensor, axis: number): Tensor {
	return apply1(takeAlongAxisOp, [x, indices], { axis: normalizeAxis(axis, x.rank, 'takeAlongAxis') });
}

interface ScatterAttributes extends AxisAttributes {
	readonly shape: Shape;
}

const scatterAddOp = defineOp<ScatterAttributes>({
	name: 'scatterAdd',
	infer: ([indices, values], { shape, axis }) => {
		requireIndices(indices!);
		sameOutsideAxis({ dtype: values!.dtype, shape }, indices!, axis);
		return [{ dtype: values!.dtype, shape }];
	},
	gradient: ({ inputs: [indices], attributes: { axis } }, [dy]) => [undefined, dy && takeAlongAxis(dy, indices!, axis)],
	lower: (emitter, [indices, values], { attributes: { shape, axis }, inputs }) => {
		const zero = emitter.scalar(inputs[1]!.dtype, 0);
		const zeros = emitter.node('Expand', [zero, emitter.shape(shape)]);
		return [emitter.node('ScatterElements', [zeros, indices!, values!], { attributes: { axis, reduction: 'add' } })];
	},
	reference: ([indices, values], { shape, axis }) => {
		const dims = shape as readonly number[];
		const result = ndarray(values!.dtype, dims);
		const strides = stridesOf(dims);
		forEachIndex(indices!.dims, (index, flat) => {
			result.data[offsetWith(index, axis, wrap(indices!.data[flat] as number, dims[axis] as number), strides)]! +=
				values!.data[flat] as number;
		});
		return [result];
	},
	samples: [
		{
			inputs: [{ dims: [3, 4], dtype: 'int64', range: [0, 4] }, { dims: [3, 4] }],
			attributes: { shape: [3, 5], axis: 1 },
		},
		{
			inputs: [{ dims: [4, 2], dtype: 'int64', range: [0, 2] }, { dims: [4, 2] }],
			attributes: { shape: [3, 2], axis: 0 },
		},
	],
});

/** Zeros of `shape` with `values` added at `indices` along `axis`: the transpose of takeAlongAxis. */
export function scatterAdd(shape: Shape, indices: Tensor, values: Tensor, axis: number): Tensor {
	return apply1(scatterAddOp, [indices, values], { shape, axis: normalizeAxis(axis, shape.length, 'scatterAdd') });
}

const addAtOp = defineOp<AxisAttributes>({
	name: 'addAt',
	infer: ([x, indices, values], { axis }) => {
		requireIndices(indices!);
		sameOutsideAxis(x!, indices!, axis);
		if (!shapesEqual(indices!.shape, values!.shape) || values!.dtype !== x!.dtype) {
			throw new ShapeError('values do not fit', {
				expected: `${x!.dtype}${formatShape(indices!.shape)}`,
				found: `${values!.dtype}${formatShape(values!.shape)}`,
			});
		}
		return [x!];
	},
	gradient: ({ inputs: [, indices], attributes: { axis }, needs }, [dy]) => [
		dy,
		undefined,
		dy && needs(2) ? takeAlongAxis(dy, indices!, axis) : undefined,
	],
	lower: (emitter, inputs, { attributes: { axis } }) => [
		emitter.node('ScatterElements', inputs, { attributes: { axis, reduction: 'add' } }),
	],
	reference: ([x, indices, values], { axis }) => {
		const result = ndarray(x!.dtype, x!.dims, x!.data);
		const strides = stridesOf(x!.dims);
		forEachIndex(indices!.dims, (index, flat) => {
			const at = wrap(indices!.data[flat] as number, x!.dims[axis] as number);
			result.data[offsetWith(index, axis, at, strides)]! += values!.data[flat] as number;
		});
		return [result];
	},
	samples: [
		{
			inputs: [{ dims: [3, 5] }, { dims: [3, 2], dtype: 'int64', range: [0, 4] }, { dims: [3, 2] }],
			attributes: { axis: 1 },
		},
		{
			inputs: [{ dims: [3, 2] }, { dims: [5, 2], dtype: 'int32', range: [0, 2] }, { dims: [5, 2] }],
			attributes: { axis: 0 },
		},
	],
});

/** `x` with `values` added at `indices` along `axis`; repeated indices add up. */
export function addAt(x: Tensor, indices: Tensor, values: Tensor, axis: number): Tensor {
	return apply1(addAtOp, [x, indices, values], { axis: normalizeAxis(axis, x.rank, 'addAt') });
}
