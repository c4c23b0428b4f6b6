/** @file Host memory that both the engine and elementwise kernels can use: float32 arrays in one WebAssembly memory. */
import { DeviceError } from '../../base/errors.ts';
import { elementCount, type HostTensor } from '../../base/host-tensor.ts';
import type { ElementwiseKernel } from './kernel.ts';

const PAGE = 65536;
/** Arrays start on cache lines. */
const ALIGNMENT = 64;
/** Size of a 32-bit WebAssembly memory. */
export const ARENA_LIMIT = 65536 * PAGE;

/** Bytes a float32 array takes in an arena. */
export function arenaBytes(dims: readonly number[]): number {
	return Math.ceil((elementCount(dims) * 4) / ALIGNMENT) * ALIGNMENT;
}

type Run = (...args: number[]) => void;

/** A fixed block of memory handed out piece by piece; freed as a whole. */
export class Arena {
	readonly memory: WebAssembly.Memory;
	private next = ALIGNMENT;
	private readonly instances = new Map<ElementwiseKernel, Run>();

	/** @throws DeviceError when the block is larger than 4 GiB or cannot be had */
	constructor(bytes: number) {
		const pages = Math.ceil((bytes + ALIGNMENT) / PAGE);
		if (pages * PAGE > ARENA_LIMIT)
			throw new DeviceError(`${(bytes / 2 ** 30).toFixed(1)} GiB do not fit in one WebAssembly memory`, {
				expected: 'at most 4 GiB',
			});
		try {
			this.memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
		} catch (cause) {
			throw new DeviceError(`no memory for ${(bytes / 2 ** 20).toFixed(0)} MiB of parameters`, {
				cause,
				fix: 'use a smaller model or free memory',
			});
		}
	}

	/** A zeroed float32 tensor in this block. */
	float32(dims: readonly number[]): HostTensor {
		const offset = this.next;
		this.next += arenaBytes(dims);
		if (this.next > this.memory.buffer.byteLength) throw new DeviceError('the arena is full');
		return {
			dtype: 'float32',
			dims: [...dims],
			data: new Float32Array(this.memory.buffer, offset, elementCount(dims)),
		};
	}

	/** Runs a kernel over tensors of this block: `tensors` has every array and output by name. */
	run(kernel: ElementwiseKernel, tensors: Readonly<Record<string, HostTensor>>, scalars: readonly number[]): void {
		let run = this.instances.get(kernel);
		if (run === undefined) {
			run = new WebAssembly.Instance(kernel.module, { env: { memory: this.memory } }).exports.run as Run;
			this.instances.set(kernel, run);
		}
		const addresses = [...kernel.arrays, ...kernel.outputs].map((name) => this.addressOf(tensors[name]));
		const bytes = Math.ceil(elementCount(tensors[kernel.arrays[0] as string]?.dims ?? []) / 4) * 16;
		run(...addresses, bytes, ...scalars);
	}

	private addressOf(tensor: HostTensor | undefined): number {
		if (tensor === undefined || tensor.data.buffer !== this.memory.buffer)
			throw new DeviceError('a kernel array is missing or lies outside the arena');
		return tensor.data.byteOffset;
	}
}
