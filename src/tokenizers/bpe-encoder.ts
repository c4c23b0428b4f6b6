/**
 * @file Byte-level BPE encoding on bytes and typed arrays: words come from the scanner, their ids from a bounded cache
 * or from merging. Gives the same ids as the Hugging Face libraries, and is what makes tokenizing a corpus quick.
 */
import { BYTE_TO_CHAR, bytesToToken } from './byte-level.ts';
import { PairTable } from './pair-table.ts';
import { nextWord, Utf8Chunks } from './word-scanner.ts';

/** Words longer than this many bytes are merged with a heap, in O(n log n), and not cached. */
const LONG_WORD = 64;
const CACHE_WORDS = 1 << 17;
const CACHE_BYTES = 1 << 21;
const NO_RANK = 0x7fffffff;

export interface BpeTables {
	/** Id of each token, spelled in the byte-level alphabet. */
	readonly vocab: ReadonlyMap<string, number>;
	/** Merges by importance. */
	readonly merges: readonly (readonly [string, string])[];
	/** A word that is a token as a whole is not merged at all. */
	readonly ignoreMerges: boolean;
}

/** A growing list of token ids. */
export class IdBuffer {
	ids = new Int32Array(1 << 12);
	length = 0;

	push(id: number): void {
		if (this.length === this.ids.length) this.reserve(1);
		this.ids[this.length++] = id;
	}

	/** Makes room for `count` more. */
	reserve(count: number): void {
		if (this.length + count <= this.ids.length) return;
		const grown = new Int32Array(Math.max(this.ids.length * 2, this.length + count));
		grown.set(this.ids.subarray(0, this.length));
		this.ids = grown;
	}

	/** A copy of the ids. */
	toTyped(): Int32Array {
		return this.ids.slice(0, this.length);
	}
}

/** Whether a vocabulary can spell any bytes and knows all parts and results of its merges. */
export function isByteLevel({ vocab, merges }: BpeTables): boolean {
	return (
		BYTE_TO_CHAR.every((char) => vocab.has(char)) &&
		merges.every(([a, b]) => vocab.has(a) && vocab.has(b) && vocab.has(a + b))
	);
}

/** Encodes text that holds no added tokens. */
export class BpeEncoder {
	private readonly tables: BpeTables;
	private readonly byteIds = new Int32Array(256);
	private readonly pairs: PairTable;
	private readonly ranks: Int32Array;
	private readonly results: Int32Array;
	private readonly chunks = new Utf8Chunks();
	private readonly cache = new WordCache();
	private symbols = new Int32Array(LONG_WORD);
	private pairRanks = new Int32Array(LONG_WORD);

	/** @param tables for which `isByteLevel` holds */
	constructor(tables: BpeTables) {
		this.tables = tables;
		const { vocab, merges } = tables;
		for (let byte = 0; byte < 256; byte++) this.byteIds[byte] = vocab.get(BYTE_TO_CHAR[byte]!)!;
		this.pairs = new PairTable(merges.length * 2);
		this.ranks = new Int32Array(merges.length);
		this.results = new Int32Array(merges.length);
		for (const [rank, [a, b]] of merges.entries()) {
			const pair = this.pairs.findOrAdd(vocab.get(a)!, vocab.get(b)!);
			this.ranks[pair] = rank;
			this.results[pair] = vocab.get(a + b)!;
		}
	}

	/** Appends the ids of `text` to `out`. */
	encode(text: string, out: IdBuffer): void {
		this.chunks.forEach(text, (bytes, length) => {
			for (let start = 0; start < length; ) {
				const end = nextWord(bytes, start, length);
				this.encodeWord(bytes, start, end, out);
				start = end;
			}
		});
	}

	/** Appends the ids of one word, bytes[start, end), to `out`. */
	encodeWord(bytes: Uint8Array, start: number, end: number, out: IdBuffer): void {
		const length = end - start;
		if (length > LONG_WORD) {
			if (!this.pushWhole(bytes, start, end, out)) this.mergeLong(bytes, start, end, out);
			return;
		}
		const { cache } = this;
		const entry = cache.find(bytes, start, end);
		if (entry >= 0) {
			const from = cache.idStarts[entry]!;
			const to = from + cache.idCounts[entry]!;
			out.reserve(to - from);
			for (let i = from; i < to; i++) out.ids[out.length++] = cache.ids[i]!;
			return;
		}
		const first = out.length;
		if (!this.pushWhole(bytes, start, end, out)) this.mergeShort(bytes, start, end, out);
		cache.insert(bytes, start, end, out.ids, first, out.length);
	}

