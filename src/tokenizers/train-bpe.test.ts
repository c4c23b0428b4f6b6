import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { ConfigError, InputError, InterruptedError } from '../base/errors.ts';
import { RandomStream } from '../base/random.ts';
import { bytesToToken } from './byte-level.ts';
import { textOfFiles } from './text-files.ts';
import { type BpeTrainingConfig, type BpeTrainingProgress, trainBpe } from './train-bpe.ts';
import { GPT2_PATTERN } from './word-scanner.ts';

/** Merges by the definition: count all pairs anew, take the best, replace it everywhere, again. */
function naiveMerges(text: string, config: { vocabSize: number; minFrequency: number; maxTokenBytes?: number }) {
	const words = (text.match(new RegExp(GPT2_PATTERN, 'gu')) ?? []).map((word) =>
		[...Buffer.from(word)].map((byte) => bytesToToken(Uint8Array.of(byte))),
	);
	const alphabet = Array.from({ length: 256 }, (_, byte) => bytesToToken(Uint8Array.of(byte))).sort();
	const tokens = [...alphabet];
	const merges: string[][] = [];
	const apply = (a: string, b: string) => {
		for (const word of words)
			for (let i = 0; i + 1 < word.length; i++) if (word[i] === a && word[i + 1] === b) word.splice(i, 2, a + b);
	};
	while (tokens.length < config.vocabSize) {
		const counts = new Map<string, number>();
		for (const word of words)
			for (let i = 0; i + 1 < word.length; i++) {
				if ([...(word[i]! + word[i + 1]!)].length > (config.maxTokenBytes ?? 256)) continue;
				const pair = `${word[i]} ${word[i + 1]}`;
				counts.set(pair, (counts.get(pair) ?? 0) + 1);
			}
		const known = merges.find(([a, b]) => counts.has(`${a} ${b}`));
		if (known !== undefined) {
			apply(known[0]!, known[1]!);
			continue;
		}
		const rank = (pair: string) => pair.split(' ').map((token) => tokens.indexOf(token)) as [number, number];
		const best = [...counts].sort(([p, m], [q, n]) => n - m || rank(p)[0] - rank(q)[0] || rank(p)[1] - rank(q)[1])[0];
		if (best === undefined || best[1] < config.minFrequency) break;
		const [a, b] = best[0].split(' ') as [string, string];
		merges.push([a, b]);
		if (!tokens.includes(a + b)) tokens.push(a + b);
		apply(a, b);
	}
	return { tokens, merges };
}

interface Model {
	readonly vocab: Record<string, number>;
	readonly merges: string[][];
}

async function train(documents: string[], config: BpeTrainingConfig) {
	const { tokenizer, stats } = await trainBpe(documents, config);
	return { tokenizer, stats, model: (tokenizer.toJson() as { model: Model }).model };
}

test('learns the merges of the definition', async () => {
	const random = new RandomStream(11);
	for (let round = 0; round < 40; round++) {
		// Few letters make ties, overlaps (aaa) and tokens that two pairs spell.
		const letters = ['ab', 'abc', 'aab ', 'ab\u00e9 '][round % 4]!;
		const text = Array.from({ length: 400 }, () => letters[random.integer(letters.length)]).join('');
		const config = { vocabSize: 256 + 40, minFrequency: 1 + (round % 3), maxTokenBytes: round % 5 === 0 ? 4 : 256 };
		const { model } = await train([text], { ...config, specialTokens: [] });
		const expected = naiveMerges(text, config);
		assert.deepEqual(model.merges, expected.merges, text);
		assert.deepEqual(model.vocab, Object.fromEntries(expected.tokens.map((token, id) => [token, id])));
	}
});

test('the Python library learns the same from this text (recorded with tokenizers 0.23.3)', async () => {
	const text = 'low lower lowest newer newest wide wider widest, low low newer newer newer! aaaa aaa aaaa';
	const { model } = await train([text], { vocabSize: 275, specialTokens: ['<|endoftext|>'] });
	assert.deepEqual(
		model.merges.map((merge) => merge.join(' ')),
		[
			'a a',
			'w e',
			'e we',
			'l o',
			'n ewe',
			'\u0120 newe',
			'\u0120 lo',
			'\u0120newe r',
			'd e',
			'i de',
			's t',
			'w ide',
			'\u0120 aa',
			'\u0120 wide',
			'\u0120lo w',
			'\u0120lo we',
			'\u0120aa aa',
		],
	);
});

