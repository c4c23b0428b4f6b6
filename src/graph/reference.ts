/** @file Plain float64 arrays and the loops that op references are written with. Slow and obvious on purpose. */
import type { DType } from '../base/host-tensor.ts';
import { elementCount } from '../base/host-tensor.ts';

/** A dense row-major array; every dtype is held as float64 (integers up to 2^53 are exact). */
export interface NDArray {
	readonly dtype: DType;
	readonly dims: readonly number[];
	readonly data: Float64Array;
}

export function ndarray(dtype: DType, dims: readonly number[], data?: Float64Array | readonly number[]): NDArray {
	return {
		dtype,
		dims,
		data: data === undefined ? new Float64Array(elementCount(dims)) : Float64Array.from(data),
	};
}

/** Row-major strides. */
export function stridesOf(dims: readonly number[]): number[] {
	const strides = new Array<number>(dims.length);
	let stride = 1;
	for (let axis = dims.length - 1; axis >= 0; axis--) {
		strides[axis] = stride;
		stride *= dims[axis] as number;
	}
	return strides;
}

/** Calls `visit` with every index of `dims` in row-major order; the array is reused. */
export function forEachIndex(dims: readonly number[], visit: (index: readonly number[], flat: number) => void): void {
	const count = elementCount(dims);
	const index = new Array<number>(dims.length).fill(0);
	for (let flat = 0; flat < count; flat++) {
		visit(index, flat);
		for (let axis = dims.length - 1; axis >= 0; axis--) {
			const next = (index[axis] as number) + 1;
			if (next < (dims[axis] as number)) {
				index[axis] = next;
				break;
			}
			index[axis] = 0;
		}
	}
}

/** Position of an index of the broadcast result in an operand of (maybe) fewer or size-1 axes. */
export function broadcastOffset(index: readonly number[], dims: readonly number[], strides: readonly number[]): number {
	let offset = 0;
	const skip = index.length - dims.length;
	for (let axis = 0; axis < dims.length; axis++) {
		if (dims[axis] !== 1) offset += (index[axis + skip] as number) * (strides[axis] as number);
	}
	return offset;
}

/** Result of NumPy broadcasting of concrete dimensions (already checked to fit). */
export function broadcastDims(...shapes: readonly (readonly number[])[]): number[] {
	const rank = Math.max(...shapes.map((dims) => dims.length));
	const result = new Array<number>(rank).fill(1);
	for (const dims of shapes) {
		dims.forEach((size, axis) => {
			if (size !== 1) result[rank - dims.length + axis] = size;
		});
	}
	return result;
}

/** Elementwise map over broadcast operands. */
export function mapN(dtype: DType, inputs: readonly NDArray[], f: (...values: number[]) => number): NDArray {
	const dims = broadcastDims(...inputs.map((input) => input.dims));
	const result = ndarray(dtype, dims);
	const strides = inputs.map((input) => stridesOf(input.dims));
	forEachIndex(dims, (index, flat) => {
		const values = inputs.map(
			(input, i) => input.data[broadcastOffset(index, input.dims, strides[i] as number[])] as number,
		);
		result.data[flat] = f(...values);
	});
	return result;
}

/** Splits dims around an axis: [outer, size, inner]. */
export function aroundAxis(dims: readonly number[], axis: number): [number, number, number] {
	return [elementCount(dims.slice(0, axis)), dims[axis] as number, elementCount(dims.slice(axis + 1))];
}

/** Calls `visit` once for every line along `axis`: offset of its first element, stride, and length. */
export function forEachLine(
	dims: readonly number[],
	axis: number,
	visit: (offset: number, stride: number, length: number, line: number) => void,
): void {
	const [outer, size, inner] = aroundAxis(dims, axis);
	for (let o = 0; o < outer; o++) {
		for (let i = 0; i < inner; i++) visit(o * size * inner + i, inner, size, o * inner + i);
	}
}

/** Error function (W. J. Cody's rational approximations are overkill here: series and continued fraction to 1e-15). */
export function erf(x: number): number {
	const a = Math.abs(x);
	if (a < 2.5) {
		let term = a;
		let sum = a;
		for (let n = 1; n < 120; n++) {
			term *= (-a * a) / n;
			const add = term / (2 * n + 1);
			sum += add;
			if (Math.abs(add) < 1e-17 * Math.abs(sum)) break;
		}
		return (Math.sign(x) * 2 * sum) / Math.sqrt(Math.PI);
	}
	if (a > 6.5) return Math.sign(x);
	let fraction = 0;
	for (let n = 120; n > 0; n--) fraction = n / 2 / (a + fraction);
	return Math.sign(x) * (1 - Math.exp(-a * a) / (Math.sqrt(Math.PI) * (a + fraction)));
}
