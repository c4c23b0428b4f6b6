/** @file All kinds of sources. A new source is a file in sources/ and a line here. */
import { z } from 'zod';
import type { DataSource, SourceContext, SourceKind } from './source.ts';
import { jsonlSource } from './sources/jsonl.ts';
import { mobyDickSource } from './sources/moby-dick.ts';
import { parquetSource } from './sources/parquet.ts';
import { textSource } from './sources/text.ts';

/** Configuration of a source, told apart by `kind`. */
export const sourceConfig = z
	.discriminatedUnion('kind', [textSource.schema, jsonlSource.schema, parquetSource.schema, mobyDickSource.schema])
	.describe('Where the documents come from.');

export type SourceConfig = z.output<typeof sourceConfig>;

const KINDS: readonly SourceKind[] = [textSource, jsonlSource, parquetSource, mobyDickSource] as readonly SourceKind[];

/**
 * Makes the source a configuration describes. Nothing is read yet.
 * @param config checked by `sourceConfig`
 */
export function openSource(config: SourceConfig, context: SourceContext): DataSource {
	const kind = KINDS.find((candidate) => candidate.kind === config.kind) as SourceKind;
	return kind.open(config, context);
}
