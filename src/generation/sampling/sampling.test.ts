import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { InputError, ModelsmithError, NumericsError } from '../../base/errors.ts';
import { massThreshold, orderedBits } from './mass-threshold.ts';
import { resolveSampling, type SamplingOptions } from './options.ts';
import { countPenalties, minP, repetitionPenalty, temperature, topK, topP, typicalP } from './processors.ts';
import { argmax, createSampler, logProbability, probabilities } from './sampler.ts';

const NONE = { tokens: [], promptLength: 0 };
const row = fc
	.array(fc.float({ min: -50, max: 50, noNaN: true }), { minLength: 1, maxLength: 60 })
	.map((values) => Float32Array.from(values));
/** Few different values: ties everywhere. */
const tiedRow = fc
	.array(fc.integer({ min: -2, max: 2 }), { minLength: 1, maxLength: 40 })
	.map((values) => Float32Array.from(values));
const anyRow = fc.oneof(row, tiedRow);

const kept = (logits: Float32Array): number[] =>
	[...logits].flatMap((logit, i) => (logit === Number.NEGATIVE_INFINITY ? [] : [i]));
const processed = (logits: Float32Array, process: (row: Float32Array, history: typeof NONE) => void): Float32Array => {
	const copy = Float32Array.from(logits);
	process(copy, NONE);
	return copy;
};
const log = (values: readonly number[]): Float32Array => Float32Array.from(values, Math.log);

test('radix selection finds the same threshold as sorting', () => {
	fc.assert(
		fc.property(anyRow, fc.double({ min: 0.001, max: 1, noNaN: true }), (values, share) => {
			const weights = Float64Array.from(values, (value) => Math.exp(value / 10));
			const total = weights.reduce((a, b) => a + b, 0);
			const order = [...values.keys()].sort((a, b) => (values[b] as number) - (values[a] as number));
			const keys = orderedBits(values);
			const { bits, above } = massThreshold(keys, share * total * 0.999, weights);
			let mass = 0;
			let threshold = values[order[0]!]!;
			for (const i of order) {
				if (mass >= share * total * 0.999) break;
				threshold = values[i]!;
				mass += weights[i]!;
			}
			const expectedAbove = values.reduce((sum, v, i) => (v > threshold ? sum + weights[i]! : sum), 0);
			assert.equal(bits, orderedBits(Float32Array.of(threshold === 0 ? values.find((v) => v === 0)! : threshold))[0]);
			assert.ok(Math.abs(above - expectedAbove) < 1e-9 * total);
		}),
		// Sorting cannot tell -0 from 0; the generator of ties uses integers, and -0 is left to the next test.
		{ examples: [[Float32Array.of(1, 1, 1), 1]] },
	);
});

test('order-preserving bits: a < b exactly when bits(a) < bits(b)', () => {
	fc.assert(
		fc.property(fc.float({ noNaN: true }), fc.float({ noNaN: true }), (a, b) => {
			const [x, y] = orderedBits(Float32Array.of(a, b)) as unknown as [number, number];
			if (a < b) assert.ok(x < y);
			if (a > b) assert.ok(x > y);
		}),
	);
});

test('probabilities sum to 1 after every chain of settings', () => {
	const settings = fc.record({
		temperature: fc.double({ min: 0.01, max: 10, noNaN: true }),
		topK: fc.integer({ min: 0, max: 70 }),
		topP: fc.double({ min: 0, max: 1, noNaN: true }),
		minP: fc.double({ min: 0, max: 1, noNaN: true }),
		typicalP: fc.double({ min: 0.01, max: 1, noNaN: true }),
	});
	fc.assert(
		fc.property(anyRow, settings, fc.nat(), (logits, options, seed) => {
			const sampler = createSampler(options);
			const { token, logprob } = sampler.sample(Float32Array.from(logits), NONE, seed, 3);
			assert.ok(token >= 0 && token < logits.length);
			assert.ok(logprob <= 1e-12 && Math.abs(logprob - logProbability(logits, token)) < 1e-12);
			const chained = processed(logits, temperature(options.temperature));
			for (const process of [topK(options.topK || 1), topP(options.topP), typicalP(options.typicalP)])
				process(chained, NONE);
			assert.ok(Math.abs(probabilities(chained).reduce((a, b) => a + b, 0) - 1) < 1e-9);
		}),
	);
});

