/** @file Packing `padded`: every row belongs to one document; short rows are padded, long documents take several rows. */
import { z } from 'zod';
import { definePacking, type Packing } from '../packing.ts';
import type { TokenReader } from '../token-reader.ts';
import { fillShifted } from './stream.ts';

/** One cumulative count is kept for so many documents; the rest is counted again when needed. */
const STRIDE = 256;

export const paddedPacking = definePacking({
	kind: 'padded',
	schema: z
		.strictObject({ kind: z.literal('padded') })
		.describe('One document a row, padded with label -100; a document longer than a row continues in the next row.'),
	pack: (reader, time) => packPadded(reader, time),
});

/** Document with n tokens: ceil((n - 1) / time) rows; one token alone has no target and takes no row. */
function packPadded(reader: TokenReader, time: number): Packing {
	const padId = reader.eosId ?? 0;
	const rowsOf = (document: number): number => {
		const { start, end } = reader.documentRange(document);
		return Math.max(0, Math.ceil((end - start - 1) / time));
	};
	const rowsBefore = new Float64Array(Math.ceil(reader.documentCount / STRIDE));
	let rowCount = 0;
	for (let document = 0; document < reader.documentCount; document++) {
		if (document % STRIDE === 0) rowsBefore[document / STRIDE] = rowCount;
		rowCount += rowsOf(document);
	}
	/** The document of a row and the number of the row within it. */
	const locate = (row: number): { document: number; part: number } => {
		let low = 0;
		let high = rowsBefore.length - 1;
		while (low < high) {
			const middle = (low + high + 1) >>> 1;
			if ((rowsBefore[middle] as number) <= row) low = middle;
			else high = middle - 1;
		}
		let part = row - (rowsBefore[low] as number);
		let document = low * STRIDE;
		for (let rows = rowsOf(document); part >= rows; rows = rowsOf(++document)) part -= rows;
		return { document, part };
	};
	return {
		rowCount,
		time,
		segmented: true,
		padId,
		fill(row, buffers, slot) {
			const { document, part } = locate(row);
			const { start, end } = reader.documentRange(document);
			const count = fillShifted(reader, start + part * time, end - 1, buffers, slot, time, padId);
			const base = slot * time;
			buffers.segmentIds?.fill(0, base, base + count);
			for (let i = 0; buffers.positions !== undefined && i < count; i++) buffers.positions[base + i] = i;
		},
	};
}
