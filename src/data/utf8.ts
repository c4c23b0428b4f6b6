/** @file Bytes to text, strictly: what is not UTF-8 text is refused with its place, not turned into question marks. */
import { isUtf8 } from 'node:buffer';
import { InputError } from '../base/errors.ts';

/** Decodes pieces of one file in order; characters that straddle two pieces come out whole. */
export class Utf8Decoder {
	readonly #path: string;
	#carry: Buffer = Buffer.alloc(0);
	#position = 0;

	constructor(path: string) {
		this.#path = path;
	}

	/**
	 * @returns the text of all bytes seen that form whole characters
	 * @throws InputError at the first invalid or NUL byte
	 */
	push(piece: Buffer): string {
		const bytes = this.#carry.byteLength === 0 ? piece : Buffer.concat([this.#carry, piece]);
		const whole = bytes.subarray(0, lastBoundary(bytes));
		this.#carry = Buffer.from(bytes.subarray(whole.byteLength));
		return this.#decode(whole);
	}

	/** @throws InputError when the file ends inside a character */
	end(): void {
		if (this.#carry.byteLength > 0) this.#decode(this.#carry);
	}

	#decode(bytes: Buffer): string {
		const start = this.#position;
		this.#position += bytes.byteLength;
		const zero = bytes.indexOf(0);
		if (zero >= 0 || !isUtf8(bytes)) throw this.#refuse(bytes, start, zero);
		const text = bytes.toString('utf8');
		return start === 0 && text.startsWith('\ufeff') ? text.slice(1) : text;
	}

	#refuse(bytes: Buffer, start: number, zero: number): InputError {
		const utf16 = start === 0 && ((bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff));
		const invalid = isUtf8(bytes) ? zero : firstInvalid(bytes);
		const at = zero >= 0 ? Math.min(zero, invalid) : invalid;
		return new InputError('is not UTF-8 text', {
			where: `${this.#path}, byte ${start + at}`,
			expected: 'UTF-8 text without NUL bytes',
			found: utf16 ? 'a UTF-16 byte order mark' : `byte 0x${(bytes[at] as number).toString(16).padStart(2, '0')}`,
			fix: utf16
				? 'convert the file: iconv -f UTF-16 -t UTF-8'
				: 'convert the file to UTF-8 (iconv -f LATIN1 -t UTF-8), or leave it out if it is not text',
		});
	}
}

/** Where the last whole character ends, looking back at most three bytes. */
function lastBoundary(bytes: Buffer): number {
	for (let back = 1; back <= Math.min(3, bytes.byteLength); back++) {
		const byte = bytes[bytes.byteLength - back] as number;
		if ((byte & 0xc0) === 0x80) continue;
		const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
		return length > back ? bytes.byteLength - back : bytes.byteLength;
	}
	return bytes.byteLength;
}

/** Index of the first byte that begins no valid character, by bisection over whole characters. */
function firstInvalid(bytes: Buffer): number {
	let valid = 0;
	let invalid = bytes.byteLength;
	while (valid < invalid) {
		const middle = (valid + invalid + 1) >>> 1;
		// A prefix cut inside a character is valid up to that character.
		if (isUtf8(bytes.subarray(0, lastBoundary(bytes.subarray(0, middle))))) valid = middle;
		else invalid = middle - 1;
	}
	return Math.min(lastBoundary(bytes.subarray(0, valid)), bytes.byteLength - 1);
}
