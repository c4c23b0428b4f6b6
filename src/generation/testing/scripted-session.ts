/** @file A session for tests whose logits are a given function of the text, and which records what it was asked. */
import { InputError } from '../../base/errors.ts';
import { type CallOptions, type DecoderSession, throwIfAborted } from '../decoder-session.ts';

export interface ScriptedSession extends DecoderSession {
	/** Texts of the batches that are open. */
	readonly texts: ReadonlyMap<number, readonly (readonly number[])[]>;
	/** Numbers of tokens in each call of extend. */
	readonly calls: number[][];
}

/** @param logitsAfter logits [vocab] of the token after a text */
export function scriptedSession(
	vocabSize: number,
	logitsAfter: (text: readonly number[]) => Float32Array,
	maxLength?: number,
): ScriptedSession {
	const texts = new Map<number, number[][]>();
	const calls: number[][] = [];
	let nextId = 1;
	const textsOf = (id: number): number[][] => {
		const rows = texts.get(id);
		if (rows === undefined) throw new InputError('the batch is closed');
		return rows;
	};
	return {
		vocabSize,
		maxLength,
		texts,
		calls,
		async open(rows) {
			texts.set(
				nextId,
				Array.from({ length: rows }, () => []),
			);
			return nextId++;
		},
		async extend(id, tokens, { signal }: CallOptions = {}) {
			throwIfAborted(signal);
			const rows = textsOf(id);
			if (tokens.length !== rows.length) throw new InputError(`${tokens.length} lists for ${rows.length} texts`);
			calls.push(tokens.map(({ length }) => length));
			const logits = new Float32Array(rows.length * vocabSize);
			rows.forEach((row, i) => {
				row.push(...Array.from(tokens[i] as ArrayLike<number>));
				if (maxLength !== undefined && row.length > maxLength) throw new InputError(`a text of ${row.length} tokens`);
				logits.set(logitsAfter(row), i * vocabSize);
			});
			return logits;
		},
		async select(id, rows) {
			const old = textsOf(id);
			texts.set(
				id,
				rows.map((row) => [...(old[row] as number[])]),
			);
		},
		async close(id) {
			texts.delete(id);
		},
		async score(rows) {
			return rows.map(({ tokens, from }) => {
				const text = Array.from(tokens);
				return Float64Array.from(text.slice(from), (token, i) => {
					const logits = logitsAfter(text.slice(0, from + i));
					const top = Math.max(...logits);
					return (logits[token] as number) - top - Math.log(logits.reduce((sum, x) => sum + Math.exp(x - top), 0));
				});
			});
		},
		async dispose() {},
	};
}

/** Logits that make a model write `answer` after a prompt of `promptLength` tokens, with certainty. */
export function writes(
	vocabSize: number,
	promptLength: number,
	answer: readonly number[],
): (text: readonly number[]) => Float32Array {
	return (text) => {
		const logits = new Float32Array(vocabSize);
		logits[answer[text.length - promptLength] ?? 0] = 50;
		return logits;
	};
}
