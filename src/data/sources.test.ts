/** @file Every kind of source: what it yields, in which order, and how it refuses what it cannot read. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { FormatError, InputError } from '../base/errors.ts';
import type { Document } from './source.ts';
import { openSource, sourceConfig } from './source-registry.ts';
import { parseRecord } from './sources/jsonl.ts';

const LONG = process.env.MODELSMITH_LONG === '1';
const directory = mkdtempSync(join(tmpdir(), 'sources-'));
after(() => rmSync(directory, { recursive: true }));

function write(files: Record<string, string | Uint8Array>): void {
	for (const [name, content] of Object.entries(files)) {
		mkdirSync(join(directory, name, '..'), { recursive: true });
		writeFileSync(join(directory, name), content);
	}
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
	const all: T[] = [];
	for await (const item of items) all.push(item);
	return all;
}

async function read(config: unknown, onSkip?: (reason: InputError) => void): Promise<Document[]> {
	const source = openSource(sourceConfig.parse(config), { directory });
	let bytes = 0;
	const onBytes = (count: number): void => {
		bytes += count;
	};
	const options = onSkip === undefined ? { onBytes } : { onBytes, onSkip };
	const documents = await collect(source.documents(options));
	const total = (await source.files()).reduce((sum, file) => sum + file.byteLength, 0);
	assert.equal(bytes, total, 'progress ends at 100%');
	return documents;
}

const refused = (config: unknown, ...messages: RegExp[]): Promise<void> =>
	assert.rejects(read(config), (error) => {
		assert.ok(error instanceof InputError, String(error));
		for (const message of messages) assert.match(error.message, message);
		return true;
	});

test('text: files, folders and globs, each file once, in a fixed order', async () => {
	write({
		't/b.txt': 'B',
		't/a.txt': 'A',
		't/sub/c.md': 'C',
		't/skip.bin': 'x',
		't/[x].txt': 'X',
		't/blank.txt': ' \n',
	});
	const ids = async (path: unknown) => (await read({ kind: 'text', path })).map(({ id, text }) => `${id}=${text}`);
	assert.deepEqual(await ids('t'), ['t/[x].txt=X', 't/a.txt=A', 't/b.txt=B', 't/sub/c.md=C']);
	assert.deepEqual(await ids(['t/b.txt', 't/*.txt']), ['t/b.txt=B', 't/[x].txt=X', 't/a.txt=A']);
	assert.deepEqual(await ids(join(directory, 't/a.txt')), ['t/a.txt=A']);
	assert.deepEqual(await ids('t/[x].txt'), ['t/[x].txt=X'], 'a file with the characters of a pattern is that file');
});

test('text: a separator makes several documents of a file', async () => {
	write({ 'sep.txt': '\ufeffone\nmore\n\ntwo\n\n\n\nthree\n' });
	const documents = await read({ kind: 'text', path: 'sep.txt', documentSeparator: '\n\n' });
	assert.deepEqual(documents, [
		{ id: 'sep.txt#0', text: 'one\nmore' },
		{ id: 'sep.txt#1', text: 'two' },
		{ id: 'sep.txt#2', text: 'three\n' },
	]);
});

test('text: long documents come in pieces that join to the file', async () => {
	const line = `${'wörd '.repeat(20)}\n`;
	write({ 'long.txt': line.repeat(30_000) });
	const pieces = await read({ kind: 'text', path: 'long.txt' });
	assert.ok(pieces.length > 2);
	assert.deepEqual(
		pieces.map(({ id, partial }) => [id, partial === true]),
		pieces.map((_, i) => ['long.txt', i < pieces.length - 1]),
	);
	assert.equal(pieces.map(({ text }) => text).join(''), line.repeat(30_000));
});

test('text: compressed files', async () => {
	write({ 'z/a.txt.gz': gzipSync('ä'.repeat(10)), 'z/b.txt.zst': zstdCompressSync(Buffer.from('b')), 'z/c.txt': 'c' });
	const texts = (await read({ kind: 'text', path: 'z' })).map(({ text }) => text);
	assert.deepEqual(texts, ['ä'.repeat(10), 'b', 'c']);
	write({ 'cut.txt.gz': gzipSync('hello world'.repeat(100)).subarray(0, 30), 'not.txt.gz': 'hello' });
	await refused({ kind: 'text', path: 'cut.txt.gz' }, /cut\.txt\.gz/);
	await refused({ kind: 'text', path: 'not.txt.gz' }, /not\.txt\.gz/);
});

test('text: what cannot be read is refused with its place', async () => {
	write({ 'nul.txt': 'a\0b', 'latin.txt': Buffer.from('caf\xe9 au lait', 'latin1'), 'only/x.pdf': '%PDF' });
	mkdirSync(join(directory, 'empty'));
	await refused({ kind: 'text', path: 'missing.txt' }, /missing\.txt: no such file/);
	await refused({ kind: 'text', path: 'none/*.txt' }, /none\/\*\.txt: matches no file/);
	await refused({ kind: 'text', path: 'empty' }, /holds no file to read/);
	await refused({ kind: 'text', path: 'only' }, /x\.pdf/, /\.txt, \.md/);
	await refused({ kind: 'text', path: 'nul.txt' }, /nul\.txt, byte 1/);
	await refused({ kind: 'text', path: 'latin.txt' }, /latin\.txt, byte 3/, /0xe9/);
});

test('jsonl: fields, nested fields, blank lines, byte order mark, no line feed at the end', async () => {
	write({
		'a.jsonl':
			'\ufeff{"text":"one","m":{"content":"x"}}\r\n\n{"text":"two","m":{"content":"y"},"m.content":"z"}\n{"text":""}',
		'list.jsonl': '{"turns":[{"text":"first"}]}\n',
	});
	assert.deepEqual(await read({ kind: 'jsonl', path: 'a.jsonl' }), [
		{ id: 'a.jsonl:1', text: 'one' },
		{ id: 'a.jsonl:3', text: 'two' },
	]);
	write({ 'b.jsonl': '{"m":{"content":"x"}}\n{"m":{"content":"y"},"m.content":"z"}\n' });
	const nested = await read({ kind: 'jsonl', path: 'b.jsonl', field: 'm.content' });
	assert.deepEqual(
		nested.map(({ text }) => text),
		['x', 'z'],
	);
	assert.equal((await read({ kind: 'jsonl', path: 'list.jsonl', field: 'turns.0.text' }))[0]?.text, 'first');
});

test('jsonl: bad lines stop with file and line, or are skipped and counted', async () => {
	const lines = ['{"text":"ok"}', '{"text":1}', '{"content":"x"}', 'nonsense', '[]', '7', '{"text":"also"}'];
	write({ 'bad.jsonl': Buffer.concat([Buffer.from(`${lines.join('\n')}\n`), Buffer.from([0x22, 0xff, 0x22])]) });
	for (const [line, message] of [
		['{"text":1}', /:1: has a field "text" that is not a string[\s\S]*found: +1\n/],
		['{"content":"x"}', /:1: has no field "text"[\s\S]*content/],
		['nonsense', /:1: is not valid JSON[\s\S]*nonsense/],
	] as const) {
		write({ 'one.jsonl': line });
		await refused({ kind: 'jsonl', path: 'one.jsonl' }, message, /one\.jsonl:1/);
	}
	await refused({ kind: 'jsonl', path: 'bad.jsonl' }, /bad\.jsonl:2/);
	const skipped: string[] = [];
	const documents = await read({ kind: 'jsonl', path: 'bad.jsonl', onError: 'skip' }, (reason) =>
		skipped.push(reason.details.where ?? ''),
	);
	assert.deepEqual(
		documents.map(({ id }) => id),
		['bad.jsonl:1', 'bad.jsonl:7'],
	);
	assert.deepEqual(
		skipped.map((where) => where.slice(directory.length + 1).replace(/,.*/, '')),
		[2, 3, 4, 5, 6, 8].map((line) => `bad.jsonl:${line}`),
	);
});

