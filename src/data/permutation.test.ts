/** @file The computed permutation is one, depends on its seed and looks random. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { seededPermutation } from './permutation.ts';

test('every element has exactly one place', () => {
	fc.assert(
		fc.property(fc.integer({ min: 0, max: 700 }), fc.nat(2 ** 32 - 1), (size, seed) => {
			const permute = seededPermutation(size, seed);
			const seen = new Set(Array.from({ length: size }, (_, i) => permute(i)));
			assert.equal(seen.size, size);
			for (const place of seen) assert.ok(Number.isInteger(place) && place >= 0 && place < size);
		}),
		{ numRuns: 200 },
	);
});

test('huge ranges work without memory for them', () => {
	const size = 2 ** 45 + 12_345;
	const permute = seededPermutation(size, 1);
	const places = Array.from({ length: 2000 }, (_, i) => permute(i));
	assert.equal(new Set(places).size, places.length);
	assert.ok(places.every((place) => Number.isSafeInteger(place) && place >= 0 && place < size));
	const mean = places.reduce((sum, place) => sum + place / size, 0) / places.length;
	assert.ok(Math.abs(mean - 0.5) < 0.03, `mean ${mean}`);
	assert.throws(() => permute(size), RangeError);
});

test('each element goes everywhere about equally often over seeds', () => {
	const size = 10;
	const counts = Array.from({ length: size }, () => new Array<number>(size).fill(0));
	const seeds = 4000;
	for (let seed = 0; seed < seeds; seed++) {
		const permute = seededPermutation(size, seed);
		for (let i = 0; i < size; i++)
			(counts[i] as number[])[permute(i)] = ((counts[i] as number[])[permute(i)] as number) + 1;
	}
	const expected = seeds / size;
	// Six standard deviations of a binomial count.
	const bound = 6 * Math.sqrt(expected * (1 - 1 / size));
	for (const row of counts) for (const count of row) assert.ok(Math.abs(count - expected) < bound, `${count}`);
});
