/** @file From documents to shards and back: equal tokens, disjoint splits, reuse, interruption and damage. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import {
	appendFileSync,
	existsSync,
	mkdtempSync,
	readdirSync,
	rmSync,
	truncateSync,
	utimesSync,
	writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { FormatError, InputError, InterruptedError, ModelsmithError } from '../base/errors.ts';
import { trainBpe } from '../tokenizers/train-bpe.ts';
import { type BuildProgress, type BuildShardsOptions, buildShards } from './build-shards.ts';
import { dataConfig } from './data-config.ts';
import { prepareTokens } from './prepare-tokens.ts';
import type { DataSource, Document } from './source.ts';
import { openTokenDataset, type TokenDataset, verifyShards } from './token-dataset.ts';
import type { TokenEncoder } from './token-encoder.ts';

const root = mkdtempSync(join(tmpdir(), 'shards-'));
after(() => rmSync(root, { recursive: true }));
let folders = 0;
const fresh = (): string => join(root, String(folders++));

/** One token a character; id 0 ends documents. */
const characters: TokenEncoder = {
	vocabSize: 65_536,
	eosId: 0,
	encode: (text) => Array.from(text, (_, i) => text.charCodeAt(i)),
};

function sourceOf(documents: readonly Document[]): DataSource {
	return {
		kind: 'memory',
		files: async () => [{ path: 'x', id: 'x', byteLength: 1, modifiedMs: 0 }],
		async *documents() {
			yield* documents;
		},
	};
}

function build(texts: readonly string[], extra: Partial<BuildShardsOptions> = {}) {
	return buildShards({
		source: sourceOf(texts.map((text, i) => ({ id: String(i), text }))),
		sourceConfig: texts,
		encoder: characters,
		encoderFingerprint: 'characters',
		directory: fresh(),
		validationFraction: 0.3,
		seed: 1,
		...extra,
	});
}

function documentsOf(dataset: TokenDataset): string[] {
	return Array.from({ length: dataset.documentCount }, (_, document) => {
		const { start, end } = dataset.documentRange(document);
		const tokens = new Int32Array(end - start);
		dataset.read(start, end - start, tokens);
		for (const position of [start, end - 1]) assert.equal(dataset.documentAt(position), document);
		assert.equal(tokens.at(-1), 0);
		return String.fromCharCode(...tokens.subarray(0, -1));
	});
}

const text = fc.string({ unit: fc.constantFrom('a', 'b', 'é', ' '), minLength: 1, maxLength: 20 });

test('splits are disjoint, complete, keep the order and are never empty; shards may be as small as one token', async () => {
	await fc.assert(
		fc.asyncProperty(
			fc.array(text, { minLength: 2, maxLength: 12 }),
			fc.constantFrom(0.0001, 0.3, 0.9999),
			fc.integer({ min: 1, max: 30 }),
			async (texts, validationFraction, shardTokens) => {
				const unique = texts.map((value, i) => `${i}:${value}`);
				const { directory } = await build(unique, { validationFraction, shardTokens });
				const parts = (['train', 'validation'] as const).map((split) => {
					const dataset = openTokenDataset(directory, split);
					const documents = documentsOf(dataset);
					const bytes = documents.reduce((sum, document) => sum + Buffer.byteLength(document), 0);
					assert.equal(dataset.byteCount, bytes);
					assert.equal(dataset.tokenCount, documents.join('').length + documents.length);
					dataset.close();
					assert.ok(documents.length > 0);
					assert.deepEqual(
						documents,
						unique.filter((document) => documents.includes(document)),
					);
					return documents;
				});
				assert.deepEqual(parts.flat().sort(), unique.toSorted());
				rmSync(directory, { recursive: true });
			},
		),
		{ numRuns: 40 },
	);
});

test('where a document goes depends on its content and the seed, not on the others; copies stay together', async () => {
	const texts = Array.from({ length: 200 }, (_, i) => `document ${i}`);
	const validation = async (list: readonly string[], seed: number) =>
		documentsOf(openTokenDataset((await build(list, { seed })).directory, 'validation'));
	const some = await validation(texts, 1);
	assert.ok(some.length > 40 && some.length < 80, `${some.length} of 200 at 0.3`);
	assert.notDeepEqual(await validation(texts, 2), some);
	const doubled = await validation([...texts.toReversed(), ...texts], 1);
	assert.deepEqual(doubled.toSorted(), [...some, ...some].sort());
});

test('pieces of a document are one document', async () => {
	const documents = [
		{ id: 'long', text: 'abc', partial: true },
		{ id: 'long', text: 'def', partial: true },
		{ id: 'long', text: '' },
		{ id: 'short', text: 'x' },
	];
	const { directory } = await build([], { source: sourceOf(documents), validationFraction: 0 });
	assert.deepEqual(documentsOf(openTokenDataset(directory, 'train')), ['abcdef', 'x']);
	assert.equal(openTokenDataset(directory, 'validation').tokenCount, 0);
});

test('a real tokenizer gives the same ids whether a document is cut or not, without special tokens inside', async () => {
	const line = 'Call me Ishmael. Some years ago, never mind how long\n';
	const { tokenizer } = await trainBpe([line], { vocabSize: 290, specialTokens: [] });
	const long = line.repeat(45_000);
	const { directory } = await build([long], { encoder: tokenizer, validationFraction: 0 });
	const dataset = openTokenDataset(directory, 'train');
	const whole = tokenizer.encode(long, { addSpecialTokens: false });
	assert.equal(dataset.tokenCount, whole.length);
	const tokens = new Int32Array(whole.length);
	dataset.read(0, whole.length, tokens);
	assert.deepEqual(tokens, Int32Array.from(whole));
	assert.equal(dataset.byteCount, long.length);
});