test('jsonl: any line gives a text or an InputError, never anything else', { timeout: 3_600_000 }, () => {
	const fragment = fc.oneof(
		fc.json({ maxDepth: 3 }),
		fc.constantFrom(
			'{"text":"',
			'"}',
			'{',
			'}',
			'[',
			'"text"',
			':',
			'"a":',
			'\\u',
			'\\ud800',
			'null',
			'1e999',
			'{"__proto__":{"text":"x"}}',
		),
		fc.string({ unit: 'binary', maxLength: 6 }),
	);
	const line = fc.oneof(
		fc.array(fragment, { maxLength: 5 }).map((parts) => Buffer.from(parts.join(''))),
		fc.uint8Array({ maxLength: 24 }).map((bytes) => Buffer.from(bytes)),
	);
	const field = fc.constantFrom('text', 'a.b', 'text.length', '__proto__.text', 'constructor.name', '.');
	fc.assert(
		fc.property(line, field, (bytes, name) => {
			try {
				assert.ok(parseRecord(bytes, name, 'f:1').isWellFormed());
			} catch (error) {
				if (!(error instanceof InputError)) throw error;
			}
		}),
		{ numRuns: LONG ? 100_000 : 2000 },
	);
	assert.throws(() => parseRecord(Buffer.from('{}'), 'constructor.name', 'f:1'), InputError, 'not from the prototype');
	assert.throws(() => parseRecord(Buffer.from('['.repeat(1_000_000)), 'text', 'f:1'), FormatError);
});

