/** @file Parts and wholes along an axis: slice, concat, split, pad, flip. */
import { ShapeError } from '../../base/errors.ts';
import { apply, apply1, defineOp, located } from '../op.ts';
import { forEachIndex, type NDArray, ndarray, stridesOf } from '../reference.ts';
import {
	addDims,
	concreteDim,
	concreteShape,
	type Dim,
	dimsEqual,
	divideDims,
	formatShape,
	normalizeAxis,
	type Shape,
	subtractDims,
} from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { expand, expandDims, reshape, squeeze } from './movement.ts';
import { constantOf } from './source.ts';

function fail(problem: string): never {
	throw new ShapeError(problem);
}

interface SliceAttributes {
	readonly axis: number;
	readonly start: Dim;
	readonly end: Dim;
	readonly step: number;
}

const sliceOp = defineOp<SliceAttributes>({
	name: 'slice',
	infer: ([x], { axis, start, end, step }) => {
		if (!Number.isInteger(step) || step < 1) throw new ShapeError(`a slice cannot have the step ${step}`);
		if (typeof start === 'number' && start < 0) throw new ShapeError(`slice [${start}, ${end}) begins before the axis`);
		const length = subtractDims(end, start);
		if (typeof length === 'number' && length < 0) throw new ShapeError(`slice [${start}, ${end}) is backwards`);
		const size = x!.shape[axis] as Dim;
		if (typeof size === 'number' && typeof end === 'number' && end > size) {
			throw new ShapeError(`slice [${start}, ${end}) leaves axis ${axis} of size ${size}`);
		}
		let count: Dim = length;
		if (step !== 1) {
			if (typeof length !== 'number') throw new ShapeError('a slice with a step needs bounds known at build time');
			count = Math.ceil(length / step);
		}
		return [{ dtype: x!.dtype, shape: x!.shape.map((value, i) => (i === axis ? count : value)) }];
	},
	gradient: ({ inputs: [x], attributes: { axis, start, end, step } }, [dy]) => {
		if (dy === undefined) return [undefined];
		const size = x!.shape[axis] as Dim;
		if (step === 1) return [padAxis(dy, axis, start, subtractDims(size, end))];
		return [
			padAxis(
				interleaveZeros(dy, axis, step, subtractDims(end, start) as number),
				axis,
				start,
				subtractDims(size, end),
			),
		];
	},
	lower: (emitter, [x], { attributes: { axis, start, end, step } }) => [
		emitter.node('Slice', [
			x!,
			emitter.shape([start]),
			emitter.shape([end]),
			emitter.integers([axis]),
			emitter.integers([step]),
		]),
	],
	reference: ([x], { axis, start, end, step }) => {
		const [from, to] = [concreteDim(start), concreteDim(end)];
		const dims = x!.dims.map((value, i) => (i === axis ? Math.ceil((to - from) / step) : value));
		const result = ndarray(x!.dtype, dims);
		const strides = stridesOf(x!.dims);
		forEachIndex(dims, (index, flat) => {
			let at = 0;
			index.forEach((position, i) => {
				at += (i === axis ? from + position * step : position) * (strides[i] as number);
			});
			result.data[flat] = x!.data[at] as number;
		});
		return [result];
	},
	samples: [
		{ inputs: [{ dims: [5, 3] }], attributes: { axis: 0, start: 1, end: 4, step: 1 } },
		{ inputs: [{ dims: [2, 6] }], attributes: { axis: 1, start: 1, end: 6, step: 2 } },
		{ inputs: [{ dims: [2, 6] }], attributes: { axis: 1, start: 0, end: 6, step: 2 } },
	],
});

/** Puts `step - 1` zeros after every element along `axis` and cuts the result to `length`. */
function interleaveZeros(x: Tensor, axis: number, step: number, length: number): Tensor {
	const widened = padAxis(expandDims(x, axis + 1), axis + 1, 0, step - 1);
	const count = x.shape[axis] as number;
	const merged = reshape(
		widened,
		x.shape.map((value, i) => (i === axis ? count * step : value)),
	);
	return slice(merged, axis, 0, length);
}

/**
 * Elements start, start+step, ... below end along one axis. Negative numbers count from the end.
 */
export function slice(x: Tensor, axis: number, start: Dim, end?: Dim, step = 1): Tensor {
	const at = normalizeAxis(axis, x.rank, 'slice');
	const size = x.shape[at] as Dim;
	const fromEnd = (value: Dim): Dim => (typeof value === 'number' && value < 0 ? addDims(size, value) : value);
	const [from, to] = [fromEnd(start), end === undefined ? size : fromEnd(end)];
	if (from === 0 && dimsEqual(to, size) && step === 1) return x;
	return apply1(sliceOp, [x], { axis: at, start: from, end: to, step });
}

