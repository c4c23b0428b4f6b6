import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { InputError, InterruptedError } from '../base/errors.ts';
import { uniformAt } from '../base/random.ts';
import { type GenerationSettings, generate, generateBatch, generateStream } from './generate.ts';
import { StopStrings } from './stop-strings.ts';
import { byteTokenizer, END } from './testing/byte-tokenizer.ts';
import { scriptedSession, writes } from './testing/scripted-session.ts';

const VOCAB = 257;

/** Logits that depend on the whole text in a fixed, random way. */
const noisy = (text: readonly number[]): Float32Array => {
	let hash = 17;
	for (const token of text) hash = (Math.imul(hash, 31) + token) >>> 0;
	return Float32Array.from({ length: VOCAB }, (_, i) => (i === END ? -20 : 6 * uniformAt(hash, i)));
};

const saying = (answer: string, rest: Partial<GenerationSettings> = {}) => {
	const session = scriptedSession(VOCAB, writes(VOCAB, 1, [...Buffer.from(answer), END]));
	return { session, tokenizer: byteTokenizer, prompt: 'a', ...rest };
};

async function collect(options: Parameters<typeof generateStream>[0]) {
	const events = [];
	for await (const event of generateStream(options)) events.push(event);
	return { events, text: events.map(({ text }) => text).join('') };
}

test('streamed text is the generated text, ends at the end token, and characters are whole', async () => {
	const answer = 'héllo 🙂 wörld';
	const { events, text } = await collect(saying(answer));
	assert.equal(text, answer);
	assert.equal(events.at(-1)?.finishReason, 'stop-token');
	assert.equal(events.at(-1)?.token, END);
	assert.ok(events.every((event) => !event.text.includes('\ufffd') && event.text.isWellFormed()));
	assert.ok(events.every(({ logprob }) => logprob <= 0 && logprob > -1e-6));
});

test('a text cut inside a character ends with U+FFFD, as decoding it does', async () => {
	const { text } = await collect(saying('é', { maxTokens: 1 }));
	assert.equal(text, '\ufffd');
});

test('stop strings: nothing of them or after them comes out, wherever tokens and calls fall', async () => {
	const alphabet = fc.constantFrom('a', 'b', 'é', '🙂');
	const word = (maxLength: number, minLength = 0) =>
		fc.array(alphabet, { minLength, maxLength }).map((parts) => parts.join(''));
	await fc.assert(
		fc.asyncProperty(word(12), fc.array(word(3, 1), { minLength: 1, maxLength: 3 }), async (answer, stop) => {
			const { text, events } = await collect(saying(answer, { stop, maxTokens: 60 }));
			const ends = stop.flatMap((s) => (answer.includes(s) ? [{ s, end: answer.indexOf(s) + s.length }] : []));
			if (ends.length === 0) {
				assert.equal(text, answer);
				return;
			}
			const first = Math.min(...ends.map(({ end }) => end));
			const longest = Math.max(...ends.filter(({ end }) => end === first).map(({ s }) => s.length));
			assert.equal(text, answer.slice(0, first - longest));
			assert.equal(events.at(-1)?.finishReason, 'stop-string');
		}),
		{ numRuns: 200 },
	);
});

test('stop strings do not depend on how the text is cut into pieces', () => {
	const text = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 20 });
	const stops = fc.array(fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: 1, maxLength: 4 }), {
		maxLength: 4,
	});
	fc.assert(
		fc.property(fc.array(text, { maxLength: 6 }), stops, (pieces, stop) => {
			const run = (parts: readonly string[]): string => {
				const matcher = new StopStrings(stop);
				return parts.map((part) => matcher.push(part).text).join('') + matcher.finish();
			};
			const whole = pieces.join('');
			assert.equal(run(pieces), run([whole]));
			assert.equal(run(pieces), run([...whole]));
			assert.ok(stop.every((s) => !run(pieces).includes(s)));
		}),
	);
});

test('the same seed gives the same text alone, in a batch, at any place in it, and as the first of several samples', async () => {
	const session = scriptedSession(VOCAB, noisy);
	const common = { session, tokenizer: byteTokenizer, maxTokens: 12, seed: 5, sampling: { temperature: 1.3 } };
	const prompts = ['one', 'a longer prompt', 'x'];
	const alone = await Promise.all(prompts.map((prompt) => generate({ ...common, prompt })));
	const batch = await generateBatch({ ...common, prompts, samples: 3 });
	const reversed = await generateBatch({ ...common, prompts: [...prompts].reverse() });
	prompts.forEach((_, i) => {
		assert.deepEqual(batch[i]![0], alone[i]);
		assert.deepEqual(reversed[prompts.length - 1 - i]![0], alone[i]);
		const texts = new Set(batch[i]!.map(({ tokens }) => tokens.join()));
		assert.equal(texts.size, 3, 'samples differ');
	});
	assert.notDeepEqual(await generate({ ...common, prompt: 'one', seed: 6 }), alone[0]);
	assert.equal(session.texts.size, 0, 'every batch is closed');
});

