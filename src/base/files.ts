/** @file Files that are never half there: write to a temporary name, flush to disk, rename. */
import { createHash, randomBytes } from 'node:crypto';
import {
	closeSync,
	createReadStream,
	fsyncSync,
	mkdirSync,
	openSync,
	readFileSync,
	renameSync,
	rmSync,
	writeSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { FormatError, InputError } from './errors.ts';

/** Writes a whole file atomically: readers see the old content or the new, never a part. */
export function writeFileAtomic(path: string, content: string | Uint8Array | readonly Uint8Array[]): void {
	const parts: readonly Uint8Array[] =
		typeof content === 'string' ? [Buffer.from(content)] : content instanceof Uint8Array ? [content] : content;
	writeAtomically(path, (handle) => {
		for (const part of parts) writeFully(handle, part);
	});
}

/**
 * Lets `write` fill a temporary file through its handle, flushes it to disk and renames it to `path`. When `write`
 * throws, nothing is left behind and an older file at `path` is untouched.
 * @returns what `write` returned
 */
export function writeAtomically<T>(path: string, write: (handle: number) => T): T {
	const directory = dirname(path);
	mkdirSync(directory, { recursive: true });
	const temporary = join(directory, `.${basename(path)}.${randomBytes(6).toString('hex')}.tmp`);
	const handle = openSync(temporary, 'wx');
	let result: T;
	try {
		result = write(handle);
		fsyncSync(handle);
		closeSync(handle);
		renameSync(temporary, path);
	} catch (error) {
		try {
			closeSync(handle);
		} catch {
			// already closed: the rename was what failed
		}
		rmSync(temporary, { force: true });
		throw error;
	}
	syncDirectory(directory);
	return result;
}

/** Writes every byte of `part` at the current position of `handle`. */
export function writeFully(handle: number, part: Uint8Array): void {
	let offset = 0;
	while (offset < part.byteLength)
		offset += writeSync(handle, part, offset, Math.min(part.byteLength - offset, 1 << 30));
}

/** Makes a rename durable; a no-op where directories cannot be opened (Windows). */
export function syncDirectory(directory: string): void {
	let handle: number;
	try {
		handle = openSync(directory, 'r');
	} catch {
		return;
	}
	try {
		fsyncSync(handle);
	} catch {
		// some file systems refuse fsync on directories; the rename itself is still atomic
	} finally {
		closeSync(handle);
	}
}

/** SHA-256 of a file, read in pieces. */
export async function sha256File(path: string): Promise<string> {
	const hash = createHash('sha256');
	for await (const piece of createReadStream(path)) hash.update(piece as Buffer);
	return hash.digest('hex');
}

/**
 * Reads a UTF-8 text file.
 * @throws InputError naming the path when it cannot be read
 */
export function readText(path: string, what: string): string {
	try {
		return readFileSync(path, 'utf8');
	} catch (error) {
		throw unreadable(path, what, error);
	}
}

/**
 * Reads and parses a JSON file into `unknown`; validate the result with a schema.
 * @throws InputError when unreadable, FormatError when it is not JSON
 */
export function readJson(path: string, what: string): unknown {
	const text = readText(path, what);
	try {
		return JSON.parse(text);
	} catch (error) {
		throw new FormatError(`is not valid JSON (${(error as Error).message})`, {
			where: path,
			expected: what,
			cause: error,
		});
	}
}

/** The error for a file that is missing or may not be read. */
export function unreadable(path: string, what: string, error: unknown): InputError {
	const code = (error as NodeJS.ErrnoException).code;
	const reason =
		code === 'ENOENT'
			? 'no such file'
			: code === 'EACCES'
				? 'permission denied'
				: code === 'EISDIR'
					? 'is a directory'
					: String((error as Error).message);
	return new InputError(reason, { where: path, expected: what, cause: error });
}
