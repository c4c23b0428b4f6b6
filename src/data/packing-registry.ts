/** @file All ways of packing. A new one is a file in packing/ and a line here. */
import { z } from 'zod';
import { documentsPacking } from './packing/documents.ts';
import { paddedPacking } from './packing/padded.ts';
import { streamPacking } from './packing/stream.ts';
import type { Packing, PackingKind } from './packing.ts';
import type { TokenReader } from './token-reader.ts';

/** Configuration of packing, told apart by `kind`. */
export const packingConfig = z
	.discriminatedUnion('kind', [streamPacking.schema, documentsPacking.schema, paddedPacking.schema])
	.describe('How documents become rows of equal length.');

export type PackingConfig = z.output<typeof packingConfig>;

const KINDS = [streamPacking, documentsPacking, paddedPacking] as readonly PackingKind[];

/**
 * Rows of `time` tokens over all documents of a reader.
 * @param config checked by `packingConfig`
 */
export function createPacking(config: PackingConfig, reader: TokenReader, time: number): Packing {
	if (!Number.isSafeInteger(time) || time < 1) throw new RangeError(`rows of ${time} tokens`);
	const kind = KINDS.find((candidate) => candidate.kind === config.kind) as PackingKind;
	return kind.pack(reader, time, config);
}
