/**
 * @file Learns byte-level BPE merges from word counts (Sennrich et al. 2016, over bytes as in GPT-2). All words lie in
 * one flat array; every adjacent pair keeps an exact list of the places where it occurs, so a merge touches only what
 * it changes. Memory: 18 bytes per byte of distinct words, and about 40 per distinct pair.
 */
import { BYTE_TO_CHAR, bytesInAlphabetOrder } from './byte-level.ts';
import { MergeHeap } from './merge-heap.ts';
import { PairTable } from './pair-table.ts';
import type { WordCounts } from './word-counts.ts';

export interface MergeOptions {
	/** Tokens wanted in all: special tokens, the 256 bytes, and merges. */
	readonly vocabSize: number;
	/** A pair that occurs less often is not merged. */
	readonly minFrequency: number;
	/** No token gets longer than this many bytes; at most 65,535. */
	readonly maxTokenBytes: number;
	/** Take the first ids, in this order. */
	readonly specialTokens: readonly string[];
}

export interface LearnedMerges {
	/** Token of each id, in the alphabet of byte-level BPE. */
	readonly tokens: string[];
	/** Pairs of token ids, most important first; the result is the token that spells both. */
	readonly merges: [number, number][];
}

/** Symbol of the cells between words. */
const WALL = -1;
/** Symbol of a cell whose token became the second half of a merge. */
const GONE = -2;

/**
 * Learns merges; yields the number of tokens so far after each merge, so that the caller can report, pause or stop.
 *
 * Deterministic: the most frequent pair first; among equals the one with the smaller first id, then the smaller second
 * id. Ids are handed out in this order: special tokens, the bytes in alphabet order, merges. A pair that spells a
 * token which exists (another pair made it) becomes a merge into that token. Overlapping occurrences (`aaa`) all
 * count, and are merged from the left.
 */
export function* learnMerges(words: WordCounts, options: MergeOptions): Generator<number, LearnedMerges> {
	const { vocabSize, minFrequency, maxTokenBytes } = options;
	const tokens: string[] = [];
	const ids = new Map<string, number>();
	const idOf = (token: string): number => {
		let id = ids.get(token);
		if (id === undefined) {
			id = tokens.length;
			tokens.push(token);
			ids.set(token, id);
		}
		return id;
	};
	for (const token of options.specialTokens) idOf(token);
	const byteIds = new Int32Array(256);
	for (const byte of bytesInAlphabetOrder()) byteIds[byte] = idOf(BYTE_TO_CHAR[byte]!);

	const places = new PairPlaces(words, byteIds, maxTokenBytes);
	const { pairs, heap } = places;
	for (let pair = 0; pair < pairs.size; pair++) places.offer(pair, minFrequency);

	const merges: [number, number][] = [];
	let tokensAtMerge = new Int32Array(1024).fill(-1);
	while (tokens.length < vocabSize && heap.size > 0) {
		const pair = heap.peekPair();
		const count = heap.peekCount();
		heap.pop();
		if (!places.isCurrent(pair, count, minFrequency)) continue;
		if (pair >= tokensAtMerge.length) {
			const grown = new Int32Array(Math.max(pair + 1, tokensAtMerge.length * 2)).fill(-1);
			grown.set(tokensAtMerge);
			tokensAtMerge = grown;
		}
		const a = pairs.first[pair]!;
		const b = pairs.second[pair]!;
		// A pair comes back when its first or second token is made a second way; its place in the list stays.
		if (tokensAtMerge[pair] === -1) {
			tokensAtMerge[pair] = idOf(tokens[a]! + tokens[b]!);
			merges.push([a, b]);
		}
		places.merge(pair, tokensAtMerge[pair]!, minFrequency);
		yield tokens.length;
	}
	return { tokens, merges };
}

/** Where every adjacent pair of tokens occurs, with counts, kept exact while pairs are merged. */
class PairPlaces {
	readonly pairs = new PairTable(1 << 16);
	readonly heap = new MergeHeap(this.pairs);
	private readonly maxTokenBytes: number;
	/** Token id at the first cell of each token. */
	private readonly symbols: Int32Array;
	/** Length of a token, at its first and its last cell: enough to step both ways. */
	private readonly lengths: Uint16Array;
	/** Occurrences of the word that a cell belongs to. */
	private readonly weights: Uint32Array;
	/** Doubly linked lists of the cells where a pair begins, one list for each pair. */
	private readonly nextPlace: Int32Array;
	private readonly previousPlace: Int32Array;
	private heads = new Int32Array(1 << 16);
	private counts = new Float64Array(1 << 16);
	/** Count of the newest heap entry of a pair; older entries are void. */
	private offered = new Float64Array(1 << 16);
	private merged = new Uint8Array(1 << 16);
	private scratch = new Int32Array(1 << 12);
	/** Pairs whose count grew in the current merge, each once: `lastTouched` holds the number of the merge. */
	private readonly touched: number[] = [];
	private lastTouched = new Int32Array(1 << 16);
	private step = 0;

	constructor(words: WordCounts, byteIds: Int32Array, maxTokenBytes: number) {
		this.maxTokenBytes = maxTokenBytes;
		const cells = words.byteLength + words.size + 1;
		this.symbols = new Int32Array(cells);
		this.lengths = new Uint16Array(cells);
		this.weights = new Uint32Array(cells);
		this.nextPlace = new Int32Array(cells);
		this.previousPlace = new Int32Array(cells);
		this.symbols[0] = WALL;
		let cell = 1;
		for (let word = 0; word < words.size; word++) {
			const bytes = words.bytesOf(word);
			const weight = Math.min(words.countOf(word), 0xffffffff);
			for (let i = 0; i < bytes.length; i++, cell++) {
				this.symbols[cell] = byteIds[bytes[i]!]!;
				this.lengths[cell] = 1;
				this.weights[cell] = weight;
				if (i > 0 && maxTokenBytes >= 2) this.add(cell - 1, this.symbols[cell - 1]!, this.symbols[cell]!, weight);
			}
			this.symbols[cell++] = WALL;
		}
	}

