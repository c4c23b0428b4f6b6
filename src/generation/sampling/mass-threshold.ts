/**
 * @file Selection without sorting: the value at which the largest elements together reach a given weight. Radix selection
 * over the order-preserving integer form of float32, three passes of a histogram, so the time is O(n) for every input.
 */

/** Bits looked at in each pass, high to low; together 32. */
const DIGITS = [
	{ shift: 21, bits: 11 },
	{ shift: 10, bits: 11 },
	{ shift: 0, bits: 10 },
] as const;

const histogram = new Float64Array(1 << 11);

/** Unsigned integers in the same order as the numbers (-0 below +0); NaN is not allowed. */
export function orderedBits(values: Float32Array): Uint32Array {
	const bits = new Uint32Array(values.buffer.slice(values.byteOffset, values.byteOffset + values.byteLength));
	for (let i = 0; i < bits.length; i++) {
		const b = bits[i] as number;
		bits[i] = b >>> 31 === 1 ? ~b : b | 0x80000000;
	}
	return bits;
}

export interface MassThreshold {
	/** Ordered bits of the threshold value: elements above it weigh less than the target, with it at least the target. */
	readonly bits: number;
	/** Total weight of the elements strictly above the threshold. */
	readonly above: number;
}

/**
 * Finds the largest value v such that elements >= v together weigh at least `target`.
 * Where the whole weight is below the target (rounding), v is the smallest element of positive weight.
 * @param keys ordered bits [n]
 * @param weights non-negative weights [n]; absent: 1 each
 */
export function massThreshold(keys: Uint32Array, target: number, weights?: Float64Array): MassThreshold {
	let prefix = 0;
	let mask = 0;
	let above = 0;
	for (const { shift, bits } of DIGITS) {
		const buckets = 1 << bits;
		histogram.fill(0, 0, buckets);
		for (let i = 0; i < keys.length; i++) {
			const key = keys[i] as number;
			if (((key ^ prefix) & mask) === 0) {
				const digit = (key >>> shift) & (buckets - 1);
				histogram[digit] = (histogram[digit] as number) + (weights === undefined ? 1 : (weights[i] as number));
			}
		}
		let digit = 0;
		let before = above;
		for (let bucket = buckets - 1; bucket >= 0; bucket--) {
			const weight = histogram[bucket] as number;
			if (weight === 0) continue;
			digit = bucket;
			before = above;
			if (above + weight >= target) break;
			above += weight;
		}
		above = before;
		prefix |= digit << shift;
		mask |= (buckets - 1) << shift;
	}
	return { bits: prefix >>> 0, above };
}
