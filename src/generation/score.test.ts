import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { InputError } from '../base/errors.ts';
import { uniformAt } from '../base/random.ts';
import { measurePerplexity, slidingWindows } from './perplexity.ts';
import { bestOption, joinTokens, scoreOptions } from './score.ts';
import { byteTokenizer } from './testing/byte-tokenizer.ts';
import { scriptedSession } from './testing/scripted-session.ts';

const VOCAB = 257;
/** The next token depends on the last one. */
const bigram = (text: readonly number[]): Float32Array =>
	Float32Array.from({ length: VOCAB }, (_, i) => 3 * uniformAt(text.at(-1)!, i));
const logprob = (previous: number, token: number): number => {
	const row = bigram([previous]);
	return row[token]! - Math.log(row.reduce((sum, x) => sum + Math.exp(x), 0));
};
const close = (a: number, b: number): void => assert.ok(Math.abs(a - b) < 1e-6, `${a} and ${b}`);

test('options are scored by the tokens after the context', async () => {
	const session = scriptedSession(VOCAB, bigram);
	const [scores] = await scoreOptions([{ context: 'ab', options: ['cd', 'é'] }], { session, tokenizer: byteTokenizer });
	const expected = logprob(98, 99) + logprob(99, 100);
	close(scores![0]!.sum, expected);
	close(scores![0]!.perToken, expected / 2);
	const bytes = [...Buffer.from('é')];
	close(scores![1]!.perByte, (logprob(98, bytes[0]!) + logprob(bytes[0]!, bytes[1]!)) / 2);
	assert.equal(bestOption(scores!, 'sum'), scores![0]!.sum >= scores![1]!.sum ? 0 : 1);
});

test('white space at the end of the context counts to the option; an empty context starts from the end token', () => {
	assert.deepEqual(joinTokens('a ', 'b', byteTokenizer), { tokens: [97, 32, 98], from: 1 });
	assert.deepEqual(joinTokens('', 'b', byteTokenizer), { tokens: [256, 98], from: 1 });
	assert.deepEqual(joinTokens('  ', 'b', byteTokenizer), { tokens: [256, 32, 32, 98], from: 1 });
});

test('where a token spans the boundary, context and option are encoded apart', () => {
	const pairs = {
		...byteTokenizer,
		encode: (text: string) => text.match(/ab|./g)?.map((part) => (part === 'ab' ? 7 : part.charCodeAt(0))) ?? [],
	};
	assert.deepEqual(joinTokens('xa', 'bc', pairs), { tokens: [120, 97, 98, 99], from: 2 });
	assert.deepEqual(joinTokens('x', 'abc', pairs), { tokens: [120, 7, 99], from: 1 });
});

test('a long context loses its beginning; a long option is an error', async () => {
	const session = scriptedSession(VOCAB, bigram, 4);
	const query = { context: 'x'.repeat(50), options: ['cd'] };
	const scores = await scoreOptions([query], { session, tokenizer: byteTokenizer });
	close(scores[0]![0]!.sum, logprob(120, 99) + logprob(99, 100));
	const bad = (query: { context: string; options: string[] }) =>
		assert.rejects(scoreOptions([query], { session, tokenizer: byteTokenizer }), InputError);
	await bad({ context: 'x', options: ['cdefgh'] });
	await bad({ context: 'x', options: [''] });
	assert.throws(() => bestOption([]), InputError);
});

test('every token but the first is scored once, with at least window - stride tokens before it', () => {
	fc.assert(
		fc.property(
			fc.integer({ min: 2, max: 80 }),
			fc.integer({ min: 1, max: 20 }),
			fc.nat({ max: 19 }),
			(length, window, shorter) => {
				const stride = Math.max(1, window - shorter);
				const tokens = Int32Array.from({ length }, (_, i) => i);
				const scored: number[] = [];
				for (const { tokens: part, from } of slidingWindows(tokens, window, stride)) {
					assert.ok(part.length <= window + 1);
					const rows = Array.from(part);
					scored.push(...rows.slice(from));
					if (rows[0] !== 0) assert.ok(from >= Math.max(1, window - stride + 1), `${from} tokens of context`);
				}
				assert.deepEqual(scored, Array.from(tokens.slice(1)));
			},
		),
		{ numRuns: 300 },
	);
});

test('perplexity by hand, and the same for every window where one token of context is enough', async () => {
	const session = scriptedSession(VOCAB, bigram);
	const tokens = [...Buffer.from('the quick brown fox jumps over the lazy dog')];
	let nats = 0;
	for (let i = 1; i < tokens.length; i++) nats -= logprob(tokens[i - 1]!, tokens[i]!);
	for (const options of [{ window: 5 }, { window: 8, stride: 3 }, { window: 100 }]) {
		const seen: number[] = [];
		const result = await measurePerplexity(tokens, {
			session,
			...options,
			bytes: tokens.length,
			onProgress: ({ scored }) => void seen.push(scored),
		});
		close(result.nats, nats);
		close(result.loss, nats / (tokens.length - 1));
		close(result.perplexity, Math.exp(result.loss));
		close(result.bitsPerByte!, result.loss / Math.LN2);
		assert.equal(seen.at(-1), tokens.length - 1);
	}
	for (const bad of [{ window: 0 }, { window: 4, stride: 5 }, { stride: 0 }, { bytes: 0 }, { window: 1.5 }]) {
		await assert.rejects(measurePerplexity(tokens, { session, ...bad }), InputError);
	}
	await assert.rejects(measurePerplexity([1], { session }), InputError);
});
