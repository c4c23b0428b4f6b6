/**
 * @file The pre-tokenizer of GPT-2 as a hand-written scanner over UTF-8 bytes: the same words as GPT2_PATTERN, found
 * at about twice its speed and without making a string for each word (`node bench/tokenizer.ts` prints both).
 */

/** GPT-2's word pattern as its authors published it; `\s` means the Unicode property White_Space. */
export const GPT2_PATTERN = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

// Class 0 is everything else.
const LETTER = 1;
const NUMBER = 2;
const SPACE = 3;

// JavaScript's \s has U+FEFF and lacks U+0085; the property is what every other implementation means by \s.
const CLASS_PATTERNS: readonly [number, RegExp][] = [
	[LETTER, /\p{L}+/gu],
	[NUMBER, /\p{N}+/gu],
	[SPACE, /\p{White_Space}+/gu],
];

/** Character class of every code point below U+10000; surrogates are 0, as U+FFFD is. */
const basicPlane = classTable(0, 0x10000);
let otherPlanes: Uint8Array | undefined;

function classTable(from: number, to: number): Uint8Array {
	const classes = new Uint8Array(to - from);
	const step = 0x4000;
	for (let start = from; start < to; start += step) {
		if (start >= 0xd800 && start < 0xe000) continue;
		const points: number[] = [];
		for (let point = start; point < Math.min(start + step, to); point++)
			points.push(point >= 0xd800 && point < 0xe000 ? 0xfffd : point);
		const text = String.fromCodePoint(...points);
		const width = start >= 0x10000 ? 2 : 1;
		for (const [kind, pattern] of CLASS_PATTERNS) {
			for (const run of text.matchAll(pattern)) {
				const first = start - from + run.index / width;
				classes.fill(kind, first, first + run[0].length / width);
			}
		}
	}
	return classes;
}

/** Class of the multi-byte character at `i`. */
function wideClass(bytes: Uint8Array, i: number): number {
	const lead = bytes[i]!;
	if (lead < 0xe0) return basicPlane[((lead & 0x1f) << 6) | (bytes[i + 1]! & 0x3f)]!;
	if (lead < 0xf0) return basicPlane[((lead & 0x0f) << 12) | ((bytes[i + 1]! & 0x3f) << 6) | (bytes[i + 2]! & 0x3f)]!;
	// Made on first use: text outside the basic plane is rare and the table is a million entries.
	otherPlanes ??= classTable(0x10000, 0x110000);
	const point =
		((lead & 0x07) << 18) | ((bytes[i + 1]! & 0x3f) << 12) | ((bytes[i + 2]! & 0x3f) << 6) | (bytes[i + 3]! & 0x3f);
	return otherPlanes[point - 0x10000]!;
}

function width(lead: number): number {
	return lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

/**
 * End of the word that starts at byte `start`; words cover the text without gaps.
 * @param bytes well-formed UTF-8 (what TextEncoder makes); `start` is at a character
 * @param end where the text ends; must be greater than `start`
 */
export function nextWord(bytes: Uint8Array, start: number, end: number): number {
	const first = bytes[start]!;
	if (first === 0x27) {
		const after = contraction(bytes, start, end);
		if (after > 0) return after;
	}
	let i = start;
	let kind = first < 0x80 ? basicPlane[first]! : wideClass(bytes, start);
	if (first === 0x20 && start + 1 < end) {
		const second = bytes[start + 1]!;
		const secondKind = second < 0x80 ? basicPlane[second]! : wideClass(bytes, start + 1);
		if (secondKind !== SPACE) {
			i++;
			kind = secondKind;
		}
	}
	let last = i;
	while (i < end) {
		const lead = bytes[i]!;
		if (lead < 0x80) {
			if (basicPlane[lead] !== kind) break;
			last = i++;
		} else {
			if (wideClass(bytes, i) !== kind) break;
			last = i;
			i += width(lead);
		}
	}
	// `\s+(?!\S)`: white space before a word leaves its last character to that word, unless it is the only one.
	if (kind === SPACE && i < end && last > start) return last;
	return i;
}

/** End of 's 't 'm 'd 're 've 'll at `i`, or 0. */
function contraction(bytes: Uint8Array, i: number, end: number): number {
	if (i + 1 >= end) return 0;
	const a = bytes[i + 1];
	if (a === 0x73 || a === 0x74 || a === 0x6d || a === 0x64) return i + 2;
	if (i + 2 >= end) return 0;
	const b = bytes[i + 2];
	if ((a === 0x72 || a === 0x76) && b === 0x65) return i + 3;
	return a === 0x6c && b === 0x6c ? i + 3 : 0;
}

/** Whether a UTF-16 code unit is white space; all white space is in the basic plane. */
export function isSpace(unit: number): boolean {
	return basicPlane[unit] === SPACE;
}

/**
 * First place at or after `from` where a text can be cut in two without changing its words: before white space that
 * follows something else. `text.length` when there is none.
 */
export function cutAfter(text: string, from: number): number {
	for (let i = Math.max(1, from); i < text.length; i++)
		if (basicPlane[text.charCodeAt(i)] === SPACE && basicPlane[text.charCodeAt(i - 1)] !== SPACE) return i;
	return text.length;
}

/** Last such place at or before `from`, or 0 when there is none. */
export function cutBefore(text: string, from: number): number {
	for (let i = Math.min(from, text.length - 1); i > 0; i--)
		if (basicPlane[text.charCodeAt(i)] === SPACE && basicPlane[text.charCodeAt(i - 1)] !== SPACE) return i;
	return 0;
}

const encoder = new TextEncoder();
const CHUNK = 1 << 18;

/** Encodes texts of any length to UTF-8 in pieces that end between words, reusing one buffer. */
export class Utf8Chunks {
	private buffer = new Uint8Array(3 * 4096);

	/**
	 * Calls `use(bytes, length)` for each piece of text[start, end); the bytes are overwritten by the next piece.
	 * Lone surrogates become U+FFFD. A word is never divided, however long.
	 */
	forEach(text: string, use: (bytes: Uint8Array, length: number) => void): void {
		let from = 0;
		while (from < text.length) {
			const to = text.length - from <= CHUNK ? text.length : cutAfter(text, from + CHUNK);
			const piece = from === 0 && to === text.length ? text : text.slice(from, to);
			if (this.buffer.length < piece.length * 3) this.buffer = new Uint8Array(piece.length * 3);
			const { written } = encoder.encodeInto(piece, this.buffer);
			use(this.buffer, written);
			from = to;
		}
		// A giant text should not hold its buffer for ever.
		if (this.buffer.length > 16 * CHUNK) this.buffer = new Uint8Array(3 * CHUNK);
	}
}
