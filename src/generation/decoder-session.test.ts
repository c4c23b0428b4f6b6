import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { InputError, InterruptedError } from '../base/errors.ts';
import { type HostTensor, hostTensor } from '../base/host-tensor.ts';
import { RandomStream } from '../base/random.ts';
import { input } from '../graph/ops/source.ts';
import { dim } from '../graph/shape.ts';
import { Program } from '../runtime/program.ts';
import { createDecoderSession, type DecoderSession } from './decoder-session.ts';
import { smallDecoder } from './testing/small-decoder.ts';
import { startWorkerSession } from './worker-session.ts';

const VOCAB = 64;
const { model, weights } = smallDecoder({ vocabSize: VOCAB, maxLength: 40 });

function randomTexts(lengths: readonly number[], seed: number): number[][] {
	const random = new RandomStream(seed);
	return lengths.map((length) => Array.from({ length }, () => random.integer(VOCAB)));
}

/** Logits of every position of one text, without any cache [time][vocab]. */
async function uncached(tokens: readonly number[]): Promise<Float32Array[]> {
	reference ??= await Program.compile(
		{
			logits: model.logits(
				model.hiddenStates({ tokens: input('tokens', 'int32', [dim('batch'), dim('time')]) }, { training: false })
					.hidden,
			),
		},
		{ bound: weights },
	);
	const { logits } = await reference.run({ tokens: hostTensor('int32', [1, tokens.length], [...tokens]) });
	return tokens.map((_, i) => ((logits as HostTensor).data as Float32Array).slice(i * VOCAB, (i + 1) * VOCAB));
}
let reference: Program | undefined;

function assertClose(actual: ArrayLike<number>, expected: ArrayLike<number>, what: string, tolerance = 1e-4): void {
	assert.equal(actual.length, expected.length, what);
	for (let i = 0; i < expected.length; i++) {
		assert.ok(
			Math.abs(actual[i]! - expected[i]!) <= tolerance,
			`${what}: element ${i} is ${actual[i]}, expected ${expected[i]}`,
		);
	}
}

