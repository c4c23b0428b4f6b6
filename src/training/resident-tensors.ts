/**
 * @file Where the tensors of a run live. On the CPU, parameters with an elementwise rule lie in WebAssembly memory and are
 * updated in place; the others have two buffers that change places. On a GPU the engine's outputs stay on the device and
 * are fed back as they are. Nothing is copied in JavaScript.
 */
import type { Tensor as OrtTensor } from 'onnxruntime-node';
import { ShapeError } from '../base/errors.ts';
import { elementCount, type HostTensor, zeros } from '../base/host-tensor.ts';
import { ARENA_LIMIT, Arena, arenaBytes } from '../runtime/elementwise/arena.ts';
import { DeviceTensor } from '../runtime/program.ts';
import { loadOrt, toOrt } from '../runtime/session.ts';
import type { ParameterPlan, Slot } from './slots.ts';

type Ort = Awaited<ReturnType<typeof loadOrt>>;

/** Parameters share a block up to this size. */
const ARENA_BYTES = 2 ** 30;

/** How a tensor changes: by a kernel where it lies, by an engine that writes the other buffer, or on a device. */
export type Residence = 'in-place' | 'double' | 'device';

interface Resident {
	readonly slot: Slot;
	current: OrtTensor;
	/** The buffer that the engine writes next; undefined where it allocates, or where there is one buffer only. */
	spare: OrtTensor | undefined;
	/** The array behind `current` where there is one buffer on the host. */
	readonly host: HostTensor | undefined;
	readonly arena: Arena | undefined;
}

/** Whether a parameter with all its state fits one block of kernel memory. */
export function fitsArena({ slots }: ParameterPlan): boolean {
	return slots.reduce((total, { shape }) => total + arenaBytes(shape), 0) < ARENA_LIMIT - ARENA_BYTES / 1024;
}

export class ResidentTensors {
	readonly #ort: Ort;
	readonly #all = new Map<string, Resident>();

	private constructor(ort: Ort) {
		this.#ort = ort;
	}

	/** Zero tensors for every slot of the plans, kept as `residence` says for each plan. */
	static async allocate(
		plans: readonly ParameterPlan[],
		residence: (plan: ParameterPlan) => Residence,
	): Promise<ResidentTensors> {
		const result = new ResidentTensors(await loadOrt());
		const groups: ParameterPlan[][] = [];
		let groupBytes = Number.POSITIVE_INFINITY;
		for (const plan of plans) {
			const kind = residence(plan);
			if (kind !== 'in-place') {
				for (const slot of plan.slots) result.#add(slot, kind);
				continue;
			}
			const bytes = bytesOf(plan);
			if (groupBytes + bytes > ARENA_BYTES) {
				groups.push([]);
				groupBytes = 0;
			}
			groupBytes += bytes;
			groups.at(-1)?.push(plan);
		}
		for (const group of groups) {
			const arena = new Arena(group.reduce((total, plan) => total + bytesOf(plan), 0));
			for (const { slots } of group) for (const slot of slots) result.#add(slot, 'in-place', arena);
		}
		return result;
	}

	/** Bytes of memory held. */
	get byteLength(): number {
		let total = 0;
		for (const { slot, spare } of this.#all.values()) {
			total += elementCount(slot.shape) * 4 * (spare === undefined ? 1 : 2);
		}
		return total;
	}

	/** Copies a value in. @throws ShapeError where it does not fit */
	set(name: string, value: HostTensor): void {
		const resident = this.#all.get(name);
		if (
			resident === undefined ||
			value.dtype !== 'float32' ||
			value.data.length !== elementCount(resident.slot.shape)
		) {
			throw new ShapeError(`the value of "${name}" does not fit`, {
				expected: resident === undefined ? 'a known name' : `float32[${resident.slot.shape.join(', ')}]`,
				found: `${value.dtype}[${value.dims.join(', ')}]`,
			});
		}
		if (resident.current.location === 'cpu') (resident.current.data as Float32Array).set(value.data as Float32Array);
		else {
			resident.current.dispose();
			const data = Float32Array.from(value.data as Float32Array);
			resident.current = toOrt(this.#ort, { dtype: 'float32', dims: resident.slot.shape, data });
		}
	}

	/** The current value. On the CPU it is the live array, which later steps overwrite: copy what must last. */
	async get(name: string): Promise<HostTensor> {
		const { current, slot } = this.#find(name);
		if (current.location === 'cpu') return { dtype: 'float32', dims: slot.shape, data: current.data as Float32Array };
		return await new DeviceTensor(current, 'webgpu').download();
	}

	/** What the engine reads. */
	feed(name: string): OrtTensor {
		return this.#find(name).current;
	}

	/** Where the engine shall write the next value: a buffer, or null where it allocates one. */
	target(name: string): OrtTensor | null {
		const { spare, current, host } = this.#find(name);
		return spare ?? (host === undefined ? null : current);
	}

	/** Takes over a value the engine wrote for `target(name)`. */
	replace(name: string, written: OrtTensor): void {
		const resident = this.#find(name);
		if (resident.spare !== undefined) [resident.current, resident.spare] = [resident.spare, resident.current];
		else if (resident.host === undefined) {
			if (resident.current !== written) resident.current.dispose();
			resident.current = written;
		}
	}

	/** The arrays of a plan by part, and the block they lie in. */
	inPlace({ slots }: ParameterPlan): { readonly arena: Arena; readonly tensors: Readonly<Record<string, HostTensor>> } {
		const found = slots.map((slot) => [slot.part, this.#find(slot.name)] as const);
		return {
			arena: found[0]?.[1].arena as Arena,
			tensors: Object.fromEntries(found.map(([part, { host }]) => [part, host as HostTensor])),
		};
	}

	#find(name: string): Resident {
		return this.#all.get(name) as Resident;
	}

	#add(slot: Slot, residence: Residence, arena?: Arena): void {
		const make = (): HostTensor => arena?.float32(slot.shape) ?? zeros('float32', slot.shape);
		const host = make();
		this.#all.set(slot.name, {
			slot,
			current: toOrt(this.#ort, host),
			// A gradient is written and read once a step, so it needs no second buffer.
			spare: residence === 'double' && slot.part !== 'gradient' ? toOrt(this.#ort, make()) : undefined,
			host: residence === 'device' ? undefined : host,
			arena,
		});
	}
}

function bytesOf({ slots }: ParameterPlan): number {
	return slots.reduce((total, { shape }) => total + arenaBytes(shape), 0);
}
