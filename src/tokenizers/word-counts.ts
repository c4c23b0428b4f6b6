/** @file Counts distinct words (byte strings) in typed arrays, in bounded memory: rare words are dropped when full. */

export interface WordCountLimits {
	/** Distinct words held at most; reaching it drops the rarest until half are left. */
	readonly maxWords: number;
	/** Total bytes of the distinct words held at most. */
	readonly maxBytes: number;
}

/** A multiset of byte strings. Words keep the order in which they were first seen. */
export class WordCounts {
	private readonly limits: WordCountLimits;
	private arena = new Uint8Array(1 << 16);
	private used = 0;
	private starts = new Uint32Array(1 << 12);
	private lengths = new Uint32Array(1 << 12);
	private hashes = new Int32Array(1 << 12);
	private tallies = new Float64Array(1 << 12);
	private slots = new Int32Array(1 << 13);
	/** Distinct words held. */
	size = 0;
	/** Occurrences counted, including those of words dropped since. */
	total = 0;
	/** Occurrences of words that were dropped to stay within the limits. */
	dropped = 0;

	constructor(limits: WordCountLimits) {
		this.limits = limits;
	}

	/** Counts one occurrence of bytes[start, end). */
	add(bytes: Uint8Array, start: number, end: number): void {
		this.total++;
		const length = end - start;
		let hash = length;
		for (let i = start; i < end; i++) hash = Math.imul(hash ^ bytes[i]!, 0x01000193);
		hash ^= hash >>> 15;
		const mask = this.slots.length - 1;
		let slot = hash & mask;
		for (;;) {
			const word = this.slots[slot]! - 1;
			if (word < 0) break;
			if (this.hashes[word] === hash && this.lengths[word] === length && this.holds(word, bytes, start)) {
				this.tallies[word]!++;
				return;
			}
			slot = (slot + 1) & mask;
		}
		this.insert(bytes, start, end, hash, slot);
	}

	private holds(word: number, bytes: Uint8Array, start: number): boolean {
		const at = this.starts[word]!;
		const length = this.lengths[word]!;
		for (let i = 0; i < length; i++) if (this.arena[at + i] !== bytes[start + i]) return false;
		return true;
	}

	private insert(bytes: Uint8Array, start: number, end: number, hash: number, slot: number): void {
		const length = end - start;
		if (this.used + length > this.arena.length) {
			const grown = new Uint8Array(Math.max(this.arena.length * 2, this.used + length));
			grown.set(this.arena.subarray(0, this.used));
			this.arena = grown;
		}
		if (this.size === this.starts.length) this.growWords();
		const word = this.size++;
		this.arena.set(bytes.subarray(start, end), this.used);
		this.starts[word] = this.used;
		this.lengths[word] = length;
		this.hashes[word] = hash;
		this.tallies[word] = 1;
		this.used += length;
		this.slots[slot] = word + 1;
		if (this.size > this.limits.maxWords || this.used > this.limits.maxBytes) this.prune();
		if (this.size * 2 > this.slots.length) this.rehash(this.slots.length * 2);
	}

	/** Drops words seen once, then those seen twice, and so on until half of each limit is free. */
	private prune(): void {
		for (let least = 1; this.size > 0; least++) {
			let kept = 0;
			let used = 0;
			for (let word = 0; word < this.size; word++) {
				const tally = this.tallies[word]!;
				if (tally <= least) {
					this.dropped += tally;
					continue;
				}
				const start = this.starts[word]!;
				const length = this.lengths[word]!;
				this.arena.copyWithin(used, start, start + length);
				this.starts[kept] = used;
				this.lengths[kept] = length;
				this.hashes[kept] = this.hashes[word]!;
				this.tallies[kept] = tally;
				used += length;
				kept++;
			}
			this.size = kept;
			this.used = used;
			if (kept * 2 <= this.limits.maxWords && used * 2 <= this.limits.maxBytes) break;
		}
		this.rehash(this.slots.length);
	}

	private growWords(): void {
		const capacity = this.starts.length * 2;
		const grow = <T extends Uint32Array | Int32Array | Float64Array>(from: T, to: T): T => {
			to.set(from);
			return to;
		};
		this.starts = grow(this.starts, new Uint32Array(capacity));
		this.lengths = grow(this.lengths, new Uint32Array(capacity));
		this.hashes = grow(this.hashes, new Int32Array(capacity));
		this.tallies = grow(this.tallies, new Float64Array(capacity));
	}

	private rehash(capacity: number): void {
		this.slots = new Int32Array(capacity);
		const mask = capacity - 1;
		for (let word = 0; word < this.size; word++) {
			let slot = this.hashes[word]! & mask;
			while (this.slots[slot] !== 0) slot = (slot + 1) & mask;
			this.slots[slot] = word + 1;
		}
	}

	/** Total bytes of the distinct words. */
	get byteLength(): number {
		return this.used;
	}

	/** The bytes of a word, 0 <= word < size; a view that is valid until the next `add`. */
	bytesOf(word: number): Uint8Array {
		const start = this.starts[word]!;
		return this.arena.subarray(start, start + this.lengths[word]!);
	}

	/** How often a word was seen (since it was last dropped). */
	countOf(word: number): number {
		return this.tallies[word]!;
	}
}
