/** @file From the paths, folders and globs of a configuration to a sorted list of files, and from files to bytes. */
import { createReadStream, statSync } from 'node:fs';
import { extname, isAbsolute, relative, resolve, sep } from 'node:path';
import { pipeline } from 'node:stream';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { glob, isDynamicPattern } from 'tinyglobby';
import { z } from 'zod';
import { InputError } from '../base/errors.ts';
import { unreadable } from '../base/files.ts';
import type { SourceContext, SourceFile } from './source.ts';

/** The `path` field all file sources share. */
export const pathField = z
	.union([z.string().min(1), z.array(z.string().min(1)).min(1)])
	.describe(
		'File, folder or glob (or a list of them), relative to the configuration file. Folders are read recursively.',
	);

/**
 * The files that `patterns` stand for: files as they are, folders searched for `extensions`, globs expanded. Each file
 * once, in the order of the patterns, sorted by path within one.
 * @throws InputError for a missing path, a glob without matches or a folder without a fitting file
 */
export async function findInputFiles(
	patterns: string | readonly string[],
	extensions: readonly string[],
	{ directory }: SourceContext,
): Promise<SourceFile[]> {
	const files = new Map<string, SourceFile>();
	for (const pattern of typeof patterns === 'string' ? [patterns] : patterns) {
		for (const path of await expand(pattern, extensions, directory)) {
			if (!files.has(path)) files.set(path, describeFile(path, directory));
		}
	}
	return [...files.values()];
}

async function expand(pattern: string, extensions: readonly string[], directory: string): Promise<string[]> {
	const path = resolve(directory, pattern);
	const stat = statSync(path, { throwIfNoEntry: false });
	if (stat === undefined && isDynamicPattern(pattern)) {
		const matches = await glob([pattern.split(sep).join('/')], { cwd: directory, absolute: true, onlyFiles: true });
		if (matches.length > 0) return sorted(matches);
		throw new InputError('matches no file', {
			where: pattern,
			expected: `files matching the pattern under ${directory}`,
			fix: 'check the pattern; "**/*.txt" looks into subfolders, "*.txt" does not',
		});
	}
	if (stat === undefined) {
		throw new InputError('no such file or folder', {
			where: path,
			expected: 'a file, a folder or a glob',
			fix: `relative paths start at ${directory}`,
		});
	}
	if (!stat.isDirectory()) return [path];
	const wanted = extensions.flatMap((extension) => [extension, `${extension}.gz`, `${extension}.zst`]);
	const all = await glob(['**/*'], { cwd: path, absolute: true, onlyFiles: true });
	const fitting = all.filter((file) => wanted.some((extension) => file.toLowerCase().endsWith(extension)));
	if (fitting.length > 0) return sorted(fitting);
	throw new InputError('holds no file to read', {
		where: path,
		expected: `files ending in ${extensions.join(', ')} (also with .gz or .zst)`,
		found: all.length === 0 ? 'no file' : `${all.length} files, such as ${sorted(all).slice(0, 3).join(', ')}`,
		fix: 'give a glob such as "folder/**/*.log" to read files with other endings',
	});
}

/** By code unit, so that the order does not depend on the language of the machine. */
function sorted(paths: readonly string[]): string[] {
	return [...paths].map((path) => resolve(path)).sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
}

/** Size and time of a file. */
export function describeFile(path: string, directory: string): SourceFile {
	let stat: ReturnType<typeof statSync>;
	try {
		stat = statSync(path);
	} catch (error) {
		throw unreadable(path, 'a data file', error);
	}
	// Reading a named pipe or a device might never end, and a second pass would see something else.
	if (!stat?.isFile()) throw new InputError('is not a regular file', { where: path, expected: 'a data file' });
	const fromDirectory = relative(directory, path);
	const id = isAbsolute(fromDirectory) ? path : fromDirectory;
	return { path, id: id.split(sep).join('/'), byteLength: stat.size, modifiedMs: Math.trunc(stat.mtimeMs) };
}

/**
 * The bytes of a file, decompressed when it ends in .gz or .zst, in pieces of up to 1 MiB.
 * @param onBytes told about bytes as they lie on disk
 * @throws InputError when the file cannot be read or is damaged
 */
export async function* readPieces(path: string, onBytes: (bytes: number) => void = () => {}): AsyncGenerator<Buffer> {
	const file = createReadStream(path, { highWaterMark: 1 << 20 });
	file.on('data', (piece) => onBytes(piece.length));
	const extension = extname(path).toLowerCase();
	const decompress = extension === '.gz' ? createGunzip() : extension === '.zst' ? createZstdDecompress() : undefined;
	// The callback form destroys both streams on error; the error itself comes out of the loop below.
	const pieces = decompress === undefined ? file : pipeline(file, decompress, () => {});
	try {
		for await (const piece of pieces) yield piece as Buffer;
	} catch (error) {
		if (error instanceof InputError) throw error;
		throw unreadable(path, 'a readable data file', error);
	} finally {
		file.destroy();
	}
}
