import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hostileTexts } from '../../test/support/hostile-texts.ts';
import { cutAfter, cutBefore, GPT2_PATTERN, nextWord, Utf8Chunks } from './word-scanner.ts';

const pattern = new RegExp(GPT2_PATTERN.replaceAll('\\s', '\\p{White_Space}').replace('\\S', '\\P{White_Space}'), 'gu');
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

function scan(text: string): string[] {
	const words: string[] = [];
	new Utf8Chunks().forEach(text, (bytes, length) => {
		for (let start = 0; start < length; ) {
			const end = nextWord(bytes, start, length);
			words.push(decoder.decode(bytes.subarray(start, end)));
			start = end;
		}
	});
	return words;
}

test('the scanner finds the words of the regular expression', () => {
	for (const text of hostileTexts(6000, 1)) {
		const expected = text.toWellFormed().match(pattern) ?? [];
		assert.deepEqual(scan(text), [...expected], JSON.stringify(text));
	}
});

test('code points have the class that the regular expression gives them', () => {
	const encoder = new TextEncoder();
	const bytes = new Uint8Array(8);
	/** Whether a character continues a word that begins with `start`. */
	const joins = (start: string, char: string): boolean => {
		const { written } = encoder.encodeInto(start + char, bytes);
		return nextWord(bytes, 0, written) > 1;
	};
	const number = /\p{N}/u;
	const letter = /\p{L}/u;
	const other = /[^\p{White_Space}\p{L}\p{N}]/u;
	// All of the basic plane, every third code point of the planes with letters, a few of the rest.
	for (let point = 0; point < 0x110000; point += point < 0x10000 ? 1 : point < 0x32000 ? 3 : 101) {
		if (point >= 0xd800 && point < 0xe000) continue;
		const char = String.fromCodePoint(point);
		const found = [joins('1', char), joins('a', char), joins('-', char)];
		const expected = [number.test(char), letter.test(char), other.test(char)];
		if (found.join() !== expected.join()) assert.deepEqual(found, expected, point.toString(16));
	}
});

test('cutting a text at a safe place does not change its words', () => {
	for (const text of hostileTexts(2000, 2)) {
		const middle = Math.floor(text.length / 2);
		for (const cut of [cutAfter(text, middle), cutBefore(text, middle)])
			assert.deepEqual([...scan(text.slice(0, cut)), ...scan(text.slice(cut))], scan(text), JSON.stringify(text));
	}
});

test('long texts are scanned in pieces with the same words', () => {
	const text = `${hostileTexts(3000, 3).join(' ')} ${'x'.repeat(600_000)} ${' '.repeat(300_000)}end`;
	assert.deepEqual(scan(text), [...(text.toWellFormed().match(pattern) ?? [])]);
});
