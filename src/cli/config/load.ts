/** @file Configuration files: YAML, JSON, or a TypeScript/JavaScript module. */
import { statSync } from 'node:fs';
import { extname, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { FormatError, InputError } from '../../base/errors.ts';
import { readText, unreadable } from '../../base/files.ts';

export const CONFIG_EXTENSIONS = ['.yaml', '.yml', '.json', '.ts', '.mts', '.js', '.mjs'] as const;

const MAX_BYTES = 4 << 20;

/** A configuration before it was checked. */
export interface RawConfig {
	readonly path: string;
	readonly value: unknown;
	/** Line and column (from 1) of a key path, where the format has them. */
	locate(path: readonly PropertyKey[]): { readonly line: number; readonly column: number } | undefined;
}

/**
 * Reads a configuration. A module is run: load only modules you trust.
 * A module exports `config` (or its only export, or a default export): a plain object, or a function that returns one.
 * @throws InputError when the file is missing or has an unknown extension, FormatError when it cannot be parsed
 */
export async function loadConfig(path: string): Promise<RawConfig> {
	const extension = extname(path).toLowerCase();
	checkFile(path);
	switch (extension) {
		case '.yaml':
		case '.yml':
			return parseYaml(path, readText(path, 'a configuration file'));
		case '.json':
			return parseJson(path, readText(path, 'a configuration file'));
		case '.ts':
		case '.mts':
		case '.js':
		case '.mjs':
			return { path, value: await importConfig(path), locate: () => undefined };
		default:
			throw new InputError('has no known configuration format', {
				where: path,
				expected: `a file that ends in ${CONFIG_EXTENSIONS.join(', ')}`,
				found: extension === '' ? 'no extension' : extension,
				fix: 'rename it, or write a new one with: modelsmith init',
			});
	}
}

function checkFile(path: string): void {
	let bytes: number;
	try {
		const stats = statSync(path);
		if (stats.isDirectory()) {
			throw new InputError('is a folder', {
				where: path,
				expected: 'a configuration file',
				fix: 'name a file in it, e.g. config.yaml; to continue a run, use: modelsmith train RUN/config.json --resume',
			});
		}
		bytes = stats.size;
	} catch (error) {
		if (error instanceof InputError) throw error;
		throw unreadable(path, 'a configuration file', error);
	}
	if (bytes > MAX_BYTES) {
		throw new InputError('is too large for a configuration', {
			where: path,
			expected: `at most ${MAX_BYTES >> 20} MiB`,
			found: `${(bytes / 2 ** 20).toFixed(1)} MiB`,
		});
	}
}

async function parseYaml(path: string, text: string): Promise<RawConfig> {
	const { isMap, isSeq, isPair, LineCounter, parseDocument } = await import('yaml');
	const lineCounter = new LineCounter();
	const document = parseDocument(text, { lineCounter, prettyErrors: false, uniqueKeys: true });
	const [error] = document.errors;
	if (error !== undefined) {
		const { line, col } = lineCounter.linePos(error.pos[0]);
		throw new FormatError(`is not valid YAML: ${error.message}`, {
			where: `${path}:${line}:${col}`,
			expected: 'YAML 1.2',
			fix: 'check the indentation, quotes and colons of this line and the one above it',
		});
	}
	let value: unknown;
	try {
		// aliases are limited, so that a small file cannot grow to gigabytes
		value = document.toJS({ maxAliasCount: 50 });
	} catch (cause) {
		throw new FormatError(`is not usable YAML: ${(cause as Error).message}`, {
			where: path,
			expected: 'a configuration with few aliases (*name)',
			cause,
		});
	}
	return {
		path,
		value: value ?? {},
		locate(keys) {
			let node: unknown = document.contents;
			let offset: number | undefined;
			for (const key of keys) {
				if (isMap(node)) {
					const pair = node.items.find((item) => isPair(item) && String(item.key) === String(key));
					if (pair === undefined) break;
					offset = (pair.key as { range?: readonly number[] | null }).range?.[0] ?? offset;
					node = pair.value;
				} else if (isSeq(node)) {
					node = node.items[Number(key)];
					offset = (node as { range?: readonly number[] | null } | undefined)?.range?.[0] ?? offset;
				} else break;
			}
			if (offset === undefined) return undefined;
			const { line, col } = lineCounter.linePos(offset);
			return { line, column: col };
		},
	};
}

function parseJson(path: string, text: string): RawConfig {
	try {
		return { path, value: JSON.parse(text.replace(/^\uFEFF/, '')), locate: () => undefined };
	} catch (cause) {
		throw new FormatError(`is not valid JSON: ${(cause as Error).message}`, {
			where: path,
			expected: 'JSON (no comments, no trailing commas); YAML allows both: rename the file to .yaml',
			cause,
		});
	}
}

async function importConfig(path: string): Promise<unknown> {
	let module: Record<string, unknown>;
	try {
		module = (await import(pathToFileURL(resolve(path)).href)) as Record<string, unknown>;
	} catch (cause) {
		throw new FormatError(`could not be imported: ${(cause as Error).message.split('\n')[0]}`, {
			where: path,
			expected: 'a module that exports `config`',
			cause,
		});
	}
	const names = Object.keys(module);
	const name =
		['config', 'default'].find((candidate) => candidate in module) ?? (names.length === 1 ? names[0] : undefined);
	const exported = name === undefined ? undefined : module[name];
	const value: unknown = typeof exported === 'function' ? await exported() : exported;
	if (typeof value !== 'object' || value === null || Array.isArray(value)) {
		throw new FormatError('does not export a configuration', {
			where: path,
			expected: '`export const config = { ... }`, or a function that returns such an object',
			found: names.length === 0 ? 'no exports' : `exports ${names.join(', ')}`,
		});
	}
	// a module could return getters or shared objects: keep plain data only
	try {
		return structuredClone(value);
	} catch (cause) {
		throw new FormatError('exports more than plain data', {
			where: path,
			expected: 'objects, arrays, strings, numbers, booleans',
			found: (cause as Error).message,
			cause,
		});
	}
}