test('parquet: a text column over several row groups', async () => {
	const texts = Array.from({ length: 25 }, (_, i) => (i === 3 ? null : i === 4 ? '' : `text ${i}`));
	const ids = texts.map((_, i) => i);
	const columnData = [
		{ name: 'text', data: texts, type: 'STRING' as const, nullable: true },
		{ name: 'number', data: ids, type: 'INT32' as const },
	];
	write({ 'p.parquet': new Uint8Array(parquetWriteBuffer({ columnData, rowGroupSize: 10 })) });
	const documents = await read({ kind: 'parquet', path: 'p.parquet' });
	assert.deepEqual(
		documents,
		texts.flatMap((text, i) => (text ? [{ id: `p.parquet#${i}`, text }] : [])),
	);
	await refused({ kind: 'parquet', path: 'p.parquet', column: 'texts' }, /no column "texts"/, /column: "text"/);
	await refused(
		{ kind: 'parquet', path: 'p.parquet', column: 'number' },
		/row 0: has a column "number" that is not text/,
	);
});

test('parquet: truncated files and files of other formats are refused', async () => {
	const columnData = [{ name: 'text', data: ['alpha', 'beta', 'gamma'.repeat(20)], type: 'STRING' as const }];
	const valid = Buffer.from(parquetWriteBuffer({ columnData }));
	const footer = valid.readUInt32LE(valid.length - 8);
	const huge = Buffer.from(valid);
	huge.writeUInt32LE(0xffffffff, valid.length - 8);
	const scrambled = Buffer.from(valid).fill(0xaa, valid.length - 8 - footer, valid.length - 8);
	const headless = Buffer.concat([valid.subarray(0, 4), valid.subarray(40)]);
	for (const bytes of [
		valid.subarray(0, -1),
		valid.subarray(0, 3),
		Buffer.from('{"text":"x"}'),
		huge,
		scrambled,
		headless,
	]) {
		write({ 'damaged.parquet': bytes });
		await refused({ kind: 'parquet', path: 'damaged.parquet' }, /damaged\.parquet: is not a readable Parquet file/);
	}
});

test('moby-dick: the book in order, a document a chapter', async () => {
	const documents = await read({ kind: 'moby-dick' });
	assert.equal(documents.length, 139);
	assert.deepEqual(
		[0, 1, 2, 3, 4, 137, 138].map((i) => documents[i]?.id),
		['contents', 'etymology', 'extracts', 'chapter_1', 'chapter_2', 'chapter_135', 'epilogue'].map((id) => `${id}.txt`),
	);
	assert.match(documents[3]?.text ?? '', /^CHAPTER 1\. Loomings\.\n\nCall me Ishmael\./);
});

test('configurations are strict', () => {
	for (const config of [
		{ kind: 'texts', path: 'a' },
		{ kind: 'text' },
		{ kind: 'text', path: [] },
		{ kind: 'text', path: 'a', separator: 'x' },
		{ kind: 'jsonl', path: 'a', onError: 'ignore' },
		{ kind: 'moby-dick', path: 'a' },
	]) {
		assert.equal(sourceConfig.safeParse(config).success, false, JSON.stringify(config));
	}
});
