/** @file Reads text files of any size as pieces that can be tokenized one by one, in bounded memory. */
import { open } from 'node:fs/promises';
import { unreadable } from '../base/files.ts';
import { cutBefore } from './word-scanner.ts';

/** Files up to this many characters come in one piece. */
const MIN_PIECE = 1 << 19;
/** A text without white space is cut after this many characters. */
const MAX_PENDING = 1 << 24;

/**
 * Yields each file in pieces of about a megabyte that end between words, so that counting or encoding the pieces gives
 * what the whole file gives. Bytes that are not UTF-8 are read as U+FFFD; a byte order mark is left out.
 * @throws InputError naming the file that cannot be read
 */
export async function* textOfFiles(paths: Iterable<string>): AsyncGenerator<string> {
	const buffer = new Uint8Array(1 << 20);
	for (const path of paths) {
		const decoder = new TextDecoder();
		let pending = '';
		try {
			await using file = await open(path);
			for (;;) {
				const { bytesRead } = await file.read(buffer, 0, buffer.length);
				if (bytesRead === 0) break;
				pending += decoder.decode(buffer.subarray(0, bytesRead), { stream: true });
				if (pending.length < MIN_PIECE) continue;
				let cut = cutBefore(pending, pending.length - 1);
				if (cut === 0 && pending.length > MAX_PENDING) cut = pending.length - (isHigh(pending.at(-1)!) ? 1 : 0);
				if (cut === 0) continue;
				yield pending.slice(0, cut);
				pending = pending.slice(cut);
			}
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code === undefined) throw error;
			throw unreadable(path, 'a text file', error);
		}
		pending += decoder.decode();
		if (pending.length > 0) yield pending;
	}
}

function isHigh(unit: string): boolean {
	return unit >= '\ud800' && unit <= '\udbff';
}