for (const place of ['this thread', 'a worker'] as const) {
	describe(`session in ${place}`, () => {
		let session: DecoderSession;
		before(async () => {
			const settings = { chunk: 5, threads: 1 };
			session =
				place === 'a worker'
					? await startWorkerSession(model, weights, settings)
					: await createDecoderSession(model, weights, settings);
		});
		after(() => session.dispose());

		for (const lengths of [[7], [6, 6], [1, 9, 4, 17]]) {
			test(`cached logits equal uncached ones, prompts of ${lengths.join(', ')} tokens`, async () => {
				const texts = randomTexts(lengths, 1);
				const batch = await session.open(texts.length);
				let logits = await session.extend(batch, texts);
				const random = new RandomStream(9);
				for (let step = 0; step < 6; step++) {
					for (const [row, text] of texts.entries()) {
						const expected = (await uncached(text)).at(-1)!;
						assertClose(logits.subarray(row * VOCAB, (row + 1) * VOCAB), expected, `step ${step}, row ${row}`);
					}
					// Steps of one token, then of several.
					const more = texts.map(() => randomTexts([step < 3 ? 1 : 3], random.integer(1000))[0]!);
					logits = await session.extend(batch, more);
					texts.forEach((text, row) => void text.push(...more[row]!));
				}
				await session.close(batch);
			});
		}

		test('rows can be dropped, repeated and reordered', async () => {
			const texts = randomTexts([3, 8, 5], 4);
			const batch = await session.open(3);
			await session.extend(batch, texts);
			await session.select(batch, [2, 0, 0, 1]);
			const now = [2, 0, 0, 1].map((row) => [...texts[row]!]);
			const more = randomTexts([2, 2, 2, 2], 5);
			const logits = await session.extend(batch, more);
			for (const [row, text] of now.entries()) {
				assertClose(
					logits.subarray(row * VOCAB, (row + 1) * VOCAB),
					(await uncached([...text, ...more[row]!])).at(-1)!,
					`row ${row}`,
				);
			}
			await session.close(batch);
			await assert.rejects(session.extend(batch, more), InputError);
		});

		test('scores equal the log-softmax of uncached logits', async () => {
			const texts = randomTexts([2, 12, 30, 7, 7, 19], 6);
			const from = [1, 4, 1, 6, 1, 18];
			const scores = await session.score(texts.map((tokens, i) => ({ tokens, from: from[i]! })));
			for (const [i, tokens] of texts.entries()) {
				const rows = await uncached(tokens);
				const expected = tokens.slice(from[i]).map((token, j) => {
					const row = rows[from[i]! + j - 1]!;
					const top = Math.max(...row);
					return row[token]! - top - Math.log(row.reduce((sum, x) => sum + Math.exp(x - top), 0));
				});
				assertClose(scores[i]!, expected, `text ${i}`);
			}
		});

		test('overlapping batches do not disturb each other', async () => {
			const texts = randomTexts([9, 12], 7);
			const alone = await Promise.all(
				texts.map(async (text) => {
					const batch = await session.open(1);
					let logits = await session.extend(batch, [text]);
					for (let i = 0; i < 4; i++) logits = await session.extend(batch, [[i]]);
					await session.close(batch);
					return logits;
				}),
			);
			for (const [i, text] of texts.entries())
				assertClose(alone[i]!, (await uncached([...text, 0, 1, 2, 3])).at(-1)!, `text ${i}`);
		});

		test('bad calls are input errors', async () => {
			const batch = await session.open(2);
			await assert.rejects(session.extend(batch, [[1]]), InputError);
			for (const tokens of [
				[[VOCAB], [1]],
				[[-1], [1]],
				[[0.5], [1]],
				[[], [1]],
				[new Array(41).fill(0), [1]],
			]) {
				await assert.rejects(session.extend(await session.open(2), tokens), InputError);
			}
			const started = await session.open(2);
			await session.extend(started, [[1, 2], [3]]);
			await assert.rejects(session.extend(started, [[1, 2], [3]]), /same number/);
			await assert.rejects(session.open(0), InputError);
			const other = await session.open(1);
			await assert.rejects(session.select(other, [1]), InputError);
			await assert.rejects(session.select(other, []), InputError);
			await assert.rejects(session.score([{ tokens: [1], from: 1 }]), InputError);
			await assert.rejects(session.score([{ tokens: [1, 2], from: 0 }]), InputError);
			await assert.rejects(session.score([{ tokens: new Array(42).fill(1), from: 1 }]), InputError);
			await session.close(other);
		});

		test('an abort ends a call between chunks', async () => {
			// A fast machine may finish before the abort reaches another thread; then it is tried again.
			for (let attempt = 0; ; attempt++) {
				const controller = new AbortController();
				const batch = await session.open(1);
				const running = session.extend(batch, randomTexts([40], 8), { signal: controller.signal });
				controller.abort();
				const outcome = await running.then(
					() => undefined,
					(error: unknown) => error,
				);
				if (outcome === undefined && attempt < 50) {
					await session.close(batch);
					continue;
				}
				assert.ok(outcome instanceof InterruptedError, String(outcome));
				await assert.rejects(session.extend(batch, [[1]]), InputError, 'a broken batch is closed');
				return;
			}
		});
	});
}

test('a missing weight is named', async () => {
	const some = new Map(weights);
	some.delete('layers.1.self_attn.q_proj.weight');
	await assert.rejects(createDecoderSession(model, some), /layers\.1\.self_attn\.q_proj\.weight/);
});

test('the event loop turns while a worker computes', async () => {
	const large = smallDecoder({ vocabSize: 4096, dim: 256, heads: 4, layers: 2, maxLength: 256 });
	const session = await startWorkerSession(large.model, large.weights);
	let turns = 0;
	const timer = setInterval(() => void turns++, 1);
	const started = performance.now();
	await session.score(Array.from({ length: 16 }, (_, i) => ({ tokens: new Array(256).fill(i), from: 1 })));
	const elapsed = performance.now() - started;
	clearInterval(timer);
	await session.dispose();
	assert.ok(turns > elapsed / 20, `${turns} turns in ${elapsed} ms`);
});
