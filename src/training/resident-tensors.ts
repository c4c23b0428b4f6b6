/**
 * @file Tensors that live on from step to step. On the CPU each has two buffers: a step reads one and the engine writes the
 * other, then they change places, so nothing is copied in JavaScript. On a GPU the engine's outputs stay on the device and
 * are fed back as they are.
 */
import type { Tensor as OrtTensor } from 'onnxruntime-node';
import { ShapeError } from '../base/errors.ts';
import { elementCount, type HostTensor } from '../base/host-tensor.ts';
import type { Device } from '../runtime/device.ts';
import { loadOrt } from '../runtime/session.ts';
import type { Slot } from './update-graph.ts';

type Ort = Awaited<ReturnType<typeof loadOrt>>;

interface Buffers {
	readonly slot: Pick<Slot, 'name' | 'output' | 'inputShape' | 'outputShape'>;
	/** What the next step reads. */
	current: OrtTensor;
	/** The same memory in the output's shape, for when it is written to. */
	currentAsOutput: OrtTensor | undefined;
	/** What the next step writes; undefined where the engine allocates. */
	spare: { readonly input: OrtTensor; readonly output: OrtTensor } | undefined;
	/** Output of a step that is not accepted yet. */
	pending: OrtTensor | undefined;
}

export class ResidentTensors {
	readonly #ort: Ort;
	readonly #preallocated: boolean;
	readonly #all = new Map<string, Buffers>();

	private constructor(ort: Ort, device: Device) {
		this.#ort = ort;
		this.#preallocated = device === 'cpu';
	}

	/** Zero tensors, one for each slot. */
	static async allocate(slots: readonly Buffers['slot'][], device: Device): Promise<ResidentTensors> {
		const result = new ResidentTensors(await loadOrt(), device);
		for (const slot of slots) result.#all.set(slot.name, result.#buffers(slot, new Float32Array(size(slot))));
		return result;
	}

	/** Bytes held, both buffers counted. */
	get byteLength(): number {
		let total = 0;
		for (const { slot } of this.#all.values()) total += size(slot) * 4 * (this.#preallocated ? 2 : 1);
		return total;
	}

	/** Copies a value in; its elements must be as many as the slot has. */
	set(name: string, value: HostTensor): void {
		const known = this.#all.get(name);
		if (known === undefined || value.dtype !== 'float32' || value.data.length !== size(known.slot)) {
			throw new ShapeError(`the value of "${name}" does not fit`, {
				expected: known === undefined ? 'a known name' : `float32 with ${size(known.slot)} elements`,
				found: `${value.dtype}[${value.dims.join(', ')}]`,
			});
		}
		if (this.#preallocated) (known.current.data as Float32Array).set(value.data as Float32Array);
		else {
			const { slot, current } = known;
			this.#all.set(name, this.#buffers(slot, Float32Array.from(value.data as Float32Array)));
			if (current.location === 'gpu-buffer') current.dispose();
		}
	}

	/** The current value. On the CPU it is a view that the step after the next overwrites: copy what must last. */
	async get(name: string): Promise<HostTensor> {
		const { current, slot } = this.#all.get(name) as Buffers;
		const data = (await current.getData()) as Float32Array;
		return { dtype: 'float32', dims: slot.inputShape, data };
	}

	/** Adds the current values to the feeds of a run. */
	feed(feeds: Record<string, OrtTensor>): void {
		for (const [name, { current }] of this.#all) feeds[name] = current;
	}

	/** Adds the output buffers to the fetches of a run. */
	fetch(fetches: Record<string, OrtTensor | null>): void {
		for (const { slot, spare } of this.#all.values()) fetches[slot.output] = spare?.output ?? null;
	}

	/** Remembers what a run wrote; `accept` or `reject` follows. */
	received(results: Readonly<Record<string, OrtTensor>>): void {
		if (this.#preallocated) return;
		for (const entry of this.#all.values()) entry.pending = results[entry.slot.output];
	}

	/** The values just written become the current ones. */
	accept(): void {
		for (const entry of this.#all.values()) {
			if (entry.spare !== undefined) {
				const { spare } = entry;
				entry.spare = { input: entry.current, output: entry.currentAsOutput as OrtTensor };
				entry.current = spare.input;
				entry.currentAsOutput = spare.output;
			} else if (entry.pending !== undefined) {
				entry.current.dispose();
				entry.current = entry.pending;
				entry.pending = undefined;
			}
		}
	}

	/** Forgets the values just written. */
	reject(): void {
		for (const entry of this.#all.values()) {
			entry.pending?.dispose();
			entry.pending = undefined;
		}
	}

	#buffers(slot: Buffers['slot'], data: Float32Array): Buffers {
		const wrap = (values: Float32Array, shape: readonly number[]) => new this.#ort.Tensor('float32', values, shape);
		const current = wrap(data, slot.inputShape);
		if (!this.#preallocated) {
			return { slot, current, currentAsOutput: undefined, spare: undefined, pending: undefined };
		}
		const other = new Float32Array(data.length);
		return {
			slot,
			current,
			currentAsOutput: wrap(data, slot.outputShape),
			spare: { input: wrap(other, slot.inputShape), output: wrap(other, slot.outputShape) },
			pending: undefined,
		};
	}
}

function size({ inputShape }: Pick<Slot, 'inputShape'>): number {
	return elementCount(inputShape);
}
