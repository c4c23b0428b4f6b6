/** @file Packing `stream`: documents one after the other, cut every `time` tokens; a row may hold the seam of two. */
import { z } from 'zod';
import { definePacking, type Packing, padFrom, type RowBuffers } from '../packing.ts';
import type { TokenReader } from '../token-reader.ts';

export const streamPacking = definePacking({
	kind: 'stream',
	schema: z
		.strictObject({ kind: z.literal('stream') })
		.describe('One contiguous stream; attention crosses document boundaries, which only the end-of-text token marks.'),
	pack: (reader, time) => packStream(reader, time),
});

/**
 * Row r holds tokens [r * time, (r + 1) * time) and as labels the tokens one further. The last row is padded; the very
 * last token, which has no target, is an input of no row.
 */
export function packStream(reader: TokenReader, time: number): Packing {
	const targets = Math.max(0, reader.tokenCount - 1);
	const padId = reader.eosId ?? 0;
	return {
		rowCount: Math.ceil(targets / time),
		time,
		segmented: false,
		padId,
		fill: (row, buffers, slot) => void fillShifted(reader, row * time, targets, buffers, slot, time, padId),
	};
}

/**
 * Writes the tokens from `start` on, their successors as labels, and padding where the targets end at `end`.
 * @returns how many positions have a label
 */
export function fillShifted(
	reader: TokenReader,
	start: number,
	end: number,
	buffers: RowBuffers,
	slot: number,
	time: number,
	padId: number,
): number {
	const base = slot * time;
	const count = Math.min(time, end - start);
	reader.read(start, count, buffers.tokens, base);
	buffers.labels.set(buffers.tokens.subarray(base + 1, base + count), base);
	reader.read(start + count, 1, buffers.labels, base + count - 1);
	padFrom(count, buffers, base, time, padId);
	return count;
}
