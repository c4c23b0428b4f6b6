/** @file What generation needs of a tokenizer; `Tokenizer` of the tokenizers room is one. */
export interface TextTokenizer {
	readonly bosId: number | undefined;
	readonly eosId: number | undefined;
	encode(text: string, options?: { readonly addSpecialTokens?: boolean }): number[];
	decode(ids: ArrayLike<number>, options?: { readonly skipSpecialTokens?: boolean }): string;
	streamDecoder(options?: { readonly skipSpecialTokens?: boolean }): TextStream;
	/** UTF-8 bytes of a text. */
	countBytes(text: string): number;
}

/** Turns ids into text one by one, never giving out half a character. */
export interface TextStream {
	push(id: number): string;
	finish(): string;
}
