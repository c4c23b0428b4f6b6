/** @file Perplexity and bits per byte of long texts, with a window that slides so that every token has some context. */
import { InputError } from '../base/errors.ts';
import { bitsPerByte } from '../training/metrics/metrics.ts';
import type { CallOptions, DecoderSession, ScoreRow } from './decoder-session.ts';

export interface PerplexityOptions extends CallOptions {
	readonly session: DecoderSession;
	/** Tokens the model reads at once. Default: the model's maxLength, or 1024 where it has none. */
	readonly window?: number;
	/** Tokens by which the window moves, and so the number scored in each. Default: the window (fast, least context). */
	readonly stride?: number;
	/** UTF-8 bytes that all `tokens` stand for: gives bitsPerByte. */
	readonly bytes?: number;
	/** Called after each batch of windows. */
	readonly onProgress?: (done: { readonly scored: number; readonly total: number }) => void;
}

export interface Perplexity {
	/** Mean negative log-likelihood of a token (nats). */
	readonly loss: number;
	/** exp(loss). */
	readonly perplexity: number;
	/** Bits a token over bytes a token, as training reports it. */
	readonly bitsPerByte: number | undefined;
	/** Tokens scored: all but the first. */
	readonly tokens: number;
	/** Total negative log-likelihood (nats). */
	readonly nats: number;
}

/** Windows scored in one call of the session: bounds memory and the time between progress reports. */
const WINDOWS_AT_ONCE = 16;

/**
 * Measures a token stream; every token but the first is scored exactly once. With stride = window each window stands
 * alone, which is what validation during training measures; a smaller stride gives every token at least
 * window - stride tokens of context.
 * @throws InputError for fewer than two tokens, or a window or stride that does not fit
 */
export async function measurePerplexity(
	tokens: ArrayLike<number>,
	{ session, bytes, onProgress, signal, ...options }: PerplexityOptions,
): Promise<Perplexity> {
	const window = options.window ?? session.maxLength ?? 1024;
	const stride = options.stride ?? window;
	check(
		Number.isInteger(window) && window >= 1 && window <= (session.maxLength ?? window),
		'window',
		window,
		`an integer from 1 to ${session.maxLength ?? 'any'}`,
	);
	check(
		Number.isInteger(stride) && stride >= 1 && stride <= window,
		'stride',
		stride,
		`an integer from 1 to the window, ${window}`,
	);
	check(bytes === undefined || (Number.isFinite(bytes) && bytes > 0), 'bytes', bytes, 'a number above 0');
	check(tokens.length >= 2, 'tokens', tokens.length, 'at least two tokens: the first is only read');
	const total = tokens.length - 1;
	let scored = 0;
	// Kahan's sum: a corpus has many millions of small terms.
	let nats = 0;
	let lost = 0;
	const windows = slidingWindows(tokens, window, stride);
	while (scored < total) {
		const group: ScoreRow[] = [];
		while (group.length < WINDOWS_AT_ONCE) {
			const next = windows.next();
			if (next.done) break;
			group.push(next.value);
		}
		for (const logprobs of await session.score(group, signal === undefined ? {} : { signal })) {
			for (const logprob of logprobs) {
				const term = -logprob - lost;
				const sum = nats + term;
				lost = sum - nats - term;
				nats = sum;
			}
			scored += logprobs.length;
		}
		onProgress?.({ scored, total });
	}
	const loss = nats / total;
	return {
		loss,
		perplexity: Math.exp(loss),
		bitsPerByte: bitsPerByte(loss, bytes === undefined ? undefined : bytes / tokens.length),
		tokens: total,
		nats,
	};
}

/** Windows of `window` tokens to read plus the one that the last of them predicts. */
export function* slidingWindows(tokens: ArrayLike<number>, window: number, stride: number): Generator<ScoreRow, void> {
	const all =
		tokens instanceof Int32Array || tokens instanceof Uint32Array || tokens instanceof Uint16Array
			? tokens
			: Int32Array.from(tokens);
	// `done` tokens have been scored or are the first; a window ends at most `stride` tokens later.
	let done = 1;
	while (done < all.length) {
		const end = Math.min(all.length, done === 1 ? window + 1 : done + stride);
		const start = Math.max(0, end - 1 - window);
		yield { tokens: all.subarray(start, end), from: done - start };
		done = end;
	}
}

function check(holds: boolean, where: string, found: unknown, expected: string): void {
	if (!holds) throw new InputError('is not usable', { where, expected, found: String(found) });
}
