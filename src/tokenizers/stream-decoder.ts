/** @file Decodes a growing sequence of token ids into text, holding back what is not yet a whole character. */
import type { DecodeOptions, Tokenizer } from './tokenizer.ts';

/** A character has at most four bytes: after this many tokens without one, what is there is not UTF-8. */
const MAX_PENDING = 8;
const REPLACEMENT = '\ufffd';

/** The concatenation of all results equals `decode` of all ids. One for each sequence. */
export class StreamDecoder {
	private readonly tokenizer: Tokenizer;
	private readonly options: DecodeOptions;
	private readonly utf8 = new TextDecoder('utf-8', { ignoreBOM: true });
	/** Ids whose text is out and which the text of the next ones may depend on, then ids whose text is not out. */
	private window: number[] = [];
	private done = 0;

	constructor(tokenizer: Tokenizer, options: DecodeOptions = {}) {
		this.tokenizer = tokenizer;
		this.options = options;
	}

	/** Adds one id; returns the text that is now certain, which may be empty. */
	push(id: number): string {
		if (!this.tokenizer.isByteLevel) return this.pushToLibrary(id);
		if (this.options.skipSpecialTokens === true && this.tokenizer.specialIds.has(id)) return '';
		const bytes = this.tokenizer.bytesOf(id);
		return bytes === undefined ? '' : this.utf8.decode(bytes, { stream: true });
	}

	/** Ends the sequence; returns the rest, in which an unfinished character is U+FFFD. */
	finish(): string {
		if (this.tokenizer.isByteLevel) return this.utf8.decode();
		const text = this.windowText();
		this.window = [];
		this.done = 0;
		return text;
	}

	/** A token's text can depend on its left neighbours, so the window is decoded with and without the new ids. */
	private pushToLibrary(id: number): string {
		this.window.push(id);
		const text = this.windowText();
		const pending = this.window.length - this.done;
		if (text.length === 0 || (text.endsWith(REPLACEMENT) && pending < MAX_PENDING)) return '';
		this.window = this.window.slice(this.done);
		this.done = this.window.length;
		return text;
	}

	private windowText(): string {
		const before = this.tokenizer.decode(this.window.slice(0, this.done), this.options);
		return this.tokenizer.decode(this.window, this.options).slice(before.length);
	}
}
