/** @file What the data room needs of a tokenizer; every tokenizer of the toolkit has this shape. */

export interface EncodeOptions {
	/** Whether the ids a template puts around a text (such as [CLS] and [SEP]) are wanted. */
	readonly addSpecialTokens?: boolean;
}

/** Turns text into token ids in [0, vocabSize). Special strings in the text are the encoder's affair. */
export interface TokenEncoder {
	encode(text: string, options?: EncodeOptions): ArrayLike<number>;
	/** The same ids in a typed array, where that is quicker. */
	encodeTyped?(text: string, options?: EncodeOptions): Int32Array;
	readonly vocabSize: number;
	/** Written after every document when given. */
	readonly eosId?: number | undefined;
}

/** Ids of a piece of a document: without the special tokens that would land in the middle of it. */
export function encodePiece(encoder: TokenEncoder, text: string): ArrayLike<number> {
	const options = { addSpecialTokens: false };
	return encoder.encodeTyped?.(text, options) ?? encoder.encode(text, options);
}