test('the file has the nine fields in order, special tokens first, and its roles', async () => {
	const { tokenizer } = await train(['a text to learn from, a text'], {
		vocabSize: 300,
		specialTokens: ['<s>', '</s>', '<pad>'],
		bosToken: '<s>',
		eosToken: '</s>',
		padToken: '<pad>',
	});
	assert.deepEqual(Object.keys(tokenizer.toJson()), [
		'version',
		'truncation',
		'padding',
		'added_tokens',
		'normalizer',
		'pre_tokenizer',
		'post_processor',
		'decoder',
		'model',
	]);
	assert.deepEqual([tokenizer.bosId, tokenizer.eosId, tokenizer.padId], [0, 1, 2]);
	assert.deepEqual([...tokenizer.specialIds], [0, 1, 2]);
});

test('text of special tokens is not learned from', async () => {
	const { model, tokenizer } = await train([`b${'<|x|>'.repeat(50)}`], {
		vocabSize: 300,
		specialTokens: ['<|x|>', 'EOS'],
	});
	assert.deepEqual(model.merges, []);
	assert.deepEqual(tokenizer.encode('<|x|>EOS'), [0, 1]);
});

test('the order and the cutting of the input do not matter', async () => {
	const documents = ['one two three', 'two three four', 'three four five five five'];
	const once = await train(documents, { vocabSize: 290 });
	const twice = await train([...documents].reverse(), { vocabSize: 290 });
	assert.deepEqual(once.tokenizer.toJson(), twice.tokenizer.toJson());
});

test('files are read in pieces without changing what is learned', async () => {
	const directory = mkdtempSync(join(tmpdir(), 'modelsmith-'));
	try {
		const text = 'Call me Ishmael. Some years ago \u2013 never mind how long precisely\n\n \u00e9t\u00e9 '.repeat(
			20_000,
		);
		const path = join(directory, 'a.txt');
		writeFileSync(path, text);
		const pieces: string[] = [];
		for await (const piece of textOfFiles([path])) pieces.push(piece);
		assert.ok(pieces.length > 1);
		assert.equal(pieces.join(''), text);
		const fromFile = await trainBpe(textOfFiles([path]), { vocabSize: 320 });
		const fromText = await trainBpe([text], { vocabSize: 320 });
		assert.deepEqual(fromFile.tokenizer.toJson(), fromText.tokenizer.toJson());
		fromFile.tokenizer.save(directory);
		assert.deepEqual(JSON.parse(readFileSync(join(directory, 'tokenizer.json'), 'utf8')), fromText.tokenizer.toJson());
		await assert.rejects(trainBpe(textOfFiles([join(directory, 'none')]), { vocabSize: 300 }), InputError);
	} finally {
		rmSync(directory, { recursive: true });
	}
});

test('a word of a megabyte trains in bounded time', async () => {
	const random = new RandomStream(3);
	const word = Array.from({ length: 1 << 20 }, () => 'acgt'[random.integer(4)]).join('');
	const { model, stats } = await train([word, 'a'.repeat(1 << 20)], { vocabSize: 400 });
	assert.equal(stats.bytes, 2 << 20);
	assert.ok(model.merges.length > 100);
});

test('progress comes with a rate, and a signal stops the work', async () => {
	const reports: BpeTrainingProgress[] = [];
	function* endless() {
		for (let i = 0; ; i++) yield `word${i} and more words `.repeat(50);
	}
	const abort = new AbortController();
	const work = trainBpe(
		endless(),
		{ vocabSize: 300, maxWords: 5000 },
		{
			signal: abort.signal,
			onProgress(progress) {
				reports.push(progress);
				if (reports.length === 2) abort.abort();
			},
		},
	);
	await assert.rejects(work, InterruptedError);
	assert.ok(reports.every(({ phase, rate, distinctWords }) => phase === 'count' && rate > 0 && distinctWords <= 5001));
});

test('bad options name the option', async () => {
	const cases: [BpeTrainingConfig, RegExp][] = [
		[{ vocabSize: 256 }, /tokenizer\.vocabSize[\s\S]*257/],
		[{ vocabSize: 1.5 }, /tokenizer\.vocabSize/],
		[{ vocabSize: 300, minFrequency: 0 }, /tokenizer\.minFrequency/],
		[{ vocabSize: 300, specialTokens: ['<a>', '<a>'] }, /tokenizer\.specialTokens[\s\S]*<a>/],
		[{ vocabSize: 300, specialTokens: ['x'] }, /hide a byte/],
		[{ vocabSize: 300, eosToken: '</s>' }, /tokenizer\.eosToken/],
	];
	for (const [config, message] of cases)
		await assert.rejects(trainBpe(['text'], config), (error) => {
			assert.ok(error instanceof ConfigError);
			assert.match(error.message, message);
			return true;
		});
	await assert.rejects(trainBpe([''], { vocabSize: 300 }), InputError);
	await assert.rejects(trainBpe('one text', { vocabSize: 300 }), InputError);
});
