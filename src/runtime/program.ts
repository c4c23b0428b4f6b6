/** @file A compiled graph: lower once, run many times on host tensors. */
import type { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import { InputError, ShapeError } from '../base/errors.ts';
import type { DType, HostTensor } from '../base/host-tensor.ts';
import { input } from '../graph/ops/source.ts';
import { formatShape, SymbolicDim } from '../graph/shape.ts';
import type { Graph, InputAttributes, Tensor } from '../graph/tensor.ts';
import { topologicalOrder } from '../graph/tensor.ts';
import type { Device } from './device.ts';
import { type LowerOptions, lower } from './lower.ts';
import { type ExternalLocation, encodeModel, type OnnxValue, rawBytes } from './onnx.ts';
import { cachedSession, createSession, fromOrt, loadOrt, type SessionOptions, toOrt } from './session.ts';

export interface CompileOptions extends LowerOptions, SessionOptions {
	/** Share sessions of equal graphs within this process (default true). */
	readonly cache?: boolean;
}

/** Initializers above this size are handed to the engine beside the model, not inside it. */
const EXTERNAL_BYTES = 4096;

/** A graph from named outputs; its inputs are found by walking back. */
export function graphOf(outputs: Readonly<Record<string, Tensor>>): Graph {
	const inputs = new Map<string, Tensor>();
	for (const node of topologicalOrder(Object.values(outputs))) {
		if (node.op.name === 'input') inputs.set((node.attributes as InputAttributes).name, node.outputs[0] as Tensor);
	}
	return { inputs, outputs: new Map(Object.entries(outputs)) };
}

/** A lowered model as plain data: it can be sent to another thread. */
export interface EncodedModel {
	readonly model: Uint8Array;
	/** Bytes of large initializers, by the file name used in the model. */
	readonly external: ReadonlyMap<string, Uint8Array>;
	readonly inputs: readonly OnnxValue[];
	readonly outputs: readonly OnnxValue[];
}

/** Model bytes with large initializers beside them, under one name each. */
export function encodeWithExternalData(graph: Graph, options: LowerOptions = {}): EncodedModel {
	const { onnx, inputs, outputs } = lower(graph, options);
	const external = new Map<string, Uint8Array>();
	const initializers = onnx.initializers.map((initializer) => {
		const bytes = rawBytes(initializer.value);
		if (bytes.byteLength < EXTERNAL_BYTES) return initializer;
		external.set(initializer.name, bytes);
		const location: ExternalLocation = { file: initializer.name, offset: 0, length: bytes.byteLength };
		return { ...initializer, external: location };
	});
	return { model: encodeModel({ ...onnx, initializers }), external, inputs, outputs };
}

/** A graph that runs. Running blocks the thread; see runInWorker for long work. */
export class Program {
	readonly inputs: readonly OnnxValue[];
	readonly outputs: readonly OnnxValue[];
	/** Size of the lowered model in bytes, large constants not counted. */
	readonly modelBytes: number;
	readonly session: InferenceSession;
	readonly device: Device;

	private constructor(
		session: InferenceSession,
		device: Device,
		inputs: readonly OnnxValue[],
		outputs: readonly OnnxValue[],
		modelBytes: number,
	) {
		this.session = session;
		this.device = device;
		this.inputs = inputs;
		this.outputs = outputs;
		this.modelBytes = modelBytes;
	}

	/**
	 * Lowers and compiles a graph.
	 * @throws ShapeError when the graph is not consistent, DeviceError when the device is missing
	 */
	static async compile(outputs: Readonly<Record<string, Tensor>>, options: CompileOptions = {}): Promise<Program> {
		return Program.fromEncoded(encodeWithExternalData(graphOf(outputs), options), options);
	}

	/** Creates the session of a lowered model, in any thread. @throws DeviceError when the device is missing */
	static async fromEncoded(encoded: EncodedModel, options: CompileOptions = {}): Promise<Program> {
		const { model, external, inputs, outputs } = encoded;
		const settings = external.size === 0 ? options : { ...options, externalData: external };
		const create = options.cache === false || options.profilePrefix !== undefined ? createSession : cachedSession;
		const session = await create(model, settings);
		return new Program(session, options.device ?? 'cpu', inputs, outputs, model.byteLength);
	}

	/**
	 * Runs the graph. Inputs the graph does not need are ignored. Where `into` has a tensor for an output, the result
	 * is written there. With `wanted`, only those outputs are handed over.
	 * @throws InputError when an input is missing, ShapeError when one does not fit
	 */
	async run(
		feeds: Readonly<Record<string, HostTensor>>,
		into: Readonly<Record<string, HostTensor>> = {},
		wanted?: readonly string[],
	): Promise<Record<string, HostTensor>> {
		const ort = await loadOrt();
		const prepared = await this.prepare(feeds);
		const fetches: Record<string, OrtTensor | null> = {};
		const names = wanted ?? this.outputs.map(({ name }) => name);
		for (const name of names) fetches[name] = into[name] === undefined ? null : toOrt(ort, into[name]);
		const results = await this.session.run(prepared, fetches as InferenceSession.FetchesType);
		const outputs: Record<string, HostTensor> = {};
		for (const name of names) outputs[name] = into[name] ?? fromOrt(results[name] as OrtTensor);
		return outputs;
	}

	/**
	 * Like run, but outputs named in `keepOnDevice` at compile time stay where they were computed, and inputs may be
	 * such tensors from an earlier run. Dispose what is no longer needed.
	 */
	async runOnDevice(feeds: Readonly<Record<string, HostTensor | DeviceTensor>>): Promise<Record<string, DeviceTensor>> {
		const results = await this.session.run(await this.prepare(feeds));
		return Object.fromEntries(
			this.outputs.map(({ name }) => [name, new DeviceTensor(results[name] as OrtTensor, this.device)]),
		);
	}

	private async prepare(
		feeds: Readonly<Record<string, HostTensor | DeviceTensor>>,
	): Promise<Record<string, OrtTensor>> {
		const ort = await loadOrt();
		const prepared: Record<string, OrtTensor> = {};
		for (const input of this.inputs) {
			const value = feeds[input.name];
			if (value === undefined)
				throw new InputError(`the graph input "${input.name}" was not given`, {
					expected: `${input.dtype}${formatShape(input.shape)}`,
				});
			checkFeed(input, value);
			prepared[input.name] = value instanceof DeviceTensor ? value.handle : toOrt(ort, value);
		}
		checkSizes(this.inputs, feeds);
		return prepared;
	}
}

/** A tensor in the memory of a device. On the CPU it is host memory. */
export class DeviceTensor {
	readonly handle: OrtTensor;
	readonly device: Device;

	constructor(handle: OrtTensor, device: Device) {
		this.handle = handle;
		this.device = device;
	}

	get dtype(): DType {
		return this.handle.type as DType;
	}

	get dims(): readonly number[] {
		return this.handle.dims;
	}

	/**
	 * Copies the values to the host. Done by a small program, since the engine's Node binding cannot read a device
	 * buffer back on its own.
	 */
	async download(): Promise<HostTensor> {
		if (this.handle.location === 'cpu') return fromOrt(this.handle);
		const value = input('value', this.dtype, this.dims);
		const program = await Program.compile({ copy: value }, { device: this.device });
		const { copy } = await program.runOnDevice({ value: this });
		return fromOrt((copy as DeviceTensor).handle);
	}

	/** Frees the device memory; the tensor must not be used afterwards. */
	dispose(): void {
		this.handle.dispose();
	}
}

/** A named size is one number: all inputs must agree on it, or broadcasting would hide the mistake. */
function checkSizes(inputs: readonly OnnxValue[], feeds: Readonly<Record<string, HostTensor | DeviceTensor>>): void {
	const sizes = new Map<string, { readonly size: number; readonly input: string }>();
	for (const { name, shape } of inputs) {
		shape.forEach((dim, axis) => {
			if (!(dim instanceof SymbolicDim)) return;
			const size = feeds[name]?.dims[axis] as number;
			const known = sizes.get(dim.key);
			if (known !== undefined && known.size !== size) {
				throw new ShapeError(`the size "${dim}" is ${size} in input "${name}"`, {
					expected: `${known.size}, as in input "${known.input}"`,
					found: `${size}`,
				});
			}
			sizes.set(dim.key, { size, input: name });
		});
	}
}

function checkFeed({ name, dtype, shape }: OnnxValue, value: HostTensor | DeviceTensor): void {
	const fits =
		value.dtype === dtype &&
		value.dims.length === shape.length &&
		shape.every((size, axis) => typeof size !== 'number' || size === value.dims[axis]);
	if (!fits) {
		throw new ShapeError(`the value of input "${name}" does not fit`, {
			expected: `${dtype}${formatShape(shape)}`,
			found: `${value.dtype}[${value.dims.join(', ')}]`,
		});
	}
}
