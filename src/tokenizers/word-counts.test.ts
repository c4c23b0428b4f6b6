import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RandomStream } from '../base/random.ts';
import { WordCounts } from './word-counts.ts';

const encoder = new TextEncoder();
const decoder = new TextDecoder();

function countAll(words: readonly string[], limits = { maxWords: 1e6, maxBytes: 1e8 }): WordCounts {
	const counts = new WordCounts(limits);
	for (const word of words) {
		const bytes = encoder.encode(`..${word}.`);
		counts.add(bytes, 2, bytes.length - 1);
	}
	return counts;
}

test('counts are those of a Map, in order of first sight', () => {
	const random = new RandomStream(5);
	const words = Array.from({ length: 20_000 }, () => `w${Math.floor(random.uniform() ** 3 * 20_000)}\u00e9`);
	const expected = new Map<string, number>();
	for (const word of words) expected.set(word, (expected.get(word) ?? 0) + 1);
	const counts = countAll(words);
	const found = Array.from({ length: counts.size }, (_, i) => [decoder.decode(counts.bytesOf(i)), counts.countOf(i)]);
	assert.deepEqual(found, [...expected]);
	assert.equal(counts.total, words.length);
	assert.equal(counts.dropped, 0);
});

test('a full table drops rare words and keeps frequent ones, within its limits', () => {
	const words = Array.from({ length: 20_000 }, (_, i) => (i % 2 === 0 ? `often${i % 100}` : `once${i}`));
	const counts = countAll(words, { maxWords: 1000, maxBytes: 1e6 });
	assert.ok(counts.size <= 1000);
	const kept = new Map(
		Array.from({ length: counts.size }, (_, i) => [decoder.decode(counts.bytesOf(i)), counts.countOf(i)]),
	);
	for (let i = 0; i < 100; i += 2) assert.equal(kept.get(`often${i}`), 200);
	let held = 0;
	for (const count of kept.values()) held += count;
	assert.equal(held + counts.dropped, counts.total);
});

test('the limit on bytes holds too', () => {
	const words = Array.from({ length: 5000 }, (_, i) => `${i}`.repeat(20));
	assert.ok(countAll(words, { maxWords: 1e6, maxBytes: 20_000 }).byteLength <= 20_000);
});
