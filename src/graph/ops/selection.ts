/** @file Order statistics along one axis: argmax, argmin, top-k, sort, argsort. */
import { ShapeError } from '../../base/errors.ts';
import { apply, apply1, defineOp, type OpDefinition } from '../op.ts';
import { forEachLine, type NDArray, ndarray } from '../reference.ts';
import { type Dim, normalizeAxis } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { scatterAdd } from './indexing.ts';

interface ArgAttributes {
	readonly axis: number;
	readonly keepDims: boolean;
}

function argument(name: string, onnx: string, better: (a: number, b: number) => boolean): OpDefinition<ArgAttributes> {
	return defineOp<ArgAttributes>({
		name,
		infer: ([x], { axis, keepDims }) => {
			if (x!.dtype === 'bool') throw new ShapeError(`${name} is for numbers`, { found: 'bool' });
			const shape = x!.shape.flatMap((size, i) => (i !== axis ? [size] : keepDims ? [1] : []));
			return [{ dtype: 'int64', shape }];
		},
		lower: (emitter, inputs, { attributes: { axis, keepDims } }) => [
			emitter.node(onnx, inputs, { attributes: { axis, keepdims: keepDims ? 1 : 0 } }),
		],
		reference: ([x], { axis, keepDims }) => {
			const result = ndarray(
				'int64',
				x!.dims.flatMap((size, i) => (i !== axis ? [size] : keepDims ? [1] : [])),
			);
			forEachLine(x!.dims, axis, (offset, stride, length, line) => {
				let best = 0;
				for (let i = 1; i < length; i++) {
					if (better(x!.data[offset + i * stride]!, x!.data[offset + best * stride]!)) best = i;
				}
				result.data[line] = best;
			});
			return [result];
		},
		samples: [
			{ inputs: [{ dims: [3, 5] }], attributes: { axis: 1, keepDims: false } },
			{ inputs: [{ dims: [3, 2, 4] }], attributes: { axis: 0, keepDims: true } },
			{ inputs: [{ dims: [5], values: [1, 3, 3, 1, 2] }], attributes: { axis: 0, keepDims: false } },
			{ inputs: [{ dims: [2, 6], dtype: 'int32', range: [0, 9] }], attributes: { axis: 1, keepDims: false } },
		],
	});
}

const argmaxOp = argument('argmax', 'ArgMax', (a, b) => a > b);
const argminOp = argument('argmin', 'ArgMin', (a, b) => a < b);

export interface ArgOptions {
	/** Default: the last axis. */
	readonly axis?: number;
	readonly keepDims?: boolean;
}

const argumentOf =
	(op: OpDefinition<ArgAttributes>) =>
	(x: Tensor, { axis = -1, keepDims = false }: ArgOptions = {}) =>
		apply1(op, [x], { axis: normalizeAxis(axis, x.rank, op.name), keepDims });

/** Index (int64) of the largest value along an axis; the first one of equal values. */
export const argmax = argumentOf(argmaxOp);
/** Index (int64) of the smallest value along an axis; the first one of equal values. */
export const argmin = argumentOf(argminOp);

interface TopKAttributes {
	readonly axis: number;
	readonly k: Dim;
	readonly largest: boolean;
}

function topKReference(x: NDArray, { axis, k, largest }: TopKAttributes): [NDArray, NDArray] {
	const count = k as number;
	const dims = x.dims.map((size, i) => (i === axis ? count : size));
	const [values, indices] = [ndarray(x.dtype, dims), ndarray('int64', dims)];
	const lines: [number, number][] = [];
	forEachLine(dims, axis, (offset, stride) => void lines.push([offset, stride]));
	forEachLine(x.dims, axis, (offset, stride, length, line) => {
		const order = Array.from({ length }, (_, i) => i);
		const at = (i: number): number => x.data[offset + i * stride] as number;
		order.sort((a, b) => (largest ? at(b) - at(a) : at(a) - at(b)) || a - b);
		const [to, step] = lines[line] as [number, number];
		for (let i = 0; i < count; i++) {
			values.data[to + i * step] = at(order[i] as number);
			indices.data[to + i * step] = order[i] as number;
		}
	});
	return [values, indices];
}

const topKOp = defineOp<TopKAttributes>({
	name: 'topK',
	infer: ([x], { axis, k }) => {
		const size = x!.shape[axis] as Dim;
		if (x!.dtype === 'bool') throw new ShapeError('topK is for numbers', { found: 'bool' });
		if (typeof k === 'number' && (k < 0 || !Number.isInteger(k) || (typeof size === 'number' && k > size))) {
			throw new ShapeError(`cannot take ${k} of axis ${axis}`, { expected: `an integer from 0 to ${size}` });
		}
		const shape = x!.shape.map((value, i) => (i === axis ? k : value));
		return [
			{ dtype: x!.dtype, shape },
			{ dtype: 'int64', shape },
		];
	},
	gradient: ({ inputs: [x], outputs: [, indices], attributes: { axis } }, [dy]) => [
		dy && scatterAdd(x!.shape, indices!, dy, axis),
	],
	lower: (emitter, [x], { attributes: { axis, k, largest } }) =>
		emitter.nodes('TopK', [x!, emitter.shape([k])], {
			outputs: 2,
			attributes: { axis, largest: largest ? 1 : 0, sorted: 1 },
		}),
	reference: ([x], attributes) => topKReference(x!, attributes),
	samples: [
		{ inputs: [{ dims: [3, 6] }], attributes: { axis: 1, k: 2, largest: true } },
		{ inputs: [{ dims: [4, 2, 3] }], attributes: { axis: 0, k: 3, largest: false } },
		{ inputs: [{ dims: [2, 5] }], attributes: { axis: 1, k: 5, largest: true } },
		{
			inputs: [{ dims: [6], values: [1, 2, 2, 3, 3, 0] }],
			attributes: { axis: 0, k: 4, largest: true },
			differentiable: [],
		},
		{ inputs: [{ dims: [7], dtype: 'int64', range: [-5, 5] }], attributes: { axis: 0, k: 7, largest: false } },
	],
});

export interface TopKOptions {
	/** Default: the last axis. */
	readonly axis?: number;
	/** The largest values (default) or the smallest. */
	readonly largest?: boolean;
}

/**
 * The `k` largest values along an axis, best first, and their positions (int64); of equal values the first comes first.
 * x [..., n, ...] -> values and indices [..., k, ...]. Gradients pass through the values.
 */
export function topK(
	x: Tensor,
	k: Dim,
	{ axis = -1, largest = true }: TopKOptions = {},
): { readonly values: Tensor; readonly indices: Tensor } {
	const [values, indices] = apply(topKOp, [x], { axis: normalizeAxis(axis, x.rank, 'topK'), k, largest });
	return { values: values as Tensor, indices: indices as Tensor };
}

export interface SortOptions {
	/** Default: the last axis. */
	readonly axis?: number;
	readonly descending?: boolean;
}

function sorted(x: Tensor, { axis = -1, descending = false }: SortOptions): ReturnType<typeof topK> {
	const at = normalizeAxis(axis, x.rank, 'sort');
	return topK(x, x.shape[at] as Dim, { axis: at, largest: descending });
}

/** Values in order along an axis, smallest first unless `descending`. */
export function sort(x: Tensor, options: SortOptions = {}): Tensor {
	return sorted(x, options).values;
}

/** Positions (int64) that put an axis in order; equal values keep their order. */
export function argsort(x: Tensor, options: SortOptions = {}): Tensor {
	return sorted(x, options).indices;
}
