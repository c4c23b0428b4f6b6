/** @file Text given as paths on the command line: files, folders or globs of one kind, or the name of a built-in book. */
import { InputError } from '../base/errors.ts';
import type { DataSource } from '../data/source.ts';
import { openSource, sourceConfig } from '../data/source-registry.ts';

const KINDS: readonly (readonly [string, RegExp])[] = [
	['jsonl', /\.(jsonl|ndjson)(\.gz|\.zst)?$/],
	['parquet', /\.parquet$/],
];

/**
 * A source of documents for paths. Their ends tell the kind: .jsonl, .parquet, anything else is plain text.
 * @param paths files, folders, globs; or the one word `moby-dick`
 * @param field field or column with the text, for JSONL and Parquet
 * @throws InputError when the kinds are mixed or nothing is there
 */
export function textSourceOf(paths: readonly string[], field: string | undefined): DataSource {
	const context = { directory: process.cwd() };
	if (paths.length === 1 && paths[0] === 'moby-dick') return openSource({ kind: 'moby-dick' }, context);
	const kinds = new Set(paths.map((path) => KINDS.find(([, ending]) => ending.test(path))?.[0] ?? 'text'));
	if (kinds.size > 1) {
		throw new InputError('files of different kinds', {
			where: paths.join(' '),
			expected: 'only text, only .jsonl or only .parquet files',
			found: [...kinds].join(' and '),
			fix: 'run the command once for each kind',
		});
	}
	const [kind] = kinds;
	if (kind === 'text' && field !== undefined) {
		throw new InputError('--field is for .jsonl and .parquet files', { where: paths.join(' '), found: 'plain text' });
	}
	const named = kind === 'jsonl' ? { field } : kind === 'parquet' ? { column: field } : {};
	return openSource(sourceConfig.parse({ kind, path: [...paths], ...(field !== undefined && named) }), context);
}