	private pushWhole(bytes: Uint8Array, start: number, end: number, out: IdBuffer): boolean {
		if (!this.tables.ignoreMerges) return false;
		const id = this.tables.vocab.get(bytesToToken(bytes.subarray(start, end)));
		if (id === undefined) return false;
		out.push(id);
		return true;
	}

	private rankOf(a: number, b: number): number {
		const pair = this.pairs.find(a, b);
		return pair < 0 ? NO_RANK : this.ranks[pair]!;
	}

	/** Merges the best pair until none is left; quadratic, and the fastest way for the usual short word. */
	private mergeShort(bytes: Uint8Array, start: number, end: number, out: IdBuffer): void {
		const { symbols, pairRanks } = this;
		let count = end - start;
		for (let i = 0; i < count; i++) symbols[i] = this.byteIds[bytes[start + i]!]!;
		for (let i = 0; i + 1 < count; i++) pairRanks[i] = this.rankOf(symbols[i]!, symbols[i + 1]!);
		while (count > 1) {
			let best = 0;
			for (let i = 1; i + 1 < count; i++) if (pairRanks[i]! < pairRanks[best]!) best = i;
			if (pairRanks[best] === NO_RANK) break;
			symbols[best] = this.results[this.pairs.find(symbols[best]!, symbols[best + 1]!)]!;
			count--;
			for (let i = best + 1; i < count; i++) {
				symbols[i] = symbols[i + 1]!;
				pairRanks[i - 1] = pairRanks[i]!;
			}
			if (best + 1 < count) pairRanks[best] = this.rankOf(symbols[best]!, symbols[best + 1]!);
			if (best > 0) pairRanks[best - 1] = this.rankOf(symbols[best - 1]!, symbols[best]!);
		}
		out.reserve(count);
		for (let i = 0; i < count; i++) out.ids[out.length++] = symbols[i]!;
	}

	/** The same merges for a word of any length, with a heap of (rank, place). */
	private mergeLong(bytes: Uint8Array, start: number, end: number, out: IdBuffer): void {
		const count = end - start;
		const symbols = new Int32Array(count);
		const next = new Int32Array(count);
		const previous = new Int32Array(count);
		const pairRanks = new Int32Array(count).fill(NO_RANK);
		for (let i = 0; i < count; i++) {
			symbols[i] = this.byteIds[bytes[start + i]!]!;
			next[i] = i + 1 < count ? i + 1 : -1;
			previous[i] = i - 1;
		}
		const queue = new PlaceQueue(count);
		const enqueue = (place: number): void => {
			const following = next[place]!;
			const rank = following < 0 ? NO_RANK : this.rankOf(symbols[place]!, symbols[following]!);
			pairRanks[place] = rank;
			if (rank !== NO_RANK) queue.push(rank, place);
		};
		for (let i = 0; i + 1 < count; i++) enqueue(i);
		while (queue.size > 0) {
			const rank = queue.firstRank();
			const place = queue.firstPlace();
			queue.pop();
			// An entry is void when the pair at its place has changed since, or a merge consumed the place.
			if (pairRanks[place] !== rank) continue;
			const consumed = next[place]!;
			symbols[place] = this.results[this.pairs.find(symbols[place]!, symbols[consumed]!)]!;
			pairRanks[consumed] = NO_RANK;
			const following = next[consumed]!;
			next[place] = following;
			if (following >= 0) previous[following] = place;
			enqueue(place);
			if (previous[place]! >= 0) enqueue(previous[place]!);
		}
		for (let i = 0; i >= 0; i = next[i]!) out.push(symbols[i]!);
	}
}

/** A binary min-heap of (rank, place): the lowest rank first, then the leftmost place. */
class PlaceQueue {
	private keys: Float64Array;
	size = 0;

