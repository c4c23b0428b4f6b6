/** @file Packing `documents`: rows as in `stream`, plus what a model needs to keep the documents of a row apart. */
import { z } from 'zod';
import { definePacking, IGNORE_LABEL, type Packing, type RowBuffers } from '../packing.ts';
import type { TokenReader } from '../token-reader.ts';
import { fillShifted } from './stream.ts';

export const documentsPacking = definePacking({
	kind: 'documents',
	schema: z
		.strictObject({ kind: z.literal('documents') })
		.describe(
			'A contiguous stream with segment ids and positions that restart at every document, so that attention can stay ' +
				'within documents. No position predicts the first token of a document.',
		),
	pack: (reader, time) => packDocuments(reader, time),
});

function packDocuments(reader: TokenReader, time: number): Packing {
	const targets = Math.max(0, reader.tokenCount - 1);
	const padId = reader.eosId ?? 0;
	return {
		rowCount: Math.ceil(targets / time),
		time,
		segmented: true,
		padId,
		fill(row, buffers, slot) {
			const start = row * time;
			const count = fillShifted(reader, start, targets, buffers, slot, time, padId);
			markDocuments(reader, start, start + count, buffers, slot * time);
		},
	};
}

function markDocuments(reader: TokenReader, start: number, end: number, buffers: RowBuffers, base: number): void {
	let document = reader.documentAt(start);
	let segment = 0;
	for (let position = start; position < end; segment++) {
		const documentEnd = reader.documentRange(document++).end;
		// A document without tokens takes no segment.
		if (documentEnd === position) {
			segment--;
			continue;
		}
		const stop = Math.min(documentEnd, end);
		for (let i = position; i < stop; i++) {
			const at = base + i - start;
			if (buffers.segmentIds !== undefined) buffers.segmentIds[at] = segment;
			if (buffers.positions !== undefined) buffers.positions[at] = i - position;
		}
		if (documentEnd <= end) buffers.labels[base + documentEnd - 1 - start] = IGNORE_LABEL;
		position = stop;
	}
}
