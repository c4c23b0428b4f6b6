/** @file A tokenizer for tests: one token a byte, 256 ends a text. */
import type { TextTokenizer } from '../text-tokenizer.ts';

export const END = 256;

export const byteTokenizer: TextTokenizer = {
	bosId: undefined,
	eosId: END,
	encode: (text) => [...Buffer.from(text)],
	decode: (ids) =>
		new TextDecoder('utf-8', { ignoreBOM: true }).decode(Uint8Array.from(Array.from(ids).filter((id) => id < END))),
	streamDecoder: () => {
		const utf8 = new TextDecoder('utf-8', { ignoreBOM: true });
		return {
			push: (id) => (id < END ? utf8.decode(Uint8Array.of(id), { stream: true }) : ''),
			finish: () => utf8.decode(),
		};
	},
	countBytes: (text) => Buffer.byteLength(text),
};