test('top-k keeps the k largest, and all that equal the k-th', () => {
	fc.assert(
		fc.property(anyRow, fc.integer({ min: 1, max: 70 }), (logits, k) => {
			const result = processed(logits, topK(k));
			const threshold = [...logits].sort((a, b) => b - a)[Math.min(k, logits.length) - 1]!;
			assert.deepEqual(
				kept(result),
				[...logits].flatMap((logit, i) => (logit >= threshold ? [i] : [])),
			);
		}),
		{ numRuns: 300 },
	);
});

test('top-p keeps the shortest head of the descending order that reaches p', () => {
	fc.assert(
		fc.property(anyRow, fc.double({ min: 0, max: 0.999, noNaN: true }), (logits, p) => {
			const support = kept(processed(logits, topP(p)));
			const all = probabilities(logits);
			const mass = support.reduce((sum, i) => sum + all[i]!, 0);
			assert.ok(support.length >= 1);
			assert.ok(mass >= p - 1e-9, `kept ${mass} of ${p}`);
			const smallest = Math.min(...support.map((i) => all[i]!));
			if (support.length > 1) assert.ok(mass - smallest < p + 1e-9, 'one token too many');
			const removed = [...all.keys()].filter((i) => !support.includes(i));
			for (const i of removed) assert.ok(all[i]! <= smallest + 1e-15);
		}),
		{ numRuns: 300 },
	);
});

test('top-p boundaries', () => {
	assert.deepEqual(kept(processed(log([0.5, 0.25, 0.25]), topP(0.5))), [0]);
	assert.deepEqual(kept(processed(log([0.5, 0.25, 0.25]), topP(0.51))), [0, 1]);
	assert.deepEqual(kept(processed(log([0.25, 0.25, 0.25, 0.25]), topP(0.5))), [0, 1]);
	assert.deepEqual(kept(processed(log([0.1, 0.2, 0.7]), topP(0))), [2]);
	assert.deepEqual(kept(processed(log([0.1, 0.2, 0.7]), topP(0.9))), [1, 2]);
	assert.deepEqual(kept(processed(log([1]), topP(0.3))), [0]);
	assert.equal(createSampler({ topP: 1, temperature: 1 }).options.topP, 1);
});

test('min-p and typical-p by hand', () => {
	assert.deepEqual(kept(processed(log([0.6, 0.3, 0.06, 0.04]), minP(0.101))), [0, 1]);
	assert.deepEqual(kept(processed(log([0.6, 0.3, 0.06, 0.04]), minP(0.0999))), [0, 1, 2]);
	// Entropy 0.8018 nat; |surprise - entropy| = 0.4983 (0.3), 0.109 (0.4), ... computed with the formula of the paper.
	const p = [0.7, 0.2, 0.1];
	const entropy = -p.reduce((sum, x) => sum + x * Math.log(x), 0);
	const order = [0, 1, 2].sort((a, b) => Math.abs(-Math.log(p[a]!) - entropy) - Math.abs(-Math.log(p[b]!) - entropy));
	assert.deepEqual(kept(processed(log(p), typicalP(0.6))), [order[0]!]);
	assert.deepEqual(kept(processed(log(p), typicalP(0.8))), [order[0]!, order[1]!].sort());
});

test('more permissive settings keep a superset', () => {
	fc.assert(
		fc.property(
			anyRow,
			fc.double({ min: 0, max: 1, noNaN: true }),
			fc.double({ min: 0, max: 1, noNaN: true }),
			(logits, a, b) => {
				const [low, high] = [Math.min(a, b), Math.max(a, b)];
				const includes = (large: number[], small: number[]): boolean => small.every((i) => large.includes(i));
				assert.ok(includes(kept(processed(logits, topP(high))), kept(processed(logits, topP(low)))));
				if (low > 0) assert.ok(includes(kept(processed(logits, minP(low))), kept(processed(logits, minP(high)))));
			},
		),
	);
});

test('a higher temperature never makes the most likely token more likely', () => {
	fc.assert(
		fc.property(
			row,
			fc.double({ min: 0.1, max: 5, noNaN: true }),
			fc.double({ min: 0.1, max: 5, noNaN: true }),
			(logits, a, b) => {
				const best = argmax(logits);
				const share = (t: number): number => probabilities(processed(logits, temperature(t)))[best]!;
				assert.ok(share(Math.max(a, b)) <= share(Math.min(a, b)) + 1e-6);
			},
		),
	);
});

