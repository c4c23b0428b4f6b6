/** @file Rows of fixed length from a stream of tokens. Each way of packing is one file in packing/. */
import type { z } from 'zod';
import type { TokenReader } from './token-reader.ts';

/** The label of positions that count for nothing (the value the field's losses skip). */
export const IGNORE_LABEL = -100;

/** The segment of padding. */
export const PADDING_SEGMENT = -1;

/** Where rows are written; each array is [rows, time] flattened. */
export interface RowBuffers {
	readonly tokens: Int32Array;
	/** `labels[t]` is what the model should predict from the tokens up to and including t: already shifted. */
	readonly labels: Int32Array;
	/** Number of the document within the row, from 0; attention stays within equal numbers. */
	readonly segmentIds?: Int32Array;
	/** Distance from the start of the document (or of the row, if the document began before it). */
	readonly positions?: Int32Array;
}

/** Numbered rows. Every token that has a target is the source of exactly one label in exactly one row. */
export interface Packing {
	readonly rowCount: number;
	/** Tokens of a row. */
	readonly time: number;
	/** Whether rows need `segmentIds` and `positions`. */
	readonly segmented: boolean;
	/** Token written where there is none. */
	readonly padId: number;
	/** Fills the slot at `slot * time` of the buffers with row `row`. */
	fill(row: number, buffers: RowBuffers, slot: number): void;
}

export interface PackingKind<Schema extends z.ZodObject = z.ZodObject> {
	readonly kind: string;
	readonly schema: Schema;
	/** @param time tokens of a row */
	pack(reader: TokenReader, time: number, config: z.output<Schema>): Packing;
}

export function definePacking<Schema extends z.ZodObject>(kind: PackingKind<Schema>): PackingKind<Schema> {
	return kind;
}

/** Makes slots from position `from` on padding. */
export function padFrom(from: number, buffers: RowBuffers, base: number, time: number, padId: number): void {
	buffers.tokens.fill(padId, base + from, base + time);
	buffers.labels.fill(IGNORE_LABEL, base + from, base + time);
	buffers.segmentIds?.fill(PADDING_SEGMENT, base + from, base + time);
	buffers.positions?.fill(0, base + from, base + time);
}