	constructor(capacity: number) {
		this.keys = new Float64Array(Math.max(16, capacity));
	}

	// Rank above, place below in one double: exact for fewer than 2^23 merges and words of up to 2^30 bytes.
	private static readonly PLACES = 2 ** 30;

	push(rank: number, place: number): void {
		if (this.size === this.keys.length) {
			const grown = new Float64Array(this.size * 2);
			grown.set(this.keys);
			this.keys = grown;
		}
		const key = rank * PlaceQueue.PLACES + place;
		const { keys } = this;
		let hole = this.size++;
		while (hole > 0) {
			const parent = (hole - 1) >> 1;
			if (keys[parent]! <= key) break;
			keys[hole] = keys[parent]!;
			hole = parent;
		}
		keys[hole] = key;
	}

	firstRank(): number {
		return Math.floor(this.keys[0]! / PlaceQueue.PLACES);
	}

	firstPlace(): number {
		return this.keys[0]! % PlaceQueue.PLACES;
	}

	pop(): void {
		const { keys } = this;
		const last = --this.size;
		const key = keys[last]!;
		let hole = 0;
		for (;;) {
			let child = 2 * hole + 1;
			if (child >= last) break;
			if (child + 1 < last && keys[child + 1]! < keys[child]!) child++;
			if (keys[child]! >= key) break;
			keys[hole] = keys[child]!;
			hole = child;
		}
		keys[hole] = key;
	}
}

/** Ids of words met before; emptied when full, so its memory is bounded. */
class WordCache {
	private readonly slots = new Int32Array(CACHE_WORDS * 2);
	private readonly hashes = new Int32Array(CACHE_WORDS);
	private readonly starts = new Int32Array(CACHE_WORDS);
	private readonly lengths = new Uint8Array(CACHE_WORDS);
	private readonly bytes = new Uint8Array(CACHE_BYTES);
	readonly idStarts = new Int32Array(CACHE_WORDS);
	readonly idCounts = new Uint8Array(CACHE_WORDS);
	/** A word has at most as many ids as bytes. */
	readonly ids = new Int32Array(CACHE_BYTES);
	private size = 0;
	private usedBytes = 0;
	private usedIds = 0;
	private lastHash = 0;
	private lastSlot = 0;

	/** Entry of a word, or -1; `insert` must directly follow a miss. */
	find(bytes: Uint8Array, start: number, end: number): number {
		const length = end - start;
		let hash = length;
		for (let i = start; i < end; i++) hash = Math.imul(hash ^ bytes[i]!, 0x01000193);
		hash ^= hash >>> 15;
		const mask = this.slots.length - 1;
		let slot = hash & mask;
		for (;;) {
			const entry = this.slots[slot]! - 1;
			if (entry < 0) break;
			if (this.hashes[entry] === hash && this.lengths[entry] === length && this.holds(entry, bytes, start, length))
				return entry;
			slot = (slot + 1) & mask;
		}
		this.lastHash = hash;
		this.lastSlot = slot;
		return -1;
	}

	private holds(entry: number, bytes: Uint8Array, start: number, length: number): boolean {
		const at = this.starts[entry]!;
		for (let i = 0; i < length; i++) if (this.bytes[at + i] !== bytes[start + i]) return false;
		return true;
	}

	insert(bytes: Uint8Array, start: number, end: number, ids: Int32Array, firstId: number, endId: number): void {
		const length = end - start;
		if (this.size === CACHE_WORDS || this.usedBytes + length > CACHE_BYTES) {
			this.slots.fill(0);
			this.size = 0;
			this.usedBytes = 0;
			this.usedIds = 0;
			this.lastSlot = this.lastHash & (this.slots.length - 1);
		}
		const entry = this.size++;
		this.slots[this.lastSlot] = entry + 1;
		this.hashes[entry] = this.lastHash;
		this.starts[entry] = this.usedBytes;
		this.lengths[entry] = length;
		for (let i = start; i < end; i++) this.bytes[this.usedBytes++] = bytes[i]!;
		this.idStarts[entry] = this.usedIds;
		this.idCounts[entry] = endId - firstId;
		for (let i = firstId; i < endId; i++) this.ids[this.usedIds++] = ids[i]!;
	}
}
