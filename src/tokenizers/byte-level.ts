/**
 * @file The byte <-> character table of byte-level BPE (GPT-2): every byte has a printable character, so that a
 * token made of arbitrary bytes can be written in JSON. Printable Latin-1 bytes stand for themselves, the other 68
 * follow in order from U+0100.
 */

const PRINTABLE = (byte: number): boolean =>
	(byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;

/** The character that stands for each byte value. */
export const BYTE_TO_CHAR: readonly string[] = buildTable();

/** Byte value of each table character, indexed by code unit; -1 where the code unit is not in the table. */
const CHAR_TO_BYTE = new Int16Array(0x100 + 68).fill(-1);
for (let byte = 0; byte < 256; byte++) CHAR_TO_BYTE[BYTE_TO_CHAR[byte]!.charCodeAt(0)] = byte;

function buildTable(): string[] {
	const table: string[] = [];
	let next = 0x100;
	for (let byte = 0; byte < 256; byte++) table.push(String.fromCharCode(PRINTABLE(byte) ? byte : next++));
	return table;
}

/** The byte values sorted by their table character: the order in which a trained vocabulary numbers them. */
export function bytesInAlphabetOrder(): number[] {
	const bytes = Array.from({ length: 256 }, (_, byte) => byte);
	return bytes.sort((a, b) => BYTE_TO_CHAR[a]!.charCodeAt(0) - BYTE_TO_CHAR[b]!.charCodeAt(0));
}

/** Spells bytes as a token. */
export function bytesToToken(bytes: Uint8Array): string {
	let token = '';
	for (const byte of bytes) token += BYTE_TO_CHAR[byte];
	return token;
}

/** The bytes that a token spells, or undefined when it has a character outside the table. */
export function tokenToBytes(token: string): Uint8Array | undefined {
	const bytes = new Uint8Array(token.length);
	for (let i = 0; i < token.length; i++) {
		const byte = CHAR_TO_BYTE[token.charCodeAt(i)] ?? -1;
		if (byte < 0) return undefined;
		bytes[i] = byte;
	}
	return bytes;
}

/** Length of a text in UTF-8 bytes, without encoding it; a lone surrogate counts as U+FFFD (3 bytes). */
export function utf8Length(text: string): number {
	let bytes = text.length;
	for (let i = 0; i < text.length; i++) {
		const unit = text.charCodeAt(i);
		if (unit < 0x80) continue;
		if (unit < 0x800) bytes += 1;
		else if (unit >= 0xd800 && unit < 0xdc00 && isLowSurrogate(text.charCodeAt(i + 1))) {
			bytes += 2;
			i++;
		} else bytes += 2;
	}
	return bytes;
}

function isLowSurrogate(unit: number): boolean {
	return unit >= 0xdc00 && unit < 0xe000;
}
