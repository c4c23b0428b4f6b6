/** @file From one row of logits to one token: settings, a seed and a counter decide; nothing else does. */
import { ModelsmithError, NumericsError } from '../../base/errors.ts';
import { RandomStream } from '../../base/random.ts';
import { type ResolvedSampling, resolveSampling, type SamplingOptions } from './options.ts';
import { processorsOf, type SamplingHistory, unnormalized } from './processors.ts';

export interface SampledToken {
	readonly token: number;
	/** Natural logarithm of the token's probability under the model itself, before any setting is applied. */
	readonly logprob: number;
}

export interface Sampler {
	readonly options: ResolvedSampling;
	/**
	 * Draws one token.
	 * @param logits [vocab], changed in place
	 * @param seed with `step` decides the draw: the same pair gives the same token for the same logits
	 * @param step number of tokens generated before this one
	 * @throws NumericsError when the logits are NaN or infinite, ModelsmithError when every token is excluded
	 */
	sample(logits: Float32Array, history: SamplingHistory, seed: number, step: number): SampledToken;
}

/** A sampler for settings. @throws InputError naming a setting that is out of range */
export function createSampler(options: SamplingOptions = {}, vocabSize?: number): Sampler {
	const resolved = resolveSampling(options, vocabSize);
	const chain = processorsOf(resolved);
	return {
		options: resolved,
		sample(logits, history, seed, step) {
			const own = chain.length === 0 ? logits : Float32Array.from(logits);
			for (const process of chain) process(own, history);
			const token = resolved.temperature === 0 ? argmax(own) : draw(own, seed, step);
			return { token, logprob: logProbability(logits, token) };
		},
	};
}

/** Index of the largest element, the lowest of equal ones. @throws as Sampler.sample */
export function argmax(logits: Float32Array): number {
	let best = -1;
	let top = Number.NEGATIVE_INFINITY;
	for (let i = 0; i < logits.length; i++) {
		const logit = logits[i] as number;
		if (Number.isNaN(logit)) throw notFinite(logit);
		if (logit > top) {
			top = logit;
			best = i;
		}
	}
	if (best < 0) throw allExcluded();
	if (top === Number.POSITIVE_INFINITY) throw notFinite(top);
	return best;
}

/** Probabilities of the tokens [vocab]; they sum to 1. @throws as Sampler.sample */
export function probabilities(logits: Float32Array): Float64Array {
	const { weights, total, top } = unnormalized(logits);
	requireUsable(total, top);
	return weights.map((weight) => weight / total);
}

/** log softmax(logits)[token], without building the row. */
export function logProbability(logits: Float32Array, token: number): number {
	let top = Number.NEGATIVE_INFINITY;
	for (let i = 0; i < logits.length; i++) if ((logits[i] as number) > top) top = logits[i] as number;
	let total = 0;
	for (let i = 0; i < logits.length; i++) total += Math.exp((logits[i] as number) - top);
	return (logits[token] as number) - top - Math.log(total);
}

/** Inverse of the cumulative distribution at one uniform number, in order of token id. */
function draw(logits: Float32Array, seed: number, step: number): number {
	const { weights, total, top } = unnormalized(logits);
	requireUsable(total, top);
	// 53 random bits from two counters, so that a tail of a large vocabulary keeps its share.
	const uniform = new RandomStream(seed, 2 * step).integer(2 ** 53) / 2 ** 53;
	let rest = uniform * total;
	let last = 0;
	for (let i = 0; i < weights.length; i++) {
		const weight = weights[i] as number;
		if (weight === 0) continue;
		last = i;
		rest -= weight;
		if (rest < 0) return i;
	}
	return last;
}

/** @throws NumericsError for NaN or infinity, ModelsmithError when nothing is left, given what `unnormalized` found */
export function requireUsable(total: number, top: number): void {
	if (top === Number.NEGATIVE_INFINITY && total === 0) throw allExcluded();
	if (!Number.isFinite(total) || top === Number.POSITIVE_INFINITY) throw notFinite(total);
}

function notFinite(found: number): NumericsError {
	return new NumericsError('the model gave logits that are not finite', {
		found: String(found),
		fix: 'the weights are damaged or the training diverged: use an earlier checkpoint',
	});
}

function allExcluded(): ModelsmithError {
	return new ModelsmithError('every token is excluded', {
		expected: 'at least one token with a logit above -Infinity',
		fix: 'ban fewer tokens in sampling.logitBias',
	});
}
