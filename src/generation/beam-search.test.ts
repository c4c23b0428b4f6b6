import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { InputError, InterruptedError } from '../base/errors.ts';
import { mix, uniformAt } from '../base/random.ts';
import { beamSearch } from './beam-search.ts';
import { generate } from './generate.ts';
import { scriptedSession } from './testing/scripted-session.ts';

const VOCAB = 5;
const STOP = 4;
const language =
	(seed: number) =>
	(text: readonly number[]): Float32Array => {
		const hash = text.reduce((state, token) => mix(state * 31 + token + 1), seed);
		return Float32Array.from({ length: VOCAB }, (_, i) => 4 * uniformAt(hash, i));
	};

/** Every text of up to `maxTokens` tokens with its log-probability. */
function allTexts(logitsAfter: (text: readonly number[]) => Float32Array, maxTokens: number) {
	const results: { tokens: number[]; logprob: number }[] = [];
	const visit = (tokens: number[], logprob: number): void => {
		if (tokens.at(-1) === STOP || tokens.length === maxTokens) {
			results.push({ tokens, logprob });
			return;
		}
		const row = logitsAfter([0, ...tokens]);
		const total = Math.log(row.reduce((sum, x) => sum + Math.exp(x), 0));
		row.forEach((logit, token) => void visit([...tokens, token], logprob + logit - total));
	};
	visit([], 0);
	return results;
}

test('with beams enough the best texts of all are found', async () => {
	await fc.assert(
		fc.asyncProperty(fc.nat({ max: 1000 }), fc.constantFrom(0, 0.5, 1, 1.5), async (seed, lengthPenalty) => {
			const logitsAfter = language(seed);
			const session = scriptedSession(VOCAB, logitsAfter);
			const found = await beamSearch({
				session,
				prompt: [0],
				beams: 300,
				maxTokens: 4,
				lengthPenalty,
				stopTokens: [STOP],
			});
			const expected = allTexts(logitsAfter, 4)
				.map((text) => ({ ...text, score: text.logprob / text.tokens.length ** lengthPenalty }))
				.sort((a, b) => b.score - a.score);
			assert.deepEqual(found[0]?.tokens, expected[0]?.tokens);
			found.slice(0, 20).forEach(({ score }, i) => void assert.ok(Math.abs(score - expected[i]!.score) < 1e-5));
			assert.equal(session.texts.size, 0);
		}),
		{ numRuns: 25 },
	);
});

test('one beam is greedy; more beams are never worse in sum than greedy without length penalty', async () => {
	for (let seed = 0; seed < 20; seed++) {
		const session = scriptedSession(VOCAB, language(seed));
		const common = { session, prompt: [0], maxTokens: 6 };
		const greedy = await generate({ ...common, sampling: { temperature: 0 } });
		const [one] = await beamSearch({ ...common, beams: 1 });
		assert.deepEqual(one?.tokens, greedy.tokens);
		assert.ok(Math.abs(one!.logprob - greedy.logprobs.reduce((a, b) => a + b, 0)) < 1e-5);
		const [best] = await beamSearch({ ...common, beams: 200, lengthPenalty: 0 });
		assert.ok(best!.logprob >= one!.logprob - 1e-6);
	}
});

test('bad settings and aborts', async () => {
	const session = scriptedSession(VOCAB, language(1));
	for (const bad of [{ beams: 0 }, { maxTokens: 0 }, { lengthPenalty: Number.NaN }, { stopTokens: [-1] }]) {
		await assert.rejects(beamSearch({ session, prompt: [0], ...bad }), InputError);
	}
	await assert.rejects(beamSearch({ session, prompt: [0], signal: AbortSignal.abort() }), InterruptedError);
	assert.equal(session.texts.size, 0);
});
