/** @file Packing and batches: no target lost, labels right, boundaries kept, and resuming changes nothing. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { FormatError, InputError } from '../base/errors.ts';
import { type Batch, BatchStream, sequentialBatches } from './batches.ts';
import { IGNORE_LABEL, PADDING_SEGMENT } from './packing.ts';
import { createPacking, type PackingConfig } from './packing-registry.ts';
import { tokensInMemory } from './token-reader.ts';

const EOS = 0;
/** Every token of the corpus is another number, so that a label says where it is from. */
const corpora = fc.tuple(fc.array(fc.nat(9), { minLength: 1, maxLength: 8 }), fc.boolean()).map(([lengths, eos]) => {
	let next = 1;
	const documents = lengths.map((length) => Array.from({ length }, () => next++));
	return { documents, eos, reader: tokensInMemory(documents, eos ? EOS : undefined) };
});
const time = fc.integer({ min: 1, max: 7 });
const batchSize = fc.integer({ min: 1, max: 4 });
const kinds: PackingConfig[] = [{ kind: 'stream' }, { kind: 'documents' }, { kind: 'padded' }];

/** [token, label] of every position with a label, in order. */
function pairsOf(batches: Iterable<Batch>): [number, number][] {
	const pairs: [number, number][] = [];
	for (const { tokens, labels, targetCount } of batches) {
		let counted = 0;
		for (const [i, label] of labels.entries()) {
			if (label === IGNORE_LABEL) continue;
			pairs.push([tokens[i] as number, label]);
			counted++;
		}
		assert.equal(counted, targetCount);
	}
	return pairs;
}

test('one pass has every target exactly once, behind the token before it', () => {
	fc.assert(
		fc.property(
			corpora,
			time,
			batchSize,
			fc.constantFrom(...kinds),
			({ documents, eos, reader }, length, rows, config) => {
				const closed = documents.map((document) => (eos ? [...document, EOS] : document));
				const runs = config.kind === 'stream' ? [closed.flat()] : closed;
				const expected = runs.flatMap((run) => run.slice(1).map((label, i) => [run[i], label]));
				const batches = [...sequentialBatches(createPacking(config, reader, length), rows)];
				assert.deepEqual(pairsOf(batches), expected);
				for (const { dims, tokens } of batches) {
					assert.deepEqual(dims, [rows, length]);
					assert.equal(tokens.length, rows * length);
				}
			},
		),
		{ numRuns: 1000 },
	);
});

test('segments are the documents of a row, positions count from their start, padding belongs to none', () => {
	fc.assert(
		fc.property(corpora, time, fc.constantFrom(...kinds.slice(1)), ({ documents, eos, reader }, length, config) => {
			const documentOf = (token: number) => documents.findIndex((document) => document.includes(token));
			for (const { tokens, labels, segmentIds, positions } of sequentialBatches(
				createPacking(config, reader, length),
				1,
			)) {
				assert.ok(segmentIds !== undefined && positions !== undefined);
				for (let i = 0; i < length; i++) {
					const token = tokens[i] as number;
					const segment = segmentIds[i] as number;
					if (segment === PADDING_SEGMENT) {
						assert.equal(labels[i], IGNORE_LABEL);
						continue;
					}
					const continues: boolean = i > 0 && segment === segmentIds[i - 1];
					assert.equal(positions[i], continues ? (positions[i - 1] as number) + 1 : 0);
					if (i === 0) assert.equal(segment, 0);
					else if (!continues) assert.equal(segment, (segmentIds[i - 1] as number) + 1);
					const before = tokens[i - 1] as number;
					// The end token follows in the same segment, and a new segment follows it.
					if (i > 0 && eos && before === EOS) assert.ok(!continues);
					else if (i > 0 && token !== EOS) assert.equal(continues, documentOf(token) === documentOf(before));
				}
			}
		}),
		{ numRuns: 1000 },
	);
});

test('a restored stream goes on exactly as the uninterrupted one, also with another batch size', () => {
	const scenario = fc.record({
		corpus: corpora,
		time,
		rows: batchSize,
		after: fc.nat(12),
		seed: fc.nat(2 ** 32 - 1),
		shuffle: fc.boolean(),
		config: fc.constantFrom(...kinds),
	});
	fc.assert(
		fc.property(scenario, ({ corpus, time: length, rows, after, seed, shuffle, config }) => {
			const packing = createPacking(config, corpus.reader, length);
			fc.pre(packing.rowCount > 0);
			const make = (size: number) => new BatchStream({ packing, batchSize: size, seed, shuffle });
			const uninterrupted = make(rows);
			for (let i = 0; i < after; i++) uninterrupted.next();
			const state: unknown = JSON.parse(JSON.stringify(uninterrupted.state()));
			const resumed = make(rows);
			for (let i = 0; i < after + 1; i++) resumed.next();
			resumed.restore(state);
			const singly = make(1);
			singly.restore(state);
			for (let i = 0; i < 6; i++) {
				const batch = uninterrupted.next();
				assert.deepEqual(resumed.next(), batch);
				const ones = Array.from({ length: rows }, () => singly.next());
				assert.deepEqual(
					ones.flatMap(({ tokens }) => [...tokens]),
					[...batch.tokens],
				);
			}
		}),
		{ numRuns: 300 },
	);
});

test('every epoch is the whole corpus once, in another order', () => {
	const reader = tokensInMemory([Array.from({ length: 401 }, (_, i) => i + 1)]);
	const packing = createPacking({ kind: 'stream' }, reader, 4);
	const stream = new BatchStream({ packing, batchSize: 10, seed: 3 });
	const epoch = () => pairsOf(Array.from({ length: 10 }, () => stream.next()));
	const [first, second] = [epoch(), epoch()];
	assert.equal(stream.epoch, 2);
	assert.notDeepEqual(first, second);
	const inOrder = pairsOf(sequentialBatches(packing, 1));
	for (const pass of [first, second]) {
		assert.notDeepEqual(pass, inOrder);
		assert.deepEqual(
			pass.toSorted(([a], [b]) => a - b),
			inOrder,
		);
	}
});

test('a state of other data is refused, and so is what is no state', () => {
	const streamOver = (length: number, seed = 0) =>
		new BatchStream({
			packing: createPacking({ kind: 'stream' }, tokensInMemory([Array.from({ length }, (_, i) => i)]), 2),
			batchSize: 1,
			seed,
		});
	const state = streamOver(20).state();
	assert.throws(() => streamOver(30).restore(state), /data state, rowCount/);
	assert.throws(() => streamOver(20, 1).restore(state), InputError);
	for (const broken of [null, {}, { ...state, row: -1 }, { ...state, row: 11 }, { ...state, epoch: 0.5 }]) {
		assert.throws(() => streamOver(20).restore(broken), FormatError);
	}
	assert.throws(() => streamOver(1), /fewer than two tokens/);
});

test('rows of many documents are found again, with documents that have none in between', () => {
	const documents = Array.from({ length: 1500 }, (_, i) => Array.from({ length: i < 600 ? 1 : i % 5 }, () => i + 1));
	const packing = createPacking({ kind: 'padded' }, tokensInMemory(documents), 3);
	const expected = documents.flatMap((ids) => ids.slice(1).map((id) => [id, id]));
	assert.deepEqual(pairsOf(sequentialBatches(packing, 16)), expected);
	assert.throws(() => packing.fill(packing.rowCount, { tokens: new Int32Array(3), labels: new Int32Array(3) }, 0));
});
