/** @file Cutting text: documents are what String.split says, and nothing is lost between pieces. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { cutPosition, piecesOf, splitText } from './split-text.ts';

const text = fc.string({ unit: fc.constantFrom('a', 'b', ' ', '\n', '|', '😀'), maxLength: 80 });

async function* cut(value: string, sizes: readonly number[]): AsyncGenerator<string> {
	let start = 0;
	for (const size of sizes) {
		yield value.slice(start, start + size);
		start += size;
	}
	yield value.slice(start);
}

test('documents equal those of String.split, however the text arrives', async () => {
	const separator = fc.constantFrom('\n\n', '|', 'ab|', ' ');
	await fc.assert(
		fc.asyncProperty(text, separator, fc.array(fc.nat(9)), async (value, between, sizes) => {
			const documents: string[] = [];
			for await (const piece of splitText(cut(value, sizes), between)) {
				assert.equal(piece.document, documents.length);
				documents.push(piece.text);
			}
			assert.deepEqual(
				documents,
				value.split(between).filter((document) => document.trim() !== ''),
			);
		}),
		{ numRuns: 500 },
	);
});

test('documents longer than a piece come in pieces that add up', async () => {
	const separator = fc.constantFrom(undefined, '\n\n', 'ab|');
	await fc.assert(
		fc.asyncProperty(text, separator, fc.array(fc.nat(9)), async (value, between, sizes) => {
			const documents: string[] = [];
			let current = '';
			for await (const piece of splitText(cut(value, sizes), between, 6)) {
				assert.equal(piece.document, documents.length);
				assert.ok(!piece.partial || piece.text.length <= 6);
				current += piece.text;
				if (piece.partial) continue;
				documents.push(current);
				current = '';
			}
			assert.equal(current, '', 'the last piece is not partial');
			// A blank beginning that fills whole pieces is dropped, so compare without leading white space.
			const expected = (between === undefined ? [value] : value.split(between)).filter((d) => d.trim() !== '');
			assert.deepEqual(
				documents.map((document) => document.trimStart()),
				expected.map((document) => document.trimStart()),
			);
		}),
		{ numRuns: 500 },
	);
});

test('pieces of one text add up, are bounded and never cut a character', () => {
	fc.assert(
		fc.property(text, fc.integer({ min: 2, max: 9 }), (value, limit) => {
			const pieces = [...piecesOf(value, limit)];
			assert.equal(pieces.join(''), value);
			for (const piece of pieces) assert.ok(piece.length <= limit && piece.isWellFormed());
		}),
		{ numRuns: 500 },
	);
});

test('cuts prefer line breaks, then spaces', () => {
	assert.equal(cutPosition('one two\nthree four', 12), 8);
	assert.equal(cutPosition('one two three', 10), 7);
	assert.equal(cutPosition('a\n\n\n\nb', 4), 4, 'no line break before something visible: cut at the limit');
	assert.equal(cutPosition('aaaaaaa😀', 8), 7);
});

test('a separator of which only the beginning has arrived is not cut', async () => {
	const documents: string[] = [];
	for await (const piece of splitText(cut('xxxxxab|yy', [7]), 'ab|', 6)) documents.push(piece.text);
	assert.deepEqual(documents, ['xxxxx', 'yy']);
});
