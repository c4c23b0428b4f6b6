/** @file What packing needs of tokens, wherever they are kept; and tokens kept in memory. */

/** Half-open range of token positions. */
export interface TokenRange {
	readonly start: number;
	readonly end: number;
}

/** All documents of a split, one after the other, each with its end-of-document token if the tokenizer has one. */
export interface TokenReader {
	readonly tokenCount: number;
	readonly documentCount: number;
	readonly eosId: number | undefined;
	/** Copies `count` tokens from position `start` on to `target` at `offset`. */
	read(start: number, count: number, target: Int32Array, offset?: number): void;
	/** Positions of the tokens of a document, from 0. */
	documentRange(document: number): TokenRange;
	/** The number of the document the token at `position` belongs to. */
	documentAt(position: number): number;
}

/** Small corpora without files. `eosId` is appended to every document when given. */
export function tokensInMemory(documents: readonly ArrayLike<number>[], eosId?: number): TokenReader {
	const ids: number[] = [];
	const ends: number[] = [];
	for (const document of documents) {
		for (let i = 0; i < document.length; i++) ids.push(document[i] as number);
		if (eosId !== undefined) ids.push(eosId);
		ends.push(ids.length);
	}
	const tokens = Int32Array.from(ids);
	return {
		tokenCount: tokens.length,
		documentCount: documents.length,
		eosId,
		read(start, count, target, offset = 0) {
			if (!(start >= 0 && start + count <= tokens.length)) throw new RangeError(`tokens ${start} to ${start + count}`);
			target.set(tokens.subarray(start, start + count), offset);
		},
		documentRange: (document) => ({ start: ends[document - 1] ?? 0, end: ends[document] as number }),
		documentAt: (position) => ends.findIndex((end) => end > position),
	};
}