/** One element along an axis, which disappears. */
export function select(x: Tensor, axis: number, index: number): Tensor {
	const at = normalizeAxis(axis, x.rank, 'select');
	const part = index === -1 ? slice(x, at, -1) : slice(x, at, index, index + 1);
	return squeeze(part, at);
}

const concatOp = defineOp<{ readonly axis: number }>({
	name: 'concat',
	infer: (inputs, { axis }) => {
		const [first] = inputs;
		let size: Dim = 0;
		for (const { shape, dtype } of inputs) {
			const same =
				shape.length === first!.shape.length &&
				shape.every((value, i) => i === axis || dimsEqual(value, first!.shape[i] as Dim));
			if (!same || dtype !== first!.dtype) {
				throw new ShapeError('tensors to concatenate differ outside the axis', {
					expected: `${first!.dtype}${formatShape(first!.shape)} with any size on axis ${axis}`,
					found: `${dtype}${formatShape(shape)}`,
				});
			}
			size = addDims(size, shape[axis] as Dim);
		}
		return [{ dtype: first!.dtype, shape: first!.shape.map((value, i) => (i === axis ? size : value)) }];
	},
	gradient: ({ inputs, attributes: { axis } }, [dy]) => {
		if (dy === undefined) return inputs.map(() => undefined);
		const sizes = inputs.map(({ shape }) => shape[axis] as Dim);
		return split(dy, sizes, axis);
	},
	lower: (emitter, inputs, { attributes: { axis } }) => [emitter.node('Concat', inputs, { attributes: { axis } })],
	reference: (inputs, { axis }) => {
		const total = inputs.reduce((sumOfSizes, part) => sumOfSizes + (part.dims[axis] as number), 0);
		const dims = inputs[0]!.dims.map((value, i) => (i === axis ? total : value));
		const result = ndarray(inputs[0]!.dtype, dims);
		const strides = stridesOf(dims);
		let start = 0;
		for (const part of inputs) {
			forEachIndex(part.dims, (index, flat) => {
				let at = start * (strides[axis] as number);
				index.forEach((position, i) => {
					at += position * (strides[i] as number);
				});
				result.data[at] = part.data[flat] as number;
			});
			start += part.dims[axis] as number;
		}
		return [result];
	},
	samples: [
		{ inputs: [{ dims: [2, 3] }, { dims: [2, 1] }, { dims: [2, 2] }], attributes: { axis: 1 } },
		{ inputs: [{ dims: [1, 3] }, { dims: [2, 3] }], attributes: { axis: 0 } },
	],
});

/** Joins tensors along an axis. */
export function concat(tensors: readonly Tensor[], axis: number): Tensor {
	const [first] = tensors;
	if (first === undefined) return located('concat', [], () => fail('at least one tensor is needed'));
	if (tensors.length === 1) return first;
	return apply1(concatOp, tensors, { axis: normalizeAxis(axis, first.rank, 'concat') });
}

/** Joins tensors of one shape along a new axis. */
export function stack(tensors: readonly Tensor[], axis = 0): Tensor {
	return concat(
		tensors.map((tensor) => expandDims(tensor, axis)),
		axis,
	);
}

interface SplitAttributes {
	readonly axis: number;
	readonly sizes: Shape;
}

const splitOp = defineOp<SplitAttributes>({
	name: 'split',
	infer: ([x], { axis, sizes }) => {
		const total = sizes.reduce<Dim>(addDims, 0);
		const size = x!.shape[axis] as Dim;
		if (!dimsEqual(total, size)) {
			throw new ShapeError(`parts add up to ${total}`, { expected: `${size}, the size of axis ${axis}` });
		}
		return sizes.map((part) => ({
			dtype: x!.dtype,
			shape: x!.shape.map((value, i) => (i === axis ? part : value)),
		}));
	},
	// One concatenation, instead of padding every part to the full size and adding.
	gradient: ({ outputs, attributes: { axis } }, gradients) => [
		concat(
			outputs.map((output, i) => gradients[i] ?? expand(constantOf([0], [], output.dtype), output.shape)),
			axis,
		),
	],
	lower: (emitter, [x], { attributes: { axis, sizes } }) =>
		emitter.nodes('Split', [x!, emitter.shape(sizes)], { outputs: sizes.length, attributes: { axis } }),
	reference: ([x], { axis, sizes }) => {
		let start = 0;
		return concreteShape(sizes).map((size) => {
			const attributes = { axis, start, end: start + size, step: 1 };
			start += size;
			return sliceOp.reference([x!], attributes)[0] as NDArray;
		});
	},
	samples: [
		{ inputs: [{ dims: [2, 6] }], attributes: { axis: 1, sizes: [1, 2, 3] } },
		{ inputs: [{ dims: [4, 3] }], attributes: { axis: 0, sizes: [2, 2] } },
	],
});