test('vocabularies above 65,536 take four bytes', async () => {
	const encoder = { vocabSize: 100_000, eosId: 99_999, encode: () => [65_535, 65_536, 99_998] };
	const { directory } = await build(['x'], { encoder, validationFraction: 0 });
	const tokens = new Int32Array(4);
	openTokenDataset(directory, 'train').read(0, 4, tokens);
	assert.deepEqual([...tokens], [65_535, 65_536, 99_998, 99_999]);
});

test('a second run reuses the shards until anything they depend on changes', async () => {
	const directory = fresh();
	writeFileSync(join(root, 'corpus.txt'), 'one\n\ntwo\n\nthree');
	const parse = (extra: object = {}) =>
		dataConfig.parse({
			source: { kind: 'text', path: 'corpus.txt', documentSeparator: '\n\n' },
			cacheDirectory: directory,
			...extra,
		});
	const progress: BuildProgress[] = [];
	const run = (config = parse(), encoderFingerprint = 'characters') =>
		prepareTokens(config, {
			directory: root,
			encoder: characters,
			encoderFingerprint,
			onProgress: (now) => progress.push(now),
		});
	const first = await run();
	assert.equal(first.reused, false);
	assert.deepEqual(progress.at(-1), { bytesDone: 15, bytesTotal: 15, documents: 3, tokens: 14 });
	const second = await run();
	assert.deepEqual(second, { ...first, reused: true });
	assert.equal((await run(parse({ seed: 5 }))).reused, false);
	assert.equal((await run(parse(), 'other')).reused, false);
	utimesSync(join(root, 'corpus.txt'), 1, 1);
	const touched = await run();
	assert.equal(touched.reused, false);
	assert.deepEqual(touched.manifest.splits, first.manifest.splits, 'equal input gives equal files');
});

test('a validation source is used for validation alone', async () => {
	const validation = { source: sourceOf([{ id: 'v', text: 'val' }]), sourceConfig: 'v' };
	const { directory } = await build(['a', 'b'], { validation, validationFraction: 0 });
	assert.deepEqual(documentsOf(openTokenDataset(directory, 'train')), ['a', 'b']);
	assert.deepEqual(documentsOf(openTokenDataset(directory, 'validation')), ['val']);
	assert.equal(
		dataConfig.safeParse({ source: { kind: 'moby-dick' }, validationSource: { kind: 'moby-dick' } }).success,
		true,
	);
	const both = { source: { kind: 'moby-dick' }, validationSource: { kind: 'moby-dick' }, validationFraction: 0.1 };
	assert.equal(dataConfig.safeParse(both).success, false);
});

test('impossible splits and empty sources are refused', async () => {
	await assert.rejects(build(['only one']), /single document[\s\S]*documentSeparator/);
	await assert.rejects(build([]), /holds no text/);
	await assert.rejects(
		build(['x'], { encoder: { ...characters, vocabSize: 5 } }),
		(error) => error instanceof ModelsmithError && /outside its vocabulary/.test(error.message),
	);
});

test('an interrupted or failed build leaves nothing', async () => {
	const directory = fresh();
	const controller = new AbortController();
	const encoder = {
		...characters,
		encode: () => {
			controller.abort();
			return [1];
		},
	};
	await assert.rejects(build(['a', 'b', 'c'], { encoder, directory, signal: controller.signal }), InterruptedError);
	assert.deepEqual(readdirSync(directory), []);
});

test('a killed build leaves no valid shards, and the next build clears up after it', { timeout: 60_000 }, async () => {
	const directory = fresh();
	const script = `
		import { buildShards } from ${JSON.stringify(new URL('./build-shards.ts', import.meta.url).href)};
		const source = { kind: 'endless', files: async () => [], async *documents() {
			for (let i = 0; ; i++) { yield { id: String(i), text: 'text ' + i }; if (i === 1000) console.log('busy'); }
		} };
		await buildShards({ source, sourceConfig: [], encoder: { vocabSize: 9, encode: () => [1] }, encoderFingerprint: '',
			directory: ${JSON.stringify(directory)}, validationFraction: 0.5, seed: 0 });`;
	const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
		stdio: ['ignore', 'pipe', 'inherit'],
	});
	await new Promise((resolve) => child.stdout.once('data', resolve));
	const gone = new Promise((resolve) => child.once('exit', resolve));
	child.kill('SIGKILL');
	await gone;
	const left = readdirSync(directory);
	assert.equal(left.length, 1);
	assert.match(left[0] as string, /^\.building-/);
	assert.throws(() => openTokenDataset(join(directory, left[0] as string), 'train'), InputError);
	await build(['a', 'b'], { directory });
	assert.equal(existsSync(join(directory, left[0] as string)), false);
});

test('damaged shards are noticed', async () => {
	const { directory } = await build(['some text', 'more text'], { validationFraction: 0 });
	await verifyShards(directory);
	const shard = join(directory, 'train-00000.tokens');
	writeFileSync(shard, Buffer.alloc(40, 1));
	openTokenDataset(directory, 'train').close();
	await assert.rejects(verifyShards(directory), /train-00000\.tokens/);
	truncateSync(shard, 39);
	assert.throws(() => openTokenDataset(directory, 'train'), FormatError);
	appendFileSync(join(directory, 'manifest.json'), 'x');
	assert.throws(() => openTokenDataset(directory, 'train'), FormatError);
});
