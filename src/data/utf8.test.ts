/** @file Text comes out of bytes whole, however they are cut; what is not text is refused at its place. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { InputError } from '../base/errors.ts';
import { Utf8Decoder } from './utf8.ts';

function decode(bytes: Uint8Array, cuts: readonly number[]): string {
	const decoder = new Utf8Decoder('a.txt');
	const sorted = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
	let text = '';
	for (let i = 1; i < sorted.length; i++) text += decoder.push(Buffer.from(bytes.subarray(sorted[i - 1], sorted[i])));
	decoder.end();
	return text;
}

const cuts = fc.array(fc.nat(), { maxLength: 8 });

test('any text survives being cut between any bytes', () => {
	const text = fc.string({ unit: 'binary', maxLength: 60 }).map((value) => value.replaceAll('\0', ''));
	fc.assert(
		fc.property(text, cuts, (value, at) => {
			assert.equal(decode(Buffer.from(value), at), value.startsWith('\ufeff') ? value.slice(1) : value);
		}),
		{ numRuns: 500 },
	);
});

test('any bytes that are not UTF-8 are refused, valid ones are not, and the place is that of the first bad byte', () => {
	const piece = fc.oneof(
		fc.constantFrom('a', 'é', '世', '😀').map((value) => [...Buffer.from(value)]),
		fc.integer({ min: 1, max: 255 }).map((value) => [value]),
	);
	fc.assert(
		fc.property(fc.array(piece, { maxLength: 12 }), cuts, (pieces, at) => {
			const bytes = Uint8Array.from(pieces.flat());
			const bad = firstBadByte(bytes);
			if (bad === undefined) assert.equal(decode(bytes, at), new TextDecoder().decode(bytes));
			else {
				assert.throws(
					() => decode(bytes, at),
					(error) => error instanceof InputError && error.details.where === `a.txt, byte ${bad}`,
				);
			}
		}),
		{ numRuns: 2000 },
	);
});

/** By definition: the start of the longest prefix no continuation of which is valid. */
function firstBadByte(bytes: Uint8Array): number | undefined {
	let start = 0;
	while (start < bytes.length) {
		const length = [1, 2, 3, 4].find((size) => {
			try {
				new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes.subarray(start, start + size));
				return start + size <= bytes.length;
			} catch {
				return false;
			}
		});
		if (length === undefined) return start;
		start += length;
	}
	return undefined;
}

test('NUL bytes and UTF-16 are refused with advice', () => {
	assert.throws(() => decode(Buffer.from('ab\0c'), []), /byte 2[\s\S]*NUL/);
	assert.throws(() => decode(Buffer.from('\ufeffhello', 'utf16le'), []), /UTF-16[\s\S]*iconv -f UTF-16/);
});