/** Cuts an axis into parts of the given sizes, or into `sizes` equal parts. */
export function split(x: Tensor, sizes: number | readonly Dim[], axis: number): readonly Tensor[] {
	const at = normalizeAxis(axis, x.rank, 'split');
	const size = x.shape[at] as Dim;
	if (typeof sizes !== 'number') {
		return sizes.length === 1 && dimsEqual(size, sizes[0] as Dim) ? [x] : apply(splitOp, [x], { axis: at, sizes });
	}
	const part = located('split', [x], () => {
		return divideDims(size, sizes) ?? fail(`axis ${at} of size ${size} cannot be cut into ${sizes} equal parts`);
	});
	return split(x, new Array<Dim>(sizes).fill(part), at);
}

interface PadAttributes {
	readonly before: Shape;
	readonly after: Shape;
	readonly value: number;
}

const padOp = defineOp<PadAttributes>({
	name: 'pad',
	infer: ([x], { before, after }) => [
		{ dtype: x!.dtype, shape: x!.shape.map((size, i) => addDims(addDims(size, before[i] as Dim), after[i] as Dim)) },
	],
	gradient: ({ inputs: [x], attributes: { before } }, [dy]) => [
		dy &&
			before.reduce<Tensor>((rest, start, axis) => slice(rest, axis, start, addDims(start, x!.shape[axis] as Dim)), dy),
	],
	lower: (emitter, [x], { attributes: { before, after, value }, inputs }) => [
		emitter.node('Pad', [x!, emitter.shape([...before, ...after]), emitter.scalar(inputs[0]!.dtype, value)]),
	],
	reference: ([x], { before, after, value }) => {
		const [from, to] = [concreteShape(before), concreteShape(after)];
		const dims = x!.dims.map((size, i) => size + (from[i] as number) + (to[i] as number));
		const result = ndarray(x!.dtype, dims);
		result.data.fill(value);
		const strides = stridesOf(dims);
		forEachIndex(x!.dims, (index, flat) => {
			let at = 0;
			index.forEach((position, i) => {
				at += (position + (from[i] as number)) * (strides[i] as number);
			});
			result.data[at] = x!.data[flat] as number;
		});
		return [result];
	},
	samples: [
		{ inputs: [{ dims: [2, 3] }], attributes: { before: [1, 0], after: [0, 2], value: 0 } },
		{ inputs: [{ dims: [3] }], attributes: { before: [2], after: [1], value: -1.5 } },
	],
});

/** Adds constant values before and after every axis. */
export function pad(x: Tensor, before: Shape, after: Shape, value = 0): Tensor {
	if (before.length !== x.rank || after.length !== x.rank)
		return located('pad', [x], () => fail('a size for every axis is needed'));
	if ([...before, ...after].every((size) => size === 0)) return x;
	return apply1(padOp, [x], { before, after, value });
}

/** Adds zeros before and after one axis. */
export function padAxis(x: Tensor, axis: number, before: Dim, after: Dim, value = 0): Tensor {
	const at = normalizeAxis(axis, x.rank, 'pad');
	const only = (size: Dim): Dim[] => x.shape.map((_, i) => (i === at ? size : 0));
	return pad(x, only(before), only(after), value);
}

const flipOp = defineOp<{ readonly axis: number }>({
	name: 'flip',
	infer: ([x]) => [x!],
	gradient: ({ attributes: { axis } }, [dy]) => [dy && flip(dy, axis)],
	lower: (emitter, [x], { attributes: { axis } }) => [
		emitter.node('Slice', [
			x!,
			emitter.integers([-1]),
			emitter.integers([-(2 ** 31)]),
			emitter.integers([axis]),
			emitter.integers([-1]),
		]),
	],
	reference: ([x], { axis }) => {
		const result = ndarray(x!.dtype, x!.dims);
		const strides = stridesOf(x!.dims);
		forEachIndex(x!.dims, (index, flat) => {
			const here = index[axis] as number;
			result.data[flat] = x!.data[
				flat + ((x!.dims[axis] as number) - 1 - 2 * here) * (strides[axis] as number)
			] as number;
		});
		return [result];
	},
	samples: [
		{ inputs: [{ dims: [2, 3] }], attributes: { axis: 1 } },
		{ inputs: [{ dims: [3, 2] }], attributes: { axis: 0 } },
	],
});

/** Elements in reverse order along an axis. */
export function flip(x: Tensor, axis: number): Tensor {
	return apply1(flipOp, [x], { axis: normalizeAxis(axis, x.rank, 'flip') });
}
