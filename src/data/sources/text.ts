/** @file Source `text`: plain UTF-8 files, one document a file or split at a separator, streamed. */
import { z } from 'zod';
import { findInputFiles, pathField, readPieces } from '../input-files.ts';
import { type DataSource, type Document, defineSource, type SourceFile } from '../source.ts';
import { splitText } from '../split-text.ts';
import { Utf8Decoder } from '../utf8.ts';

const EXTENSIONS = ['.txt', '.md', '.text'];

export const textSource = defineSource({
	kind: 'text',
	schema: z
		.strictObject({
			kind: z.literal('text'),
			path: pathField,
			documentSeparator: z
				.string()
				.min(1)
				.max(1000)
				.optional()
				.describe(
					'Literal text between documents, for example "\\n\\n" or "<|endoftext|>". Without it a file is one document.',
				),
		})
		.describe('Plain UTF-8 text files (also .gz and .zst).'),
	open(config, context): DataSource {
		const files = () => findInputFiles(config.path, EXTENSIONS, context);
		return {
			kind: 'text',
			files,
			async *documents({ onBytes } = {}) {
				for (const file of await files()) yield* readTextFile(file, config.documentSeparator, onBytes);
			},
		};
	},
});

/**
 * The documents of one text file. Long documents come in pieces.
 * @throws InputError naming file and byte when it is not UTF-8 text
 */
export async function* readTextFile(
	file: SourceFile,
	separator: string | undefined,
	onBytes?: (bytes: number) => void,
): AsyncGenerator<Document> {
	for await (const { document, text, partial } of splitText(decode(file.path, onBytes), separator)) {
		const id = separator === undefined ? file.id : `${file.id}#${document}`;
		yield partial ? { id, text, partial } : { id, text };
	}
}

async function* decode(path: string, onBytes?: (bytes: number) => void): AsyncGenerator<string> {
	const decoder = new Utf8Decoder(path);
	for await (const piece of readPieces(path, onBytes)) yield decoder.push(piece);
	decoder.end();
}
