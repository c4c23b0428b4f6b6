/** @file Generating text: one stream of tokens for each prompt and sample, computed as one batch. */
import { z } from 'zod';
import { InputError } from '../base/errors.ts';
import { deriveSeed } from '../base/random.ts';
import { validate } from '../base/validate.ts';
import { type BatchId, type DecoderSession, throwIfAborted } from './decoder-session.ts';
import type { SamplingOptions } from './sampling/options.ts';
import { createSampler, type Sampler } from './sampling/sampler.ts';
import { StopStrings } from './stop-strings.ts';
import type { TextStream, TextTokenizer } from './text-tokenizer.ts';

/**
 * Why a text ended: a stop token, a stop string, `maxTokens` reached, or the context full (only with overflow `stop`).
 */
export type FinishReason = 'stop-token' | 'stop-string' | 'length' | 'context';

/** What happens when a text reaches the longest the model can read. */
export const OVERFLOW_POLICIES = ['error', 'stop', 'slide'] as const;
export type OverflowPolicy = (typeof OVERFLOW_POLICIES)[number];

/** Settings shared by all texts of one call. */
export interface GenerationSettings {
	readonly session: DecoderSession;
	/** Needed for text prompts, text output and stop strings; without it events carry tokens only. */
	readonly tokenizer?: TextTokenizer;
	/** Most tokens generated for each text. Default 128. */
	readonly maxTokens?: number;
	/** Strings that end a text; they are not part of it. */
	readonly stop?: readonly string[];
	/** Tokens that end a text; they add nothing to it. Default: the tokenizer's end-of-sequence token. */
	readonly stopTokens?: readonly number[];
	/** The same seed gives the same text, whatever else is in the batch. Default 0. */
	readonly seed?: number;
	readonly sampling?: SamplingOptions;
	/**
	 * `error` (default): refuse prompts that leave no room for maxTokens; `stop`: end the text when the context is full;
	 * `slide`: forget the oldest half and go on.
	 */
	readonly overflow?: OverflowPolicy;
	/** Leave special tokens out of the text. Default true. */
	readonly skipSpecialTokens?: boolean;
	/** Cancels: the stream throws an InterruptedError. */
	readonly signal?: AbortSignal;
}

export type Prompt = string | ArrayLike<number>;

export interface StreamOptions extends GenerationSettings {
	/** Text, or token ids. An empty prompt starts from the begin- or end-of-sequence token. */
	readonly prompt: Prompt;
}

export interface BatchOptions extends GenerationSettings {
	/** Texts or lists of token ids, of any lengths. */
	readonly prompts: readonly Prompt[];
	/** Texts generated for each prompt, with seeds of their own; the first has the seed of a single one. Default 1. */
	readonly samples?: number;
}

export interface GeneratedToken {
	readonly token: number;
	/** Natural logarithm of the token's probability under the model, before sampling settings. */
	readonly logprob: number;
	/** Text that became certain with this token; may be empty, and may belong to earlier tokens too. */
	readonly text: string;
	/** Set on the last token of a text. */
	readonly finishReason?: FinishReason;
}

export interface BatchToken extends GeneratedToken {
	/** Index into `prompts`. */
	readonly prompt: number;
	/** Index of the sample of that prompt. */
	readonly sample: number;
}

export interface Generation {
	readonly text: string;
	readonly tokens: readonly number[];
	readonly logprobs: readonly number[];
	readonly finishReason: FinishReason;
}

/**
 * Generates one text, token by token. The concatenation of all `text` is the generated text.
 * @throws InputError for bad settings or a prompt that does not fit; InterruptedError when cancelled
 */
export async function* generateStream({ prompt, ...settings }: StreamOptions): AsyncGenerator<GeneratedToken, void> {
	for await (const { token, logprob, text, finishReason } of generateBatchStream({ ...settings, prompts: [prompt] })) {
		yield { token, logprob, text, ...(finishReason !== undefined && { finishReason }) };
	}
}

/** Generates one text and returns it whole. @throws as generateStream */
export async function generate({ prompt, ...settings }: StreamOptions): Promise<Generation> {
	const [texts] = await generateBatch({ ...settings, prompts: [prompt] });
	return (texts as Generation[])[0] as Generation;
}

/** Generates texts for all prompts: result[prompt][sample]. @throws as generateStream */
export async function generateBatch(options: BatchOptions): Promise<Generation[][]> {
	const results = options.prompts.map(() =>
		Array.from({ length: options.samples ?? 1 }, () => ({
			text: '',
			tokens: [] as number[],
			logprobs: [] as number[],
			finishReason: 'length' as FinishReason,
		})),
	);
	for await (const event of generateBatchStream(options)) {
		const result = (results[event.prompt] as (typeof results)[number])[
			event.sample
		] as (typeof results)[number][number];
		result.text += event.text;
		result.tokens.push(event.token);
		result.logprobs.push(event.logprob);
		if (event.finishReason !== undefined) result.finishReason = event.finishReason;
	}
	return results;
}

