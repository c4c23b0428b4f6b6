/**
 * @file Logits processors: each changes one row of logits [vocab] in place; a removed token becomes -Infinity.
 * Semantics of Hugging Face transformers' LogitsProcessor/LogitsWarper of the same name, and of the OpenAI API for the
 * frequency and presence penalties, which transformers does not have.
 */

import { massThreshold, orderedBits } from './mass-threshold.ts';
import type { ResolvedSampling } from './options.ts';

/** The text a row of logits continues. */
export interface SamplingHistory {
	/** Prompt and generated tokens. */
	readonly tokens: ArrayLike<number>;
	/** How many of them are the prompt. */
	readonly promptLength: number;
}

/** Changes `logits` [vocab] in place. */
export type LogitsProcessor = (logits: Float32Array, history: SamplingHistory) => void;

/** Biases at or below this remove the token. */
const BAN = -1e9;

/** Adds a number to the logits of some tokens. */
export function logitBias(biases: Readonly<Record<string, number>>): LogitsProcessor {
	const entries = Object.entries(biases).map(
		([id, bias]) => [Number(id), bias <= BAN ? Number.NEGATIVE_INFINITY : bias] as const,
	);
	return (logits) => {
		for (const [id, bias] of entries) if (id < logits.length) logits[id] = (logits[id] as number) + bias;
	};
}

/** Makes tokens that are in the text less likely: positive logits are divided, negative ones multiplied (CTRL, section 4.1). */
export function repetitionPenalty(penalty: number): LogitsProcessor {
	return (logits, { tokens }) => {
		for (const id of new Set(Array.from(tokens))) {
			if (id >= logits.length) continue;
			const logit = logits[id] as number;
			logits[id] = logit < 0 ? logit * penalty : logit / penalty;
		}
	};
}

/** Subtracts `frequency` for each time a token was generated, and `presence` once. The prompt does not count. */
export function countPenalties(frequency: number, presence: number): LogitsProcessor {
	return (logits, { tokens, promptLength }) => {
		const counts = new Map<number, number>();
		for (let i = promptLength; i < tokens.length; i++) {
			const id = tokens[i] as number;
			counts.set(id, (counts.get(id) ?? 0) + 1);
		}
		for (const [id, count] of counts) {
			if (id < logits.length) logits[id] = (logits[id] as number) - (count * frequency + presence);
		}
	};
}

/** Divides by a temperature above zero. Logits are first shifted so that the largest is 0: tiny temperatures stay finite. */
export function temperature(value: number): LogitsProcessor {
	return (logits) => {
		const top = maximum(logits);
		if (top === Number.NEGATIVE_INFINITY) return;
		for (let i = 0; i < logits.length; i++) logits[i] = ((logits[i] as number) - top) / value;
	};
}

/** Keeps logits at least as large as the k-th largest. */
export function topK(k: number): LogitsProcessor {
	return (logits) => {
		if (k >= logits.length) return;
		const keys = orderedBits(logits);
		const { bits } = massThreshold(keys, k);
		for (let i = 0; i < logits.length; i++) if ((keys[i] as number) < bits) logits[i] = Number.NEGATIVE_INFINITY;
	};
}

/** Keeps the smallest set of most likely tokens whose probabilities reach p, at least one token; of equal ones the lower ids. */
export function topP(p: number): LogitsProcessor {
	return (logits) => {
		const { weights, total } = unnormalized(logits);
		const target = p * total;
		const keys = orderedBits(logits);
		const threshold = massThreshold(keys, Math.max(target, Number.MIN_VALUE), weights);
		let mass = threshold.above;
		let kept = false;
		for (let i = 0; i < logits.length; i++) {
			const key = keys[i] as number;
			if (key > threshold.bits) continue;
			// On the threshold itself, tokens stay until the target is reached.
			if (key === threshold.bits && (mass < target || (!kept && mass === 0))) {
				mass += weights[i] as number;
				kept = true;
			} else logits[i] = Number.NEGATIVE_INFINITY;
		}
	};
}

/** Keeps tokens with at least `p` times the probability of the most likely one. */
export function minP(p: number): LogitsProcessor {
	return (logits) => {
		const least = maximum(logits) + Math.log(p);
		for (let i = 0; i < logits.length; i++) {
			if ((logits[i] as number) < least) logits[i] = Number.NEGATIVE_INFINITY;
		}
	};
}

/** Keeps tokens whose surprise -log p is nearest to the entropy until their probabilities exceed `mass` (Meister et al. 2022). */
export function typicalP(mass: number): LogitsProcessor {
	return (logits) => {
		const { weights, total, top } = unnormalized(logits);
		const logTotal = top + Math.log(total);
		let entropy = 0;
		for (let i = 0; i < logits.length; i++) {
			const weight = weights[i] as number;
			if (weight > 0) entropy += (weight / total) * (logTotal - (logits[i] as number));
		}
		const closeness = new Float32Array(logits.length);
		for (let i = 0; i < logits.length; i++) {
			closeness[i] =
				logits[i] === Number.NEGATIVE_INFINITY
					? Number.NEGATIVE_INFINITY
					: -Math.abs(logTotal - (logits[i] as number) - entropy);
		}
		const keys = orderedBits(closeness);
		const { bits } = massThreshold(keys, mass * total, weights);
		for (let i = 0; i < logits.length; i++) if ((keys[i] as number) < bits) logits[i] = Number.NEGATIVE_INFINITY;
	};
}

/** The processors that settings ask for, in the order of transformers: bias, penalties, temperature, then the cuts. */
export function processorsOf(options: ResolvedSampling): LogitsProcessor[] {
	const chain: LogitsProcessor[] = [];
	if (Object.keys(options.logitBias).length > 0) chain.push(logitBias(options.logitBias));
	if (options.repetitionPenalty !== 1) chain.push(repetitionPenalty(options.repetitionPenalty));
	if (options.frequencyPenalty !== 0 || options.presencePenalty !== 0) {
		chain.push(countPenalties(options.frequencyPenalty, options.presencePenalty));
	}
	// At temperature 0 the largest logit wins whatever the cuts are.
	if (options.temperature === 0) return chain;
	if (options.temperature !== 1) chain.push(temperature(options.temperature));
	if (options.topK > 0) chain.push(topK(options.topK));
	if (options.topP < 1) chain.push(topP(options.topP));
	if (options.minP > 0) chain.push(minP(options.minP));
	if (options.typicalP < 1) chain.push(typicalP(options.typicalP));
	return chain;
}

/** Largest element; -Infinity for an empty row. */
export function maximum(values: Float32Array): number {
	let top = Number.NEGATIVE_INFINITY;
	for (let i = 0; i < values.length; i++) if ((values[i] as number) > top) top = values[i] as number;
	return top;
}

/** exp(logit - top) in float64 and their sum: probabilities are weights / total. */
export function unnormalized(logits: Float32Array): {
	readonly weights: Float64Array;
	readonly total: number;
	readonly top: number;
} {
	const top = maximum(logits);
	const weights = new Float64Array(logits.length);
	let total = 0;
	for (let i = 0; i < logits.length; i++) {
		const logit = logits[i] as number;
		if (logit === Number.NEGATIVE_INFINITY) continue;
		const weight = Math.exp(logit - top);
		weights[i] = weight;
		total += weight;
	}
	return { weights, total, top };
}
