import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bertStyle, llamaStyle, metaspaceStyle, xlmrStyle } from '../../test/support/tokenizer-variants.ts';
import { FormatError } from '../base/errors.ts';
import { RandomStream } from '../base/random.ts';
import { Tokenizer } from './tokenizer.ts';
import { trainBpe } from './train-bpe.ts';

/** A copy of a good file with the value at one key path replaced. */
function broken(base: Record<string, unknown>, path: readonly string[], value: unknown): unknown {
	const json = structuredClone(base);
	let parent = json;
	for (const key of path.slice(0, -1)) parent = parent[key] as Record<string, unknown>;
	parent[path.at(-1)!] = value;
	return json;
}

const replace = (pattern: object, content: string) => ({ type: 'Replace', pattern, content });

test('what is wrong with a file is named with its key', () => {
	const cases: [unknown, RegExp][] = [
		[null, /^x\.json: /],
		[[], /^x\.json: /],
		[{}, /x\.json: model/],
		[{ model: { type: 'Magic', vocab: {} } }, /x\.json: model\.type[\s\S]*BPE, Unigram/],
		[broken(llamaStyle(), ['model', 'vocab'], []), /model\.vocab/],
		[broken(llamaStyle(), ['model', 'vocab', 'he'], 'x'), /model\.vocab\["he"\]/],
		[broken(llamaStyle(), ['model', 'vocab', 'he'], 0), /two tokens have the id 0/],
		[broken(llamaStyle(), ['model', 'vocab', 'he'], -1), /model\.vocab\["he"\]/],
		[broken(llamaStyle(), ['model', 'vocab', 'he'], 4_000_000_000), /far above/],
		[broken(llamaStyle(), ['model', 'vocab', 'he'], 1.5), /model\.vocab\["he"\]/],
		[broken(llamaStyle(), ['model', 'merges', '3'], 'h q'), /model\.merges\[3\]/],
		[broken(llamaStyle(), ['model', 'merges', '3'], 'h  e'), /model\.merges\[3\]/],
		[broken(llamaStyle(), ['model', 'merges', '3'], ['h']), /model\.merges\[3\]/],
		[broken(llamaStyle(), ['model', 'merges'], 'a b'), /model\.?: ?|merges/],
		[broken(llamaStyle(), ['model', 'unk_token'], '<none>'), /model\.unk_token/],
		[broken(llamaStyle(), ['model', 'continuing_subword_prefix'], '##'), /continuing_subword_prefix/],
		[broken(llamaStyle(), ['added_tokens', '1'], { id: 1 }), /added_tokens\.1\.content/],
		[broken(llamaStyle(), ['added_tokens', '1', 'id'], 0), /added_tokens\[1\]/],
		[broken(llamaStyle(), ['added_tokens', '1', 'id'], 9e15), /added_tokens/],
		[broken(llamaStyle(), ['added_tokens', '1', 'content'], ''), /added_tokens\.1\.content/],
		[broken(llamaStyle(), ['post_processor', 'special_tokens', '<s>', 'ids'], [7]), /post_processor/],
		[
			broken(llamaStyle(), ['post_processor', 'single'], [{ Sequence: { id: 'B', type_id: 0 } }]),
			/post_processor\.single/,
		],
		[broken(llamaStyle(), ['normalizer'], { type: 'Prepend' }), /normalizer\.prepend/],
		[broken(llamaStyle(), ['normalizer'], { type: 'Nmt' }), /normalizer[\s\S]*Nmt/],
		[broken(llamaStyle(), ['pre_tokenizer'], { type: 'FixedLength', length: 0 }), /length/],
		[broken(llamaStyle(), ['pre_tokenizer'], 'ByteLevel'), /pre_tokenizer/],
		[broken(llamaStyle(), ['decoder'], { type: 'Sequence', decoders: [{ type: 'X' }] }), /decoders\.0/],
		[broken(xlmrStyle(), ['model', 'vocab', '4'], ['s']), /model\.vocab\[4\]/],
		[broken(xlmrStyle(), ['model', 'vocab', '4'], ['s', -1]), /model\.vocab\[6\][\s\S]*"s"/],
		[broken(xlmrStyle(), ['model', 'unk_id'], 99), /unk_id/],
		[broken(xlmrStyle(), ['model', 'byte_fallback'], true), /byte_fallback/],
		[broken(bertStyle(), ['model', 'unk_token'], 'nope'), /unk_token/],
		[broken(bertStyle(), ['model', 'max_input_chars_per_word'], 1e9), /max_input_chars_per_word/],
		[broken(xlmrStyle(), ['normalizer'], replace({ String: 'a' }, 'a'.repeat(9999))), /normalizer\.content/],
		[
			broken(xlmrStyle(), ['normalizer'], {
				type: 'Sequence',
				normalizers: Array(3).fill(replace({ String: 'a' }, 'a'.repeat(900))),
			}),
			/too long/,
		],
		[broken(xlmrStyle(), ['normalizer'], replace({ Regex: 'x*' }, 'a')), /empty text/],
		[broken(xlmrStyle(), ['normalizer'], replace({ Regex: '(' }, 'a')), /does not accept/],
	];
	for (const [json, message] of cases)
		assert.throws(
			() => Tokenizer.fromJson(json, undefined, 'x.json'),
			(error) => {
				assert.ok(error instanceof FormatError, String((error as Error).stack));
				assert.match(error.message, message);
				assert.match(error.message, /^x\.json/);
				return true;
			},
		);
});