/** One text being generated. */
interface Row {
	readonly prompt: number;
	readonly sample: number;
	readonly seed: number;
	/** Prompt and generated tokens. */
	readonly tokens: number[];
	readonly promptLength: number;
	readonly decoder: TextStream | undefined;
	readonly stops: StopStrings;
	/** Tokens in the model's state. */
	cached: number;
}

/** As generateStream for many texts at once; events of the texts alternate. @throws as generateStream */
export async function* generateBatchStream(options: BatchOptions): AsyncGenerator<BatchToken, void> {
	const { session, signal } = options;
	const settings = checkSettings(options);
	const sampler = createSampler(options.sampling, session.vocabSize);
	let rows = startRows(options, settings);
	if (rows.length === 0 || settings.maxTokens === 0) return;
	throwIfAborted(signal);
	const batch = await session.open(options.prompts.length);
	let open: BatchId | undefined = batch;
	try {
		// Each prompt is read once; its samples then start from copies of its state.
		const firsts = rows.filter(({ sample }) => sample === 0);
		let logits = await extend(
			session,
			batch,
			firsts.map(({ tokens }) => tokens),
			signal,
		);
		for (const row of rows) row.cached = row.tokens.length;
		if (rows.length > firsts.length) {
			const places = rows.map(({ prompt }) => prompt);
			await session.select(batch, places);
			logits = repeatRows(logits, places, session.vocabSize);
		}
		while (true) {
			const finished = new Set<Row>();
			for (const [i, row] of rows.entries()) {
				const line = logits.subarray(i * session.vocabSize, (i + 1) * session.vocabSize);
				const event = nextToken(row, line, sampler, settings, session.maxLength);
				if (event.finishReason !== undefined) finished.add(row);
				yield event;
			}
			throwIfAborted(signal);
			if (finished.size > 0) {
				const places = rows.flatMap((row, i) => (finished.has(row) ? [] : [i]));
				if (places.length === 0) return;
				await session.select(open, places);
				rows = places.map((place) => rows[place] as Row);
			}
			const full =
				session.maxLength !== undefined && rows.some(({ cached }) => cached >= (session.maxLength as number));
			if (full) {
				await session.close(open);
				open = undefined;
				open = await session.open(rows.length);
				logits = await extend(
					session,
					open,
					rows.map((row) => slide(row, session.maxLength as number)),
					signal,
				);
			} else {
				logits = await extend(
					session,
					open,
					rows.map(({ tokens }) => tokens.slice(-1)),
					signal,
				);
				for (const row of rows) row.cached++;
			}
		}
	} finally {
		if (open !== undefined) await session.close(open);
	}
}

function extend(
	session: DecoderSession,
	batch: BatchId,
	tokens: readonly ArrayLike<number>[],
	signal: AbortSignal | undefined,
): Promise<Float32Array> {
	return session.extend(batch, tokens, signal === undefined ? {} : { signal });
}

/** Samples the next token of a row and decides whether the text goes on. */
function nextToken(
	row: Row,
	logits: Float32Array,
	sampler: Sampler,
	{ maxTokens, stopTokens, overflow }: CheckedSettings,
	maxLength: number | undefined,
): BatchToken {
	const step = row.tokens.length - row.promptLength;
	const { token, logprob } = sampler.sample(logits, row, row.seed, step);
	row.tokens.push(token);
	const event = { prompt: row.prompt, sample: row.sample, token, logprob };
	if (stopTokens.has(token)) return { ...event, ...flush(row, '', 'stop-token') };
	const piece = row.decoder?.push(token) ?? '';
	const { text, stop } = row.stops.push(piece);
	if (stop !== undefined) return { ...event, text, finishReason: 'stop-string' };
	if (step + 1 >= maxTokens) return { ...event, ...flush(row, text, 'length') };
	if (overflow !== 'slide' && row.cached === maxLength) return { ...event, ...flush(row, text, 'context') };
	return { ...event, text };
}

/** The end of a text: what decoder and stop strings held back comes out, unless it completes a stop string. */
function flush(row: Row, before: string, finishReason: FinishReason): { text: string; finishReason: FinishReason } {
	const { text, stop } = row.stops.push(row.decoder?.finish() ?? '');
	if (stop !== undefined) return { text: before + text, finishReason: 'stop-string' };
	return { text: before + text + row.stops.finish(), finishReason };
}

/** The newer half of a text that filled the context. */
function slide(row: Row, maxLength: number): readonly number[] {
	const kept = row.tokens.slice(-Math.max(1, Math.floor(maxLength / 2)));
	row.cached = kept.length;
	return kept;
}

