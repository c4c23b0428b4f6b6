/**
 * @file A binary max-heap of (count, pair index), ordered by count, then by the smaller first token id, then by the
 * smaller second token id. This order is the tie rule of training.
 */
import type { PairTable } from './pair-table.ts';

export class MergeHeap {
	private readonly pairs: PairTable;
	private items = new Int32Array(1024);
	private keys = new Float64Array(1024);
	size = 0;

	constructor(pairs: PairTable) {
		this.pairs = pairs;
	}

	push(pair: number, count: number): void {
		if (this.size === this.items.length) this.grow();
		let hole = this.size++;
		while (hole > 0) {
			const parent = (hole - 1) >> 1;
			if (!this.before(count, pair, this.keys[parent]!, this.items[parent]!)) break;
			this.keys[hole] = this.keys[parent]!;
			this.items[hole] = this.items[parent]!;
			hole = parent;
		}
		this.keys[hole] = count;
		this.items[hole] = pair;
	}

	/** The pair of the first entry; undefined behaviour when empty. */
	peekPair(): number {
		return this.items[0]!;
	}

	/** The count that the first entry was pushed with. */
	peekCount(): number {
		return this.keys[0]!;
	}

	/** Removes the first entry. */
	pop(): void {
		const last = --this.size;
		if (last <= 0) return;
		const key = this.keys[last]!;
		const item = this.items[last]!;
		let hole = 0;
		for (;;) {
			let child = 2 * hole + 1;
			if (child >= last) break;
			const right = child + 1;
			if (right < last && this.before(this.keys[right]!, this.items[right]!, this.keys[child]!, this.items[child]!))
				child = right;
			if (!this.before(this.keys[child]!, this.items[child]!, key, item)) break;
			this.keys[hole] = this.keys[child]!;
			this.items[hole] = this.items[child]!;
			hole = child;
		}
		this.keys[hole] = key;
		this.items[hole] = item;
	}

	private before(keyA: number, a: number, keyB: number, b: number): boolean {
		if (keyA !== keyB) return keyA > keyB;
		const { first, second } = this.pairs;
		if (first[a] !== first[b]) return first[a]! < first[b]!;
		return second[a]! < second[b]!;
	}

	private grow(): void {
		const items = new Int32Array(this.items.length * 2);
		const keys = new Float64Array(this.keys.length * 2);
		items.set(this.items);
		keys.set(this.keys);
		this.items = items;
		this.keys = keys;
	}
}
