/** @file Batches: an endless shuffled stream for training that can be resumed anywhere, and one pass for validation. */
import { z } from 'zod';
import { FormatError, InputError } from '../base/errors.ts';
import { deriveSeed } from '../base/random.ts';
import { type Packing, padFrom, type RowBuffers } from './packing.ts';
import { seededPermutation } from './permutation.ts';

/** Rows side by side. All arrays are [batch, time], row-major. */
export interface Batch extends RowBuffers {
	readonly dims: readonly [batch: number, time: number];
	/** Positions with a label (not -100): what a mean over the loss divides by. */
	readonly targetCount: number;
}

const streamState = z.strictObject({
	/** Passes begun before, from 0. */
	epoch: z.int().min(0),
	/** Rows of this pass given out. */
	row: z.int().min(0),
	rowCount: z.int().min(1),
	seed: z.int().min(0),
	shuffle: z.boolean(),
});

/** Place of a `BatchStream`, small enough for any checkpoint; plain JSON. */
export type BatchStreamState = z.output<typeof streamState>;

export interface BatchStreamOptions {
	readonly packing: Packing;
	readonly batchSize: number;
	readonly seed: number;
	/** A new order of the rows every epoch; false keeps the order of the corpus. Default true. */
	readonly shuffle?: boolean;
}

/**
 * Full batches without end. Every epoch gives each row exactly once, in an order that depends on seed and epoch alone;
 * a batch may hold the end of one epoch and the beginning of the next.
 */
export class BatchStream {
	readonly #packing: Packing;
	readonly #batchSize: number;
	readonly #seed: number;
	readonly #shuffle: boolean;
	#epoch = 0;
	#row = 0;
	#order: (index: number) => number;

	/** @throws InputError when the corpus is too small for a single row */
	constructor({ packing, batchSize, seed, shuffle = true }: BatchStreamOptions) {
		if (!Number.isSafeInteger(batchSize) || batchSize < 1) throw new RangeError(`a batch of ${batchSize} rows`);
		if (packing.rowCount === 0) {
			throw new InputError('the training text has fewer than two tokens', { fix: 'give a larger corpus' });
		}
		this.#packing = packing;
		this.#batchSize = batchSize;
		this.#seed = seed >>> 0;
		this.#shuffle = shuffle;
		this.#order = this.#orderOf(0);
	}

	/** Epochs passed, with the fraction of the current one. */
	get epoch(): number {
		return this.#epoch + this.#row / this.#packing.rowCount;
	}

	next(): Batch {
		const buffers = allocateBatch(this.#packing, this.#batchSize);
		for (let slot = 0; slot < this.#batchSize; slot++) {
			if (this.#row === this.#packing.rowCount) {
				this.#epoch++;
				this.#row = 0;
				this.#order = this.#orderOf(this.#epoch);
			}
			this.#packing.fill(this.#order(this.#row++), buffers, slot);
		}
		return finishBatch(buffers, this.#batchSize, this.#packing.time);
	}

	state(): BatchStreamState {
		return {
			epoch: this.#epoch,
			row: this.#row,
			rowCount: this.#packing.rowCount,
			seed: this.#seed,
			shuffle: this.#shuffle,
		};
	}

	/**
	 * Goes to the place `state` was taken at: what follows equals what followed then. The batch size may differ.
	 * @throws FormatError when it is no state, InputError when it is the state of another stream
	 */
	restore(state: unknown): void {
		const parsed = streamState.safeParse(state);
		if (!parsed.success || parsed.data.row > parsed.data.rowCount) {
			throw new FormatError('is not the state of a batch stream', { where: 'data state', cause: parsed.error });
		}
		const own = this.state();
		for (const key of ['rowCount', 'seed', 'shuffle'] as const) {
			if (parsed.data[key] === own[key]) continue;
			throw new InputError('belongs to a run over other data', {
				where: `data state, ${key}`,
				expected: String(own[key]),
				found: String(parsed.data[key]),
				fix: 'resume with the corpus, tokenizer, sequence length and seed the run began with, or start a new run',
			});
		}
		this.#epoch = parsed.data.epoch;
		this.#row = parsed.data.row;
		this.#order = this.#orderOf(this.#epoch);
	}

	#orderOf(epoch: number): (index: number) => number {
		if (!this.#shuffle) return (index) => index;
		return seededPermutation(this.#packing.rowCount, deriveSeed(this.#seed, `epoch ${epoch}`));
	}
}

/**
 * One pass in order: every target exactly once. All batches have `batchSize` rows; missing rows of the last are padding
 * with label -100.
 */
export function* sequentialBatches(packing: Packing, batchSize: number): Generator<Batch> {
	for (let row = 0; row < packing.rowCount; row += batchSize) {
		const buffers = allocateBatch(packing, batchSize);
		for (let slot = 0; slot < batchSize; slot++) {
			if (row + slot < packing.rowCount) packing.fill(row + slot, buffers, slot);
			else padFrom(0, buffers, slot * packing.time, packing.time, packing.padId);
		}
		yield finishBatch(buffers, batchSize, packing.time);
	}
}

function allocateBatch({ time, segmented }: Packing, batchSize: number): RowBuffers {
	const make = (): Int32Array => new Int32Array(batchSize * time);
	const plain = { tokens: make(), labels: make() };
	return segmented ? { ...plain, segmentIds: make(), positions: make() } : plain;
}

function finishBatch(buffers: RowBuffers, batchSize: number, time: number): Batch {
	let targetCount = 0;
	for (const label of buffers.labels) if (label >= 0) targetCount++;
	return { ...buffers, dims: [batchSize, time], targetCount };
}
