/** @file Cuts streams of text into documents at a separator, and long documents into pieces a tokenizer can take. */

/** Characters of one piece; small enough for memory, large enough that cuts are rare. */
export const PIECE_CHARACTERS = 1 << 20;

export interface TextPiece {
	/** Number of the document in the stream, from 0, counting only documents that are not blank. */
	readonly document: number;
	readonly text: string;
	/** True when the next piece continues the same document. */
	readonly partial: boolean;
}

/**
 * Documents of a stream of text. Without a separator the whole stream is one document. Blank documents (white space
 * only) are left out. The separator belongs to no document.
 */
export async function* splitText(
	chunks: AsyncIterable<string>,
	separator: string | undefined,
	pieceCharacters = PIECE_CHARACTERS,
): AsyncGenerator<TextPiece> {
	let document = 0;
	let begun = false;
	let rest = '';
	// Finding the separator again from the start of a long rest would make the cost quadratic.
	let searched = 0;
	for await (const chunk of chunks) {
		rest += chunk;
		if (separator !== undefined) {
			let start = 0;
			for (let at = rest.indexOf(separator, searched); at >= 0; at = rest.indexOf(separator, start)) {
				const text = rest.slice(start, at);
				if (begun || text.trim() !== '') yield { document: document++, text, partial: false };
				begun = false;
				start = at + separator.length;
			}
			rest = rest.slice(start);
			searched = Math.max(0, rest.length - separator.length + 1);
		}
		// What might be the beginning of a separator must not be given away.
		const reserve = separator === undefined ? 0 : separator.length - 1;
		while (rest.length - reserve > pieceCharacters) {
			const cut = cutPosition(rest, pieceCharacters);
			const text = rest.slice(0, cut);
			rest = rest.slice(cut);
			searched = Math.max(0, searched - cut);
			// A blank beginning of any length says nothing about the document; it is dropped, not counted.
			if (!begun && text.trim() === '') continue;
			begun = true;
			yield { document, text, partial: true };
		}
	}
	if (begun || rest.trim() !== '') yield { document, text: rest, partial: false };
}

/** Cuts one long text the way `splitText` does. */
export function* piecesOf(text: string, pieceCharacters = PIECE_CHARACTERS): Generator<string> {
	let start = 0;
	while (text.length - start > pieceCharacters) {
		const cut = cutPosition(text.slice(start, start + pieceCharacters + 1), pieceCharacters);
		yield text.slice(start, start + cut);
		start += cut;
	}
	yield text.slice(start);
}

/**
 * Where to cut a text longer than `limit`, in (0, limit]: after a line break that is followed by something visible,
 * which no pre-tokenizer of the field merges across; failing that before a space; failing that between characters.
 */
export function cutPosition(text: string, limit: number): number {
	// Far from the limit a cut would make needlessly small pieces.
	const earliest = limit >> 1;
	for (
		let at = text.lastIndexOf('\n', limit - 1);
		at >= earliest;
		at = at === 0 ? -1 : text.lastIndexOf('\n', at - 1)
	) {
		if (/\S/.test(text[at + 1] ?? '')) return at + 1;
	}
	for (let at = text.lastIndexOf(' ', limit); at > earliest; at = text.lastIndexOf(' ', at - 1)) {
		if (/\S/.test(text[at - 1] as string) && /\S/.test(text[at + 1] ?? '')) return at;
	}
	const code = text.charCodeAt(limit - 1);
	return code >= 0xd800 && code < 0xdc00 && limit > 1 ? limit - 1 : limit;
}
