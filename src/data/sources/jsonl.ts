/** @file Source `jsonl`: one JSON object a line, the text in a (possibly nested) field. */
import { z } from 'zod';
import { FormatError, InputError } from '../../base/errors.ts';
import { findInputFiles, pathField, readPieces } from '../input-files.ts';
import { type DataSource, type Document, defineSource, type ReadOptions, type SourceFile } from '../source.ts';
import { Utf8Decoder } from '../utf8.ts';

const EXTENSIONS = ['.jsonl', '.ndjson'];
/** A longer line is not a record but a file of another kind, and would not fit into a string. */
const MAX_LINE_BYTES = 256 << 20;

export const jsonlSource = defineSource({
	kind: 'jsonl',
	schema: z
		.strictObject({
			kind: z.literal('jsonl'),
			path: pathField,
			field: z
				.string()
				.min(1)
				.default('text')
				.describe(
					'Field that holds the text; dots lead into nested objects and lists ("message.content", "turns.0.text").',
				),
			onError: z
				.enum(['fail', 'skip'])
				.default('fail')
				.describe('What to do with a line that is not usable: stop with its number, or skip and count it.'),
		})
		.describe('JSON Lines files (also .gz and .zst).'),
	open(config, context): DataSource {
		const files = () => findInputFiles(config.path, EXTENSIONS, context);
		return {
			kind: 'jsonl',
			files,
			async *documents(options = {}) {
				for (const file of await files()) yield* readJsonlFile(file, config, options);
			},
		};
	},
});

/**
 * The documents of one JSON Lines file; ids are "file:line". Blank lines and empty texts are left out.
 * @throws InputError naming file and line, unless `onError` is "skip"
 */
export async function* readJsonlFile(
	file: SourceFile,
	{ field, onError }: { readonly field: string; readonly onError: 'fail' | 'skip' },
	{ onBytes, onSkip }: ReadOptions = {},
): AsyncGenerator<Document> {
	let number = 0;
	for await (const line of readLines(file.path, onBytes)) {
		number++;
		let text: string;
		try {
			text = parseRecord(line, field, `${file.path}:${number}`);
		} catch (error) {
			if (onError === 'fail' || !(error instanceof InputError)) throw error;
			onSkip?.(error);
			continue;
		}
		if (text.trim() !== '') yield { id: `${file.id}:${number}`, text };
	}
}

/**
 * The text of one line ('' for a blank line).
 * @throws FormatError when the line is not JSON, InputError when the field is missing or not a string
 */
export function parseRecord(line: Buffer, field: string, where: string): string {
	const decoder = new Utf8Decoder(where);
	const source = decoder.push(line);
	decoder.end();
	if (source.trim() === '') return '';
	let record: unknown;
	try {
		record = JSON.parse(source);
	} catch (cause) {
		throw new FormatError('is not valid JSON', {
			where,
			expected: 'one JSON object on the line',
			found: abbreviate(source),
			fix: 'mend or remove the line, or set onError: "skip"',
			cause,
		});
	}
	const text = fieldOf(record, field);
	if (typeof text === 'string') return text.toWellFormed();
	const keys = typeof record === 'object' && record !== null ? Object.keys(record) : undefined;
	throw new InputError(text === undefined ? `has no field "${field}"` : `has a field "${field}" that is not a string`, {
		where,
		expected: `a string in "${field}"`,
		found:
			text !== undefined
				? abbreviate(JSON.stringify(text))
				: keys === undefined
					? abbreviate(source)
					: `fields ${keys.slice(0, 10).join(', ')}`,
		fix: 'set `field` to the field that holds the text, or set onError: "skip"',
	});
}

function fieldOf(record: unknown, field: string): unknown {
	let value = record;
	// A key that itself contains dots wins over the path it looks like.
	if (isObject(record) && Object.hasOwn(record, field)) return record[field];
	for (const key of field.split('.')) {
		if (!isObject(value) || !Object.hasOwn(value, key)) return undefined;
		value = value[key];
	}
	return value;
}

function isObject(value: unknown): value is Record<string, unknown> {
	return typeof value === 'object' && value !== null;
}

/** Lines without their line feed; a carriage return before it is JSON white space and stays. */
async function* readLines(path: string, onBytes?: (bytes: number) => void): AsyncGenerator<Buffer> {
	let parts: Buffer[] = [];
	let length = 0;
	let number = 1;
	for await (const piece of readPieces(path, onBytes)) {
		let start = 0;
		for (let at = piece.indexOf(10); at >= 0; at = piece.indexOf(10, start)) {
			parts.push(piece.subarray(start, at));
			yield parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts);
			parts = [];
			length = 0;
			number++;
			start = at + 1;
		}
		if (start < piece.byteLength) {
			parts.push(piece.subarray(start));
			length += piece.byteLength - start;
		}
		if (length > MAX_LINE_BYTES) {
			throw new InputError('is too long', {
				where: `${path}:${number}`,
				expected: `lines of at most ${MAX_LINE_BYTES} bytes`,
				fix: 'check that the file has one JSON object a line (a single JSON array must be converted)',
			});
		}
	}
	if (length > 0) yield Buffer.concat(parts);
}

function abbreviate(text: string): string {
	return text.length > 80 ? `${text.slice(0, 80)}...` : text;
}
