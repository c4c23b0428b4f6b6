/** @file How likely a model finds given continuations of a context: the measure behind multiple-choice evaluation. */
import { InputError } from '../base/errors.ts';
import type { CallOptions, DecoderSession, ScoreRow } from './decoder-session.ts';
import { promptTokens } from './generate.ts';
import type { TextTokenizer } from './text-tokenizer.ts';

/** One question: which of the options continues the context best? */
export interface OptionQuery {
	readonly context: string;
	readonly options: readonly string[];
}

export interface OptionScore {
	/** Log-probability of the whole option (nats). */
	readonly sum: number;
	/** sum / number of tokens. */
	readonly perToken: number;
	/** sum / number of UTF-8 bytes: comparable between tokenizers, the usual choice for options of different lengths. */
	readonly perByte: number;
	/** Log-probability of each token of the option. */
	readonly logprobs: Float64Array;
	readonly bytes: number;
}

export interface ScoreOptions extends CallOptions {
	readonly session: DecoderSession;
	readonly tokenizer: TextTokenizer;
}

/**
 * Scores options after their contexts: result[query][option]. All are computed in as few batches as possible.
 * Context and option are encoded as one text where the token boundary falls between them. White space at the end of the
 * context counts to the option, as tokenizers attach it to the next word. A context that is too long loses its beginning.
 * @throws InputError for an empty option, or one that alone does not fit the model; InterruptedError when aborted
 */
export async function scoreOptions(
	queries: readonly OptionQuery[],
	{ session, tokenizer, signal }: ScoreOptions,
): Promise<OptionScore[][]> {
	const rows: ScoreRow[] = [];
	queries.forEach(({ context, options }, query) => {
		options.forEach((option, index) => {
			const where = `queries[${query}].options[${index}]`;
			if (option === '') throw new InputError('the option is empty', { where, expected: 'some text to score' });
			rows.push(fit(joinTokens(context, option, tokenizer), session.maxLength, where));
		});
	});
	const scores = await session.score(rows, signal === undefined ? {} : { signal });
	let next = 0;
	return queries.map(({ options }) =>
		options.map((option) => {
			const logprobs = scores[next++] as Float64Array;
			const sum = logprobs.reduce((total, value) => total + value, 0);
			const bytes = tokenizer.countBytes(option);
			return { sum, perToken: sum / logprobs.length, perByte: sum / bytes, logprobs, bytes };
		}),
	);
}

/** Tokens of context + option, and where the option begins. */
export function joinTokens(context: string, option: string, tokenizer: TextTokenizer): ScoreRow {
	const body = context.trimEnd();
	const continuation = context.slice(body.length) + option;
	const head = promptTokens(body, tokenizer, 'context');
	const whole = body === '' ? [] : promptTokens(body + continuation, tokenizer, 'context');
	if (whole.length > head.length && head.every((token, i) => token === whole[i])) {
		return { tokens: whole, from: head.length };
	}
	// A token spans the boundary, or the context is empty and starts from the begin-of-sequence token.
	const tail = tokenizer.encode(continuation, { addSpecialTokens: false });
	return { tokens: [...head, ...tail], from: head.length };
}

function fit({ tokens, from }: ScoreRow, maxLength: number | undefined, where: string): ScoreRow {
	const scored = tokens.length - from;
	if (scored === 0)
		throw new InputError('the option has no tokens', { where, expected: 'text that the tokenizer encodes' });
	// The last token is predicted, never read, so maxLength + 1 tokens can be scored.
	const excess = maxLength === undefined ? 0 : tokens.length - (maxLength + 1);
	if (excess <= 0) return { tokens, from };
	if (excess >= from) {
		throw new InputError('the option is longer than the model can read', {
			where,
			expected: `at most ${maxLength} tokens`,
			found: `${scored}`,
		});
	}
	return { tokens: Array.from(tokens).slice(excess), from: from - excess };
}

/** Index of the best option by a measure; the first of equal ones. @throws InputError when there is none */
export function bestOption(scores: readonly OptionScore[], by: 'sum' | 'perToken' | 'perByte' = 'perByte'): number {
	if (scores.length === 0) throw new InputError('there are no options to choose from', { where: 'scores' });
	let best = 0;
	scores.forEach((score, i) => {
		if (score[by] > (scores[best] as OptionScore)[by]) best = i;
	});
	return best;
}
