/**
 * @file Source `parquet`: a string column of Parquet files, one row group at a time. The footer and ranges are checked, but
 * the reader library can loop for ever on a data page made to do harm: read files of unknown origin in a worker.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import {
	type AsyncBuffer,
	type FileMetaData,
	parquetMetadataAsync,
	parquetReadObjects,
	parquetSchema,
} from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { z } from 'zod';
import { FormatError, InputError, nearest } from '../../base/errors.ts';
import { unreadable } from '../../base/files.ts';
import { findInputFiles, pathField } from '../input-files.ts';
import { type DataSource, type Document, defineSource, type ReadOptions, type SourceFile } from '../source.ts';

export const parquetSource = defineSource({
	kind: 'parquet',
	schema: z
		.strictObject({
			kind: z.literal('parquet'),
			path: pathField,
			column: z.string().min(1).default('text').describe('Column that holds the text.'),
		})
		.describe('Parquet files (uncompressed, snappy, gzip, brotli, zstd, lz4).'),
	open(config, context): DataSource {
		const files = () => findInputFiles(config.path, ['.parquet'], context);
		return {
			kind: 'parquet',
			files,
			async *documents(options = {}) {
				for (const file of await files()) yield* readParquetFile(file, config.column, options);
			},
		};
	},
});

/**
 * The texts of one column; ids are "file#row". Rows without text are left out.
 * @throws FormatError when it is not a sound Parquet file, InputError when the column is missing or not text
 */
export async function* readParquetFile(
	file: SourceFile,
	column: string,
	{ onBytes }: ReadOptions = {},
): AsyncGenerator<Document> {
	const opened = openFile(file);
	try {
		const metadata = await guarded(file, () => parquetMetadataAsync(opened.buffer));
		checkColumn(file, metadata, column);
		const groups = metadata.row_groups.map((group) => Number(group.num_rows));
		if (groups.some((rows) => !Number.isSafeInteger(rows) || rows < 0)) throw damaged(file, new Error('bad row count'));
		let row = 0;
		for (const [index, rows] of groups.entries()) {
			const options = {
				file: opened.buffer,
				metadata,
				columns: [column],
				rowStart: row,
				rowEnd: row + rows,
				compressors,
			};
			const records = await guarded(file, () => parquetReadObjects(options));
			if (records.length !== rows) throw damaged(file, new Error(`row group ${index} lacks rows`));
			for (const record of records) {
				const text: unknown = record[column];
				if (typeof text !== 'string' && text !== null && text !== undefined) {
					throw new InputError(`has a column "${column}" that is not text`, {
						where: `${file.path}, row ${row}`,
						expected: 'strings',
						found: Array.isArray(text) ? 'a list' : typeof text,
					});
				}
				if (typeof text === 'string' && text.trim() !== '')
					yield { id: `${file.id}#${row}`, text: text.toWellFormed() };
				row++;
			}
			onBytes?.(share(file.byteLength, index + 1, groups.length) - share(file.byteLength, index, groups.length));
		}
	} finally {
		opened.close();
	}
}

function share(total: number, part: number, parts: number): number {
	return Math.floor((total * part) / parts);
}

function checkColumn(file: SourceFile, metadata: FileMetaData, column: string): void {
	let names: string[];
	try {
		names = parquetSchema(metadata).children.map((child) => child.element.name);
	} catch (error) {
		throw damaged(file, error);
	}
	if (names.includes(column)) return;
	const near = nearest(column, names);
	throw new InputError(`has no column "${column}"`, {
		where: file.path,
		expected: `one of ${names.slice(0, 20).join(', ')}`,
		fix: near === undefined ? 'set `column` to the column that holds the text' : `set column: "${near}"`,
	});
}

/** Errors of the Parquet reader are about the file, whatever their class. */
async function guarded<T>(file: SourceFile, work: () => Promise<T>): Promise<T> {
	try {
		return await work();
	} catch (error) {
		throw error instanceof InputError ? error : damaged(file, error);
	}
}

function damaged(file: SourceFile, cause: unknown): FormatError {
	return new FormatError('is not a readable Parquet file', {
		where: file.path,
		expected: 'a Parquet file',
		found: String((cause as Error).message).slice(0, 200),
		fix: 'the file may be truncated or of another format; fetch it again',
		cause,
	});
}

/** Positioned reads through one handle, refusing ranges outside the file. */
function openFile(file: SourceFile): { readonly buffer: AsyncBuffer; close(): void } {
	let handle: number;
	try {
		handle = openSync(file.path, 'r');
	} catch (error) {
		throw unreadable(file.path, 'a Parquet file', error);
	}
	const { byteLength } = file;
	const buffer: AsyncBuffer = {
		byteLength,
		slice(start, end = byteLength) {
			if (!(start >= 0 && start <= end && end <= byteLength)) {
				throw damaged(file, new Error(`it points to bytes ${start} to ${end} of ${byteLength}`));
			}
			const bytes = new Uint8Array(end - start);
			for (let done = 0; done < bytes.byteLength; ) {
				const read = readSync(handle, bytes, done, bytes.byteLength - done, start + done);
				if (read === 0) throw damaged(file, new Error('it was cut while open'));
				done += read;
			}
			return bytes.buffer;
		},
	};
	return { buffer, close: () => closeSync(handle) };
}