test('deep nesting is refused without running out of stack', () => {
	let nested: unknown = { type: 'NFC' };
	for (let i = 0; i < 100_000; i++) nested = { type: 'Sequence', normalizers: [nested] };
	assert.throws(() => Tokenizer.fromJson({ ...llamaStyle(), normalizer: nested }), FormatError);
	const cyclic: Record<string, unknown> = { ...llamaStyle() };
	cyclic.normalizer = [cyclic, cyclic];
	assert.throws(() => Tokenizer.fromJson(cyclic), FormatError);
	const six = ['a', 'b', 'c', 'd', 'e', 'f'].reduce<unknown>((inner) => ({ type: 'Sequence', normalizers: [inner] }), {
		type: 'NFC',
	});
	assert.throws(() => Tokenizer.fromJson({ ...llamaStyle(), normalizer: six }), FormatError);
});

test('mutated files are refused with a FormatError or work; no crash, no hang', async () => {
	const rounds = process.env.MODELSMITH_LONG === '1' ? 100_000 : 1500;
	const random = new RandomStream(Number(process.env.MODELSMITH_SEED ?? 17));
	const trained = (await trainBpe(['a small text, a small text to train on'], { vocabSize: 290 })).tokenizer;
	const bases = [trained.toJson(), llamaStyle(), metaspaceStyle(), xlmrStyle(), bertStyle()].map((json) =>
		JSON.stringify(json),
	);
	const outcomes = { worked: 0, refused: 0 };
	let slowest = 0;
	for (let round = 0; round < rounds; round++) {
		const json = mutate(bases[random.integer(bases.length)]!, random);
		if (json === undefined) continue;
		const start = performance.now();
		try {
			const tokenizer = Tokenizer.fromJson(json);
			for (const text of ['hello the walking hugs, 12 \u6f22!', ' '.repeat(200), 'a'.repeat(300)]) {
				const ids = tokenizer.encode(text);
				assert.ok(ids.every((id) => Number.isInteger(id) && id >= 0 && id < tokenizer.vocabSize));
				assert.equal(typeof tokenizer.decode(ids), 'string');
			}
			outcomes.worked++;
		} catch (error) {
			// A text outside the vocabulary of a model without an unknown token is an input error, the file is fine.
			const code = (error as { code?: string }).code;
			assert.ok(code === 'invalid_format' || code === 'invalid_input', `round ${round}: ${(error as Error).stack}`);
			outcomes.refused++;
		}
		slowest = Math.max(slowest, performance.now() - start);
	}
	assert.ok(outcomes.worked > rounds / 100 && outcomes.refused > rounds / 10, JSON.stringify(outcomes));
	assert.ok(slowest < 3000, `${slowest} ms`);
	assert.ok(process.memoryUsage().rss < 2 ** 30);
});

const VALUES: readonly unknown[] = [
	null,
	true,
	0,
	-1,
	1,
	2.5,
	1e300,
	2 ** 31,
	3,
	'',
	' ',
	'a',
	'\u2581',
	'<s>',
	[],
	{},
	[[]],
	['a', 'b'],
	[null],
	'(a+)+$',
	'\\s*\\s*x',
	'Sequence',
	'BPE',
	'Unigram',
	'ByteLevel',
	'__proto__',
	'$&',
	'x'.repeat(2000),
];

/** The JSON with a few values replaced, removed, copied or moved, or a few characters changed. */
function mutate(base: string, random: RandomStream): unknown {
	if (random.integer(8) === 0) {
		const chars = [...base];
		for (let i = random.integer(4); i >= 0; i--)
			chars[random.integer(chars.length)] = '"{}[],:0a\\'[random.integer(10)]!;
		try {
			return JSON.parse(chars.join(''));
		} catch {
			return undefined;
		}
	}
	const json = JSON.parse(base) as Record<string, unknown>;
	for (let i = random.integer(3); i >= 0; i--) {
		let parent: Record<string, unknown> = json;
		let key = '';
		for (let depth = 0; depth < 9; depth++) {
			const keys = Object.keys(parent);
			if (keys.length === 0) break;
			key = keys[random.integer(keys.length)]!;
			const inner = parent[key];
			if (typeof inner !== 'object' || inner === null || random.integer(4) === 0) break;
			parent = inner as Record<string, unknown>;
		}
		const sort = random.integer(6);
		const keys = Object.keys(parent);
		if (sort === 0) delete parent[key];
		else if (sort === 1 && keys.length > 0) parent[key] = parent[keys[random.integer(keys.length)]!];
		else if (sort === 2) parent[`${key}x`] = parent[key];
		else parent[key] = VALUES[random.integer(VALUES.length)];
	}
	try {
		return JSON.parse(JSON.stringify(json));
	} catch {
		// It came to contain itself, or grew too large.
		return undefined;
	}
}