test('temperature 0, top-k 1, top-p 0 and a tiny temperature are greedy', () => {
	fc.assert(
		fc.property(row, fc.nat(), (logits, seed) => {
			const pick = (options: SamplingOptions): number =>
				createSampler(options).sample(Float32Array.from(logits), NONE, seed, 0).token;
			const best = Math.max(...logits);
			for (const options of [{ temperature: 0 }, { topK: 1 }, { topP: 0 }, { temperature: 1e-300 }]) {
				assert.equal(logits[pick(options)], best, JSON.stringify(options));
			}
			assert.equal(pick({ temperature: 0 }), logits.indexOf(best));
		}),
	);
});

test('penalties by hand', () => {
	const history = { tokens: [0, 1, 2, 2], promptLength: 2 };
	const repeated = Float32Array.of(2, -2, 0.5, 7);
	repetitionPenalty(2)(repeated, history);
	assert.deepEqual([...repeated], [1, -4, 0.25, 7]);
	const counted = Float32Array.of(2, -2, 0.5, 7);
	countPenalties(0.25, 1)(counted, history);
	assert.deepEqual([...counted], [2, -2, -1, 7]);
});

test('draws follow the probabilities, and depend on seed and step alone', () => {
	const logits = log([0.5, 0.3, 0.2]);
	const sampler = createSampler({});
	const counts = [0, 0, 0];
	for (let step = 0; step < 20_000; step++) counts[sampler.sample(logits, NONE, 11, step).token]!++;
	[0.5, 0.3, 0.2].forEach((p, i) => void assert.ok(Math.abs(counts[i]! / 20_000 - p) < 0.012, `${counts}`));
	assert.deepEqual(sampler.sample(logits, NONE, 5, 9), sampler.sample(logits, NONE, 5, 9));
	const stream = (seed: number): number[] =>
		Array.from({ length: 30 }, (_, s) => sampler.sample(logits, NONE, seed, s).token);
	assert.notDeepEqual(stream(1), stream(2));
});

test('hostile settings are input errors that name the setting', () => {
	const bad: [SamplingOptions, RegExp][] = [
		[{ temperature: -1 }, /temperature/],
		[{ temperature: Number.NaN }, /temperature/],
		[{ temperature: Number.POSITIVE_INFINITY }, /temperature/],
		[{ topK: 1.5 }, /topK/],
		[{ topK: -3 }, /topK/],
		[{ topP: 1.01 }, /topP/],
		[{ topP: Number.NaN }, /topP/],
		[{ minP: -0.1 }, /minP/],
		[{ typicalP: 0 }, /typicalP/],
		[{ repetitionPenalty: 0 }, /repetitionPenalty/],
		[{ frequencyPenalty: Number.NaN }, /frequencyPenalty/],
		[{ logitBias: { x: 1 } }, /logitBias/],
		[{ logitBias: { 3: Number.NaN } }, /logitBias/],
		[{ logitBias: { 99: 1 } }, /logitBias\.99/],
		[{ temprature: 1 } as SamplingOptions, /did you mean "temperature"/],
		[{ topK: '5' } as unknown as SamplingOptions, /topK/],
	];
	for (const [options, message] of bad) {
		assert.throws(
			() => resolveSampling(options, 50),
			(error) => error instanceof InputError && message.test(error.message),
			JSON.stringify(options),
		);
	}
	fc.assert(
		fc.property(fc.object({ key: fc.constantFrom('temperature', 'topK', 'topP', 'logitBias', 'x') }), (options) => {
			try {
				resolveSampling(options as SamplingOptions, 50);
			} catch (error) {
				assert.ok(error instanceof InputError, String(error));
			}
		}),
	);
});

test('broken logits are an error, not a token', () => {
	for (const options of [{}, { temperature: 0 }, { topP: 0.5 }, { topK: 2 }]) {
		const sampler = createSampler(options);
		assert.throws(() => sampler.sample(Float32Array.of(0, Number.NaN, 1), NONE, 1, 0), NumericsError);
		assert.throws(() => sampler.sample(Float32Array.of(0, Number.POSITIVE_INFINITY), NONE, 1, 0), NumericsError);
	}
	const banned = createSampler({ logitBias: { 0: -1e9, 1: -1e9 } });
	assert.throws(() => banned.sample(Float32Array.of(1, 2), NONE, 1, 0), ModelsmithError);
});
