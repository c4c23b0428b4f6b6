/**
 * @file A seeded permutation of [0, n) that is computed, not stored: a Feistel network over the next even power of two,
 * walked until it lands inside (J. Black and P. Rogaway, "Ciphers with arbitrary finite domains", 2002).
 */
import { deriveSeed, randomBits } from '../base/random.ts';

const ROUNDS = 8;

/**
 * Where element i of [0, size) goes under the permutation of `seed`. Time per call is constant on average (fewer than
 * four walks), memory is none.
 * @param size at most 2^52
 */
export function seededPermutation(size: number, seed: number): (index: number) => number {
	if (!Number.isSafeInteger(size) || size < 0 || size > 2 ** 52)
		throw new RangeError(`a permutation of ${size} elements`);
	// Halves of equal width keep the network a bijection with one simple round.
	let halfBits = 1;
	while (4 ** halfBits < size) halfBits++;
	const half = 2 ** halfBits;
	const keys = Array.from({ length: ROUNDS }, (_, round) => deriveSeed(seed, `round ${round}`));
	return (index) => {
		if (!(index >= 0 && index < size)) throw new RangeError(`element ${index} of ${size}`);
		let value = index;
		do {
			let left = Math.floor(value / half);
			let right = value % half;
			for (const key of keys) {
				const mixed = randomBits(key, right) >>> (32 - halfBits);
				[left, right] = [right, (left ^ mixed) >>> 0];
			}
			value = left * half + right;
		} while (value >= size);
		return value;
	};
}
