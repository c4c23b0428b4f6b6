/** @file What the data room needs of a tokenizer; every tokenizer of the toolkit has this shape. */

/** Turns text into token ids. Special strings in the text are the encoder's affair, as is the lack of them. */
export interface TokenEncoder {
	/** Token ids of `text`, each in [0, vocabSize). */
	encode(text: string): ArrayLike<number>;
	readonly vocabSize: number;
	/** Written after every document when given. */
	readonly eosId?: number | undefined;
}
