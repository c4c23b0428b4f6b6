/** @file Tensors on the host: plain typed arrays with a dtype and dimensions. The currency between all rooms. */
import { ShapeError } from './errors.ts';

/** Element types a graph can compute with. float16 is stored as raw bits in a Uint16Array. */
export type DType = 'float32' | 'float16' | 'int64' | 'int32' | 'bool' | 'uint8' | 'int8';

export type TypedData = Float32Array | Uint16Array | BigInt64Array | Int32Array | Uint8Array | Int8Array;

/** A dense row-major tensor in memory. `data.length` equals the product of `dims`. */
export interface HostTensor {
	readonly dtype: DType;
	readonly dims: readonly number[];
	readonly data: TypedData;
}

const BYTES: Readonly<Record<DType, number>> = {
	float32: 4,
	float16: 2,
	int64: 8,
	int32: 4,
	bool: 1,
	uint8: 1,
	int8: 1,
};

export function bytesPerElement(dtype: DType): number {
	return BYTES[dtype];
}

/** Product of the dimensions; 1 for a scalar. */
export function elementCount(dims: readonly number[]): number {
	let count = 1;
	for (const dim of dims) count *= dim;
	return count;
}

/** A zero-filled typed array for `count` elements of `dtype`. */
export function allocate(dtype: DType, count: number): TypedData {
	switch (dtype) {
		case 'float32':
			return new Float32Array(count);
		case 'float16':
			return new Uint16Array(count);
		case 'int64':
			return new BigInt64Array(count);
		case 'int32':
			return new Int32Array(count);
		case 'int8':
			return new Int8Array(count);
		case 'bool':
		case 'uint8':
			return new Uint8Array(count);
	}
}

/**
 * Builds a host tensor and checks that the data fits the dimensions.
 * @throws ShapeError when the length is not the product of `dims`
 */
export function hostTensor(dtype: DType, dims: readonly number[], data: TypedData | readonly number[]): HostTensor {
	const count = elementCount(dims);
	if (data.length !== count) {
		throw new ShapeError(`${data.length} values do not fill a tensor of shape [${dims.join(', ')}]`, {
			expected: `${count} values`,
			found: `${data.length}`,
		});
	}
	if (!Array.isArray(data)) return { dtype, dims: [...dims], data: data as TypedData };
	const typed = allocate(dtype, count);
	for (let i = 0; i < count; i++) {
		if (typed instanceof BigInt64Array) typed[i] = BigInt(data[i] as number);
		else typed[i] = dtype === 'float16' ? toFloat16Bits(data[i] as number) : (data[i] as number);
	}
	return { dtype, dims: [...dims], data: typed };
}

/** A zero tensor. */
export function zeros(dtype: DType, dims: readonly number[]): HostTensor {
	return { dtype, dims: [...dims], data: allocate(dtype, elementCount(dims)) };
}

const scratchFloat = new Float32Array(1);
const scratchBits = new Uint32Array(scratchFloat.buffer);

/** IEEE half-precision bits of a number, rounding half to even. */
export function toFloat16Bits(value: number): number {
	scratchFloat[0] = value;
	const bits = scratchBits[0] as number;
	const sign = (bits >>> 16) & 0x8000;
	const exponent = (bits >>> 23) & 0xff;
	const mantissa = bits & 0x7fffff;
	if (exponent === 0xff) return sign | 0x7c00 | (mantissa === 0 ? 0 : 0x200);
	const unbiased = exponent - 127 + 15;
	if (unbiased >= 0x1f) return sign | 0x7c00;
	if (unbiased <= 0) {
		if (unbiased < -10) return sign;
		return sign | roundShift(mantissa | 0x800000, 14 - unbiased);
	}
	// A carry out of the mantissa moves into the exponent, which is the right result.
	return sign | ((unbiased << 10) + roundShift(mantissa, 13));
}

/** Shift right by `shift` bits, rounding half to even. */
function roundShift(value: number, shift: number): number {
	const half = 2 ** (shift - 1);
	const quotient = Math.floor(value / 2 ** shift);
	const remainder = value - quotient * 2 ** shift;
	if (remainder > half || (remainder === half && quotient % 2 === 1)) return quotient + 1;
	return quotient;
}

/** The number that half-precision `bits` stand for. */
export function fromFloat16Bits(bits: number): number {
	const sign = bits & 0x8000 ? -1 : 1;
	const exponent = (bits >>> 10) & 0x1f;
	const mantissa = bits & 0x3ff;
	if (exponent === 0) return sign * mantissa * 2 ** -24;
	if (exponent === 0x1f) return mantissa === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
	return sign * (1 + mantissa / 1024) * 2 ** (exponent - 15);
}