test('finished texts leave the batch', async () => {
	const session = scriptedSession(VOCAB, (text) => writes(VOCAB, text[0] as number, [65, 66, 67, END])(text));
	const prompts = [
		[2, 2],
		[4, 4, 4, 4],
	];
	const events = await generateBatch({ session, tokenizer: byteTokenizer, prompts, stopTokens: [67, END] });
	assert.deepEqual(
		events.map(([one]) => one!.text),
		['AB', 'AB'],
	);
	const uneven = scriptedSession(VOCAB, (text) =>
		writes(VOCAB, 1, text[0] === 1 ? [65, END] : [65, 66, 67, END])(text),
	);
	await generateBatch({ session: uneven, tokenizer: byteTokenizer, prompts: [[1], [2]] });
	assert.deepEqual(
		uneven.calls.map(({ length }) => length),
		[2, 2, 1, 1],
	);
});

test('a prompt is read once for all its samples', async () => {
	const session = scriptedSession(VOCAB, noisy);
	await generateBatch({ session, tokenizer: byteTokenizer, prompts: ['abcdef', 'gh'], samples: 3, maxTokens: 3 });
	assert.deepEqual(session.calls[0], [6, 2]);
	assert.deepEqual(session.calls[1], [1, 1, 1, 1, 1, 1]);
});

test('a full context: error, stop or slide', async () => {
	const common = { tokenizer: byteTokenizer, prompt: 'abcd', maxTokens: 20, stopTokens: [] };
	const session = () => scriptedSession(VOCAB, noisy, 8);
	await assert.rejects(
		generate({ ...common, session: session() }),
		(error) => error instanceof InputError && /slide/.test(error.message),
	);
	assert.equal((await generate({ ...common, session: session(), maxTokens: 5 })).tokens.length, 5);
	const stopped = await generate({ ...common, session: session(), overflow: 'stop' });
	assert.equal(stopped.tokens.length, 5);
	assert.equal(stopped.finishReason, 'context');
	const slid = await generate({ ...common, session: session(), overflow: 'slide' });
	assert.equal(slid.tokens.length, 20);
	assert.deepEqual(slid.tokens.slice(0, 5), stopped.tokens);
	const long = await generate({
		...common,
		session: session(),
		overflow: 'slide',
		prompt: 'x'.repeat(50),
		maxTokens: 3,
	});
	assert.equal(long.tokens.length, 3);
});

test('an abort throws and closes the batch; leaving the loop closes it too', async () => {
	const session = scriptedSession(VOCAB, noisy);
	const controller = new AbortController();
	let seen = 0;
	await assert.rejects(async () => {
		for await (const _ of generateStream({
			session,
			tokenizer: byteTokenizer,
			prompt: 'a',
			signal: controller.signal,
		})) {
			if (++seen === 3) controller.abort();
		}
	}, InterruptedError);
	assert.equal(seen, 3);
	for await (const _ of generateStream({ session, tokenizer: byteTokenizer, prompt: 'a' })) break;
	assert.equal(session.texts.size, 0);
});

test('an empty prompt starts from the end-of-sequence token; without one it is an error', async () => {
	const session = scriptedSession(VOCAB, noisy);
	await generate({ session, tokenizer: byteTokenizer, prompt: '', maxTokens: 1 });
	assert.deepEqual(session.calls, [[1]]);
	const bare = { ...byteTokenizer, eosId: undefined };
	await assert.rejects(generate({ session, tokenizer: bare, prompt: '' }), /the prompt is empty/);
	await assert.rejects(generate({ session, prompt: [] }), /the prompt is empty/);
});

test('bad settings are input errors that name the setting', async () => {
	const good = saying('x');
	const bad: [object, RegExp][] = [
		[{ maxTokens: -1 }, /maxTokens/],
		[{ maxTokens: 1.5 }, /maxTokens/],
		[{ maxTokens: Number.NaN }, /maxTokens/],
		[{ stop: [''] }, /stop/],
		[{ stop: 'x' }, /stop/],
		[{ stopTokens: [-1] }, /stopTokens/],
		[{ seed: 0.5 }, /seed/],
		[{ overflow: 'wrap' }, /overflow/],
		[{ sampling: { topP: 2 } }, /topP/],
		[{ tokenizer: undefined }, /tokenizer/],
	];
	for (const [change, message] of bad) {
		const options = { ...good, ...change } as Parameters<typeof generate>[0];
		await assert.rejects(
			generate(options),
			(error) => error instanceof InputError && message.test(error.message),
			JSON.stringify(change),
		);
	}
	await assert.rejects(generateBatch({ ...good, prompts: ['a'], samples: 0 }), /samples/);
	assert.deepEqual(await generateBatch({ ...good, prompts: [] }), []);
	assert.equal((await generate({ ...good, maxTokens: 0 })).text, '');
});
