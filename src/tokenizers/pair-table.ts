/** @file A map from pairs of non-negative integers to consecutive indices: open addressing in typed arrays. */

/** Pairs are numbered 0, 1, 2 ... in the order they are added. */
export class PairTable {
	/** First and second member of pair i. */
	first: Int32Array;
	second: Int32Array;
	size = 0;
	private slots: Int32Array;

	constructor(capacity = 1024) {
		const rounded = 2 ** Math.ceil(Math.log2(Math.max(16, capacity)));
		this.first = new Int32Array(rounded);
		this.second = new Int32Array(rounded);
		this.slots = new Int32Array(rounded * 2);
	}

	/** Index of (a, b), or -1. */
	find(a: number, b: number): number {
		const mask = this.slots.length - 1;
		let slot = hash(a, b) & mask;
		for (;;) {
			const index = this.slots[slot]! - 1;
			if (index < 0 || (this.first[index] === a && this.second[index] === b)) return index;
			slot = (slot + 1) & mask;
		}
	}

	/** Index of (a, b), which is added when it is new (then the index equals the former `size`). */
	findOrAdd(a: number, b: number): number {
		const mask = this.slots.length - 1;
		let slot = hash(a, b) & mask;
		for (;;) {
			const index = this.slots[slot]! - 1;
			if (index < 0) break;
			if (this.first[index] === a && this.second[index] === b) return index;
			slot = (slot + 1) & mask;
		}
		const index = this.size++;
		this.slots[slot] = index + 1;
		this.first[index] = a;
		this.second[index] = b;
		if (this.size === this.first.length) this.grow();
		return index;
	}

	private grow(): void {
		const capacity = this.first.length * 2;
		const first = new Int32Array(capacity);
		const second = new Int32Array(capacity);
		first.set(this.first);
		second.set(this.second);
		this.first = first;
		this.second = second;
		this.slots = new Int32Array(capacity * 2);
		const mask = this.slots.length - 1;
		for (let index = 0; index < this.size; index++) {
			let slot = hash(first[index]!, second[index]!) & mask;
			while (this.slots[slot] !== 0) slot = (slot + 1) & mask;
			this.slots[slot] = index + 1;
		}
	}
}

function hash(a: number, b: number): number {
	let h = Math.imul(a, 0x9e3779b1) ^ Math.imul(b, 0x85ebca6b);
	h = Math.imul(h ^ (h >>> 15), 0x2c1b3c6d);
	return h ^ (h >>> 13);
}
