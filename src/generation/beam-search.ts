/** @file Beam search: the most likely continuations as whole texts, instead of drawing token by token. */
import { z } from 'zod';
import { validate } from '../base/validate.ts';
import { type CallOptions, type DecoderSession, throwIfAborted } from './decoder-session.ts';
import { type Prompt, promptTokens } from './generate.ts';
import { massThreshold, orderedBits } from './sampling/mass-threshold.ts';
import { unnormalized } from './sampling/processors.ts';
import { requireUsable } from './sampling/sampler.ts';
import type { TextTokenizer } from './text-tokenizer.ts';

export interface BeamOptions extends CallOptions {
	readonly session: DecoderSession;
	/** Needed for a text prompt and text results. */
	readonly tokenizer?: TextTokenizer;
	readonly prompt: Prompt;
	/** Texts followed at the same time, and returned. Default 4. */
	readonly beams?: number;
	/** Default 64. */
	readonly maxTokens?: number;
	/** Texts are compared by log-probability / length^lengthPenalty: 0 favours short texts, above 1 long ones. Default 1. */
	readonly lengthPenalty?: number;
	/** Tokens that end a text. Default: the tokenizer's end-of-sequence token. */
	readonly stopTokens?: readonly number[];
}

export interface BeamResult {
	readonly text: string;
	/** Generated tokens, with the stop token that ended them. */
	readonly tokens: readonly number[];
	/** Log-probability of the tokens (nats). */
	readonly logprob: number;
	/** logprob / length^lengthPenalty. */
	readonly score: number;
}

const settingsSchema = z.object({
	beams: z.int().min(1).max(10_000).default(4),
	maxTokens: z.int().min(1).default(64),
	lengthPenalty: z.number().default(1),
	stopTokens: z.array(z.int().min(0)).optional(),
});

interface Beam {
	readonly tokens: readonly number[];
	readonly logprob: number;
}

/**
 * The best continuations found, best first; at most `beams`. Ends when no open text can still beat the finished ones.
 * @throws InputError for bad settings or a text that does not fit the model; InterruptedError when aborted
 */
export async function beamSearch(options: BeamOptions): Promise<BeamResult[]> {
	const { session, tokenizer, signal } = options;
	const { beams, maxTokens, lengthPenalty, stopTokens } = validate(
		settingsSchema,
		{
			beams: options.beams,
			maxTokens: options.maxTokens,
			lengthPenalty: options.lengthPenalty,
			stopTokens: options.stopTokens,
		},
		'',
	);
	const stops = new Set(stopTokens ?? (tokenizer?.eosId === undefined ? [] : [tokenizer.eosId]));
	const scoreOf = ({ tokens, logprob }: Beam): number => logprob / tokens.length ** lengthPenalty;
	const call = signal === undefined ? {} : { signal };
	const batch = await session.open(1);
	try {
		let finished: Beam[] = [];
		let open: Beam[] = [{ tokens: [], logprob: 0 }];
		let logits = await session.extend(batch, [promptTokens(options.prompt, tokenizer)], call);
		for (let length = 1; ; length++) {
			throwIfAborted(signal);
			// A stop token may end up to `beams` of the candidates; twice as many always leave enough to go on with.
			const candidates = bestCandidates(open, logits, session.vocabSize, 2 * beams);
			const going: { readonly parent: number; readonly beam: Beam }[] = [];
			for (const candidate of candidates) {
				if (stops.has(candidate.beam.tokens.at(-1) as number)) finished.push(candidate.beam);
				else if (going.length < beams) going.push(candidate);
			}
			if (length === maxTokens) finished.push(...going.map(({ beam }) => beam));
			finished = finished.sort((a, b) => scoreOf(b) - scoreOf(a)).slice(0, beams);
			const best = going[0]?.beam;
			if (length === maxTokens || best === undefined) break;
			const worst = finished[beams - 1];
			if (worst !== undefined && scoreOf(worst) >= highestScore(best, maxTokens, lengthPenalty)) break;
			open = going.map(({ beam }) => beam);
			await session.select(
				batch,
				going.map(({ parent }) => parent),
			);
			logits = await session.extend(
				batch,
				open.map(({ tokens }) => tokens.slice(-1)),
				call,
			);
		}
		return finished.map((beam) => ({
			text: tokenizer?.decode(beam.tokens, { skipSpecialTokens: true }) ?? '',
			tokens: beam.tokens,
			logprob: beam.logprob,
			score: scoreOf(beam),
		}));
	} finally {
		await session.close(batch);
	}
}

/** No continuation of an open text can score higher: its log-probability only falls, its length is at most maxTokens. */
function highestScore({ tokens, logprob }: Beam, maxTokens: number, lengthPenalty: number): number {
	return logprob / (lengthPenalty > 0 ? maxTokens : tokens.length + 1) ** lengthPenalty;
}

/** The `count` most likely texts that are one token longer, best first. */
function bestCandidates(
	beams: readonly Beam[],
	logits: Float32Array,
	vocabSize: number,
	count: number,
): { readonly parent: number; readonly beam: Beam }[] {
	const totals = new Float32Array(beams.length * vocabSize);
	beams.forEach(({ logprob }, row) => {
		const line = logits.subarray(row * vocabSize, (row + 1) * vocabSize);
		const { total, top } = unnormalized(line);
		requireUsable(total, top);
		const shift = logprob - top - Math.log(total);
		for (let token = 0; token < vocabSize; token++) totals[row * vocabSize + token] = (line[token] as number) + shift;
	});
	const keys = orderedBits(totals);
	const { bits } = massThreshold(keys, Math.min(count, totals.length));
	const places: number[] = [];
	for (let i = 0; i < totals.length; i++) {
		if ((keys[i] as number) >= bits && totals[i] !== Number.NEGATIVE_INFINITY) places.push(i);
	}
	return places
		.sort((a, b) => (totals[b] as number) - (totals[a] as number) || a - b)
		.slice(0, count)
		.map((place) => {
			const parent = Math.floor(place / vocabSize);
			const { tokens } = beams[parent] as Beam;
			return { parent, beam: { tokens: [...tokens, place % vocabSize], logprob: totals[place] as number } };
		});
}
