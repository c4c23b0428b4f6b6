/**
 * @file Seeded random numbers from a counter: value i of a stream depends on (seed, i) alone, so any part of a
 * stream can be made again, in any order, on any device. The mixing function is a two-round 32-bit multiply-xorshift
 * hash (constants from the "lowbias32" search of C. Wellons); the graph op `randomUniform` computes the same numbers.
 */

/** 32 mixed bits of (seed, counter) as an unsigned integer. */
export function randomBits(seed: number, counter: number): number {
	return mix(mix(counter) ^ mix(seed ^ 0x9e3779b9));
}

/** A 32-bit finaliser: every input bit flips every output bit with probability near one half. */
export function mix(value: number): number {
	let x = value >>> 0;
	x ^= x >>> 16;
	x = Math.imul(x, 0x7feb352d);
	x ^= x >>> 15;
	x = Math.imul(x, 0x846ca68b);
	x ^= x >>> 16;
	return x >>> 0;
}

/** Uniform in the open interval (0, 1), on a grid of 2^-24 whose every point is a float32: the graph gives the same. */
export function uniformAt(seed: number, counter: number): number {
	return ((randomBits(seed, counter) >>> 9) + 0.5) * 2 ** -23;
}

/** A seed that depends on another seed and a number (a layer, a step). */
export function foldSeed(seed: number, value: number): number {
	return mix(seed ^ mix(value ^ 0x51ed270b));
}

/** A seed for a named sub-stream, so that adding a consumer of randomness does not change the others. */
export function deriveSeed(seed: number, name: string): number {
	let hash = mix(seed ^ 0x51ed270b);
	for (let i = 0; i < name.length; i++) hash = mix(hash ^ Math.imul(name.charCodeAt(i) + 1, 0x01000193));
	return hash >>> 0;
}

/** A stream of numbers whose whole state is one integer, so that it can be saved and resumed. */
export class RandomStream {
	readonly seed: number;
	counter: number;

	constructor(seed: number, counter = 0) {
		this.seed = seed >>> 0;
		this.counter = counter;
	}

	/** Uniform in (0, 1). */
	uniform(): number {
		return uniformAt(this.seed, this.counter++);
	}

	/** Integer in [0, bound). */
	integer(bound: number): number {
		return Math.floor(this.uniform53() * bound);
	}

	/** Standard normal (Box-Muller). */
	normal(): number {
		const radius = Math.sqrt(-2 * Math.log(this.uniform()));
		return radius * Math.cos(2 * Math.PI * this.uniform());
	}

	/** In-place Fisher-Yates shuffle. */
	shuffle<T extends { [index: number]: unknown; length: number }>(items: T): T {
		for (let i = items.length - 1; i > 0; i--) {
			const j = this.integer(i + 1);
			const held = items[i];
			items[i] = items[j];
			items[j] = held;
		}
		return items;
	}

	private uniform53(): number {
		const high = randomBits(this.seed, this.counter++) >>> 5;
		const low = randomBits(this.seed, this.counter++) >>> 6;
		return (high * 67108864 + low) / 9007199254740992;
	}
}
