/**
 * @file The state of a batch while it is decoded: two buffers for each state tensor, used in turn, so that the engine
 * writes the new state beside the old one and nothing is allocated or copied from step to step.
 */
import { allocate, bytesPerElement, elementCount, type HostTensor, type TypedData } from '../base/host-tensor.ts';
import { evaluateDim } from '../graph/shape.ts';
import type { StateLayout } from './decoder-plan.ts';

/** Buffers grow by this factor, so that growing token by token allocates rarely. */
const GROWTH = 1.5;

export class DecoderState {
	/** Number of rows. */
	batch: number;
	/** Cached columns, padding included. */
	past = 0;
	/** Real tokens of every row: the position of its next token. */
	lengths: number[];
	/** Which cached columns are real, one array a row [past]; undefined while all are. */
	mask: Uint8Array[] | undefined;
	/** The tensors, in the order of the layouts. */
	tensors: HostTensor[];
	private readonly layouts: readonly StateLayout[];
	private spare: (ArrayBuffer | undefined)[];

	constructor(layouts: readonly StateLayout[], batch: number) {
		this.layouts = layouts;
		this.batch = batch;
		this.lengths = new Array<number>(batch).fill(0);
		this.tensors = layouts.map((layout) => {
			const dims = this.dimsOf(layout, batch, 0);
			return { dtype: layout.dtype, dims, data: allocate(layout.dtype, elementCount(dims)) };
		});
		this.spare = layouts.map(() => undefined);
	}

	/** Bytes held, both buffers counted. */
	get bytes(): number {
		const spare = this.spare.reduce((total, buffer) => total + (buffer?.byteLength ?? 0), 0);
		return this.tensors.reduce((total, { data }) => total + data.buffer.byteLength, spare);
	}

	/** Tensors for the state after `time` more columns, to be written by the engine. */
	nextTensors(time: number): HostTensor[] {
		return this.layouts.map((layout, i) => this.spareTensor(i, this.dimsOf(layout, this.batch, this.past + time)));
	}

	/** Takes what nextTensors gave as the state. */
	advance(next: readonly HostTensor[], time: number): void {
		this.swap(next);
		this.past += time;
	}

	/** Keeps the given rows, in the given order; a row may be given several times. */
	select(rows: readonly number[]): void {
		const next = this.layouts.map((layout, i) => {
			const from = this.tensors[i] as HostTensor;
			const to = this.spareTensor(i, this.dimsOf(layout, rows.length, this.past));
			copyRows(from, to, layout.batchAxis, rows);
			return to;
		});
		this.swap(next);
		this.batch = rows.length;
		this.lengths = rows.map((row) => this.lengths[row] as number);
		if (this.mask !== undefined) this.mask = rows.map((row) => Uint8Array.from((this.mask as Uint8Array[])[row]!));
	}

	private swap(next: readonly HostTensor[]): void {
		this.spare = this.tensors.map(({ data }) => data.buffer as ArrayBuffer);
		this.tensors = [...next];
	}

	private spareTensor(index: number, dims: readonly number[]): HostTensor {
		const { dtype } = this.layouts[index] as StateLayout;
		const count = elementCount(dims);
		const bytes = count * bytesPerElement(dtype);
		let buffer = this.spare[index];
		if (buffer === undefined || buffer.byteLength < bytes) {
			// The first buffer is exact (a state that does not grow never needs more); later ones leave room.
			buffer = new ArrayBuffer(buffer === undefined ? bytes : Math.ceil((bytes * GROWTH) / 8) * 8);
			this.spare[index] = buffer;
		}
		const like = allocate(dtype, 0);
		const View = like.constructor as new (buffer: ArrayBuffer, offset: number, length: number) => TypedData;
		return { dtype, dims, data: new View(buffer, 0, count) };
	}

	private dimsOf({ shape }: StateLayout, batch: number, past: number): number[] {
		const sizes = new Map([
			['batch', batch],
			['past', past],
		]);
		return shape.map((size) => evaluateDim(size, sizes));
	}
}

/** `to[..., i, ...] = from[..., rows[i], ...]` along `axis`. */
function copyRows(from: HostTensor, to: HostTensor, axis: number, rows: readonly number[]): void {
	const outer = elementCount(from.dims.slice(0, axis));
	const inner = elementCount(from.dims.slice(axis + 1));
	const count = from.dims[axis] as number;
	for (let block = 0; block < outer; block++) {
		rows.forEach((row, i) => {
			const start = (block * count + row) * inner;
			// The union of typed arrays has no common `set`; both sides have the same class here.
			(to.data as Float32Array).set(
				from.data.subarray(start, start + inner) as Float32Array,
				(block * rows.length + i) * inner,
			);
		});
	}
}