function repeatRows(logits: Float32Array, places: readonly number[], width: number): Float32Array {
	const result = new Float32Array(places.length * width);
	places.forEach((place, i) => void result.set(logits.subarray(place * width, (place + 1) * width), i * width));
	return result;
}

const settingsSchema = z.object({
	maxTokens: z.int().min(0).max(1e9).default(128),
	stop: z.array(z.string().min(1).max(10_000)).max(1000).default([]),
	stopTokens: z.array(z.int().min(0)).optional(),
	seed: z.int().default(0),
	overflow: z.enum(OVERFLOW_POLICIES).default('error'),
	skipSpecialTokens: z.boolean().default(true),
	samples: z.int().min(1).max(100_000).default(1),
});

interface CheckedSettings {
	readonly maxTokens: number;
	readonly stop: readonly string[];
	readonly stopTokens: ReadonlySet<number>;
	readonly seed: number;
	readonly overflow: OverflowPolicy;
	readonly skipSpecialTokens: boolean;
	readonly samples: number;
}

function checkSettings(options: BatchOptions): CheckedSettings {
	const { maxTokens, stop, stopTokens, seed, overflow, skipSpecialTokens, samples } = options;
	const given = { maxTokens, stop, stopTokens, seed, overflow, skipSpecialTokens, samples };
	const settings = validate(settingsSchema, given, '');
	if (settings.stop.length > 0 && options.tokenizer === undefined) {
		throw new InputError('stop strings need a tokenizer', {
			where: 'stop',
			fix: 'pass a tokenizer, or use stopTokens',
		});
	}
	const eos = options.tokenizer?.eosId;
	return { ...settings, stopTokens: new Set(settings.stopTokens ?? (eos === undefined ? [] : [eos])) };
}

function startRows(options: BatchOptions, settings: CheckedSettings): Row[] {
	const { tokenizer, session } = options;
	return options.prompts.flatMap((prompt, index) => {
		const tokens = promptTokens(prompt, tokenizer, `prompts[${index}]`);
		const kept = fitPrompt(tokens, settings, session.maxLength, `prompts[${index}]`);
		return Array.from({ length: settings.samples }, (_, sample) => ({
			prompt: index,
			sample,
			seed: sample === 0 ? settings.seed : deriveSeed(settings.seed, `sample ${sample}`),
			tokens: [...kept],
			promptLength: kept.length,
			decoder: tokenizer?.streamDecoder({ skipSpecialTokens: settings.skipSpecialTokens }),
			stops: new StopStrings(settings.stop),
			cached: 0,
		}));
	});
}

/**
 * Token ids of a prompt; an empty one becomes the begin-of-sequence token, or the end-of-sequence token that separates
 * documents in training.
 * @throws InputError when a text is given without a tokenizer, or an empty prompt without such tokens
 */
export function promptTokens(prompt: Prompt, tokenizer: TextTokenizer | undefined, where = 'prompt'): number[] {
	if (typeof prompt === 'string' && tokenizer === undefined) {
		throw new InputError('a text prompt needs a tokenizer', {
			where,
			fix: 'pass a tokenizer, or token ids as the prompt',
		});
	}
	let tokens = typeof prompt === 'string' ? (tokenizer as TextTokenizer).encode(prompt) : Array.from(prompt);
	// A post-processor that closes texts would tell the model that the text is over.
	if (typeof prompt === 'string' && tokens.length > 1 && tokens.at(-1) === tokenizer?.eosId) {
		const bare = (tokenizer as TextTokenizer).encode(prompt, { addSpecialTokens: false });
		if (bare.at(-1) !== tokenizer?.eosId) tokens = tokens.slice(0, -1);
	}
	if (tokens.length > 0) return tokens;
	const start = tokenizer?.bosId ?? tokenizer?.eosId;
	if (start === undefined) {
		throw new InputError('the prompt is empty', {
			where,
			expected: 'at least one token, or a tokenizer with a begin- or end-of-sequence token to start from',
			fix: 'give some text to continue',
		});
	}
	return [start];
}

function fitPrompt(
	tokens: readonly number[],
	{ maxTokens, overflow }: CheckedSettings,
	maxLength: number | undefined,
	where: string,
): readonly number[] {
	if (maxLength === undefined) return tokens;
	if (overflow === 'slide') return tokens.slice(-maxLength);
	// The last generated token is never fed back, so it needs no room.
	const needed = overflow === 'error' ? tokens.length + maxTokens - 1 : tokens.length;
	if (needed > maxLength) {
		throw new InputError('the text would be longer than the model can read', {
			where,
			expected: `at most ${maxLength} tokens`,
			found: overflow === 'error' ? `${tokens.length} of the prompt + ${maxTokens} to generate` : `${tokens.length}`,
			fix: 'shorten the prompt, lower maxTokens, or set overflow to "slide" (forget the oldest text)',
		});
	}
	return tokens;
}