	/** Puts a pair on the heap when its count is worth it and above that of its entry. */
	offer(pair: number, minFrequency: number): void {
		const count = this.counts[pair]!;
		if (this.merged[pair] === 1) {
			// Its tokens met again: encoding would join them at once, so must training.
			if (count > 0) this.heap.push(pair, Number.POSITIVE_INFINITY);
			return;
		}
		if (count < minFrequency || count <= this.offered[pair]!) return;
		this.offered[pair] = count;
		this.heap.push(pair, count);
	}

	/** Whether a popped entry is to be merged now; an entry that promised too much goes back with its true count. */
	isCurrent(pair: number, count: number, minFrequency: number): boolean {
		if (count === Number.POSITIVE_INFINITY) return this.counts[pair]! > 0;
		if (this.offered[pair] !== count) return false;
		this.offered[pair] = 0;
		if (this.counts[pair] === count) return true;
		this.offer(pair, minFrequency);
		return false;
	}

	/** Replaces every occurrence of a pair by `token`. */
	merge(pair: number, token: number, minFrequency: number): void {
		const { symbols, lengths, weights } = this;
		const a = this.pairs.first[pair]!;
		const b = this.pairs.second[pair]!;
		const places = this.collect(pair, a === b);
		this.touched.length = 0;
		this.step++;
		for (let i = 0; i < places; i++) {
			const here = this.scratch[i]!;
			if (symbols[here] !== a) continue;
			const second = here + lengths[here]!;
			if (symbols[second] !== b) continue;
			const weight = weights[here]!;
			const after = second + lengths[second]!;
			const length = after - here;
			if (symbols[here - 1] !== WALL) {
				const before = here - lengths[here - 1]!;
				const previous = symbols[before]!;
				const beforeLength = lengths[before]!;
				if (beforeLength + lengths[here]! <= this.maxTokenBytes) this.remove(before, previous, a, weight, pair);
				if (beforeLength + length <= this.maxTokenBytes) this.add(before, previous, token, weight);
			}
			const following = symbols[after]!;
			if (following !== WALL) {
				const afterLength = lengths[after]!;
				if (lengths[second]! + afterLength <= this.maxTokenBytes) this.remove(second, b, following, weight, pair);
				if (length + afterLength <= this.maxTokenBytes) this.add(here, token, following, weight);
			}
			symbols[here] = token;
			symbols[second] = GONE;
			lengths[here] = length;
			lengths[after - 1] = length;
		}
		this.counts[pair] = 0;
		this.merged[pair] = 1;
		for (const grown of this.touched) this.offer(grown, minFrequency);
	}

	/** Moves the places of a pair to `scratch` and empties its list; returns how many there are. */
	private collect(pair: number, inOrder: boolean): number {
		let places = 0;
		for (let place = this.heads[pair]! - 1; place >= 0; place = this.nextPlace[place]! - 1) {
			if (places === this.scratch.length) {
				const grown = new Int32Array(places * 2);
				grown.set(this.scratch);
				this.scratch = grown;
			}
			this.scratch[places++] = place;
		}
		this.heads[pair] = 0;
		// Only a pair of equal tokens can overlap itself, and then the leftmost goes first.
		if (inOrder) this.scratch.subarray(0, places).sort();
		return places;
	}

	private add(place: number, a: number, b: number, weight: number): void {
		const known = this.pairs.size;
		const pair = this.pairs.findOrAdd(a, b);
		if (pair === known && pair >= this.heads.length) this.growPairs();
		if (this.lastTouched[pair] !== this.step) {
			this.lastTouched[pair] = this.step;
			this.touched.push(pair);
		}
		const head = this.heads[pair]!;
		this.nextPlace[place] = head;
		this.previousPlace[place] = 0;
		if (head !== 0) this.previousPlace[head - 1] = place + 1;
		this.heads[pair] = place + 1;
		this.counts[pair]! += weight;
	}

	private remove(place: number, a: number, b: number, weight: number, merging: number): void {
		const pair = this.pairs.find(a, b);
		// The list of the pair being merged is already taken apart.
		if (pair === merging) return;
		const next = this.nextPlace[place]!;
		const previous = this.previousPlace[place]!;
		if (next !== 0) this.previousPlace[next - 1] = previous;
		if (previous !== 0) this.nextPlace[previous - 1] = next;
		else this.heads[pair] = next;
		this.counts[pair]! -= weight;
	}

	private growPairs(): void {
		const capacity = this.heads.length * 2;
		const heads = new Int32Array(capacity);
		const counts = new Float64Array(capacity);
		const offered = new Float64Array(capacity);
		const merged = new Uint8Array(capacity);
		const lastTouched = new Int32Array(capacity);
		heads.set(this.heads);
		counts.set(this.counts);
		offered.set(this.offered);
		merged.set(this.merged);
		lastTouched.set(this.lastTouched);
		this.heads = heads;
		this.counts = counts;
		this.offered = offered;
		this.merged = merged;
		this.lastTouched = lastTouched;
	}
}
