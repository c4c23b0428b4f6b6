/** @file Sessions of ONNX Runtime: creation on a device, a cache by content, and running with preallocated outputs. */
import { createHash } from 'node:crypto';
import type { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import { DeviceError, ModelsmithError } from '../base/errors.ts';
import type { DType, HostTensor, TypedData } from '../base/host-tensor.ts';
import { type Device, executionProviders, missingDevice } from './device.ts';

type Ort = typeof import('onnxruntime-node');
let loading: Promise<Ort> | undefined;

/** Loads the engine on first use. */
export function loadOrt(): Promise<Ort> {
	loading ??= import('onnxruntime-node').then(
		(module) => {
			const ort = ('default' in module ? module.default : module) as Ort;
			ort.env.logLevel = 'error';
			takeHalvesAsBits(ort);
			return ort;
		},
		(cause: unknown) => {
			loading = undefined;
			throw new DeviceError('ONNX Runtime could not be loaded', {
				expected: 'the package onnxruntime-node with a binary for this platform',
				found: String((cause as Error).message).split('\n')[0] as string,
				fix: 'npm install onnxruntime-node; on Windows install the Microsoft Visual C++ redistributable',
				cause,
			});
		},
	);
	return loading;
}

/**
 * Where the JavaScript engine has Float16Array, onnxruntime-common turns half-precision data into one, which the native
 * binding of 1.30 cannot read. It looks for the class once, at the first tensor: made here, while the class is hidden.
 */
function takeHalvesAsBits(ort: Ort): void {
	const scope = globalThis as { Float16Array?: unknown };
	const hidden = scope.Float16Array;
	if (hidden === undefined) return;
	scope.Float16Array = undefined;
	try {
		new ort.Tensor('float32', new Float32Array(1), [1]);
	} finally {
		scope.Float16Array = hidden;
	}
}

export interface SessionOptions {
	readonly device?: Device;
	/** Threads for one op; default: as many as cores. */
	readonly threads?: number;
	/** Write ONNX Runtime's event trace to files with this prefix. */
	readonly profilePrefix?: string;
	/** Engine optimisations; `all` unless a test wants the plain graph. */
	readonly optimization?: 'all' | 'none';
	/** Bytes of initializers stored outside the model, by the file name used in it. */
	readonly externalData?: ReadonlyMap<string, Uint8Array>;
	/** Names of outputs that stay on the device (ignored on the CPU, whose memory is the host's). */
	readonly keepOnDevice?: readonly string[];
}

/** Creates a session from model bytes or a path. */
export async function createSession(
	model: Uint8Array | string,
	options: SessionOptions = {},
): Promise<InferenceSession> {
	const ort = await loadOrt();
	const device = options.device ?? 'cpu';
	const settings: InferenceSession.SessionOptions = {
		executionProviders: await executionProviders(device),
		graphOptimizationLevel: options.optimization === 'none' ? 'disabled' : 'all',
		logSeverityLevel: 3,
		...(options.threads !== undefined && { intraOpNumThreads: options.threads }),
		interOpNumThreads: 1,
		...(options.profilePrefix !== undefined && { enableProfiling: true, profileFilePrefix: options.profilePrefix }),
		...(options.externalData !== undefined && {
			externalData: [...options.externalData].map(([path, data]) => ({ path, data })),
		}),
		...(options.keepOnDevice !== undefined &&
			device === 'webgpu' && {
				preferredOutputLocation: Object.fromEntries(options.keepOnDevice.map((name) => [name, 'gpu-buffer' as const])),
			}),
	};
	try {
		return await (typeof model === 'string'
			? ort.InferenceSession.create(model, settings)
			: ort.InferenceSession.create(model, settings));
	} catch (cause) {
		const found = String((cause as Error).message)
			.replaceAll('\n', ' ')
			.trim();
		const lacking =
			/adapter|Vulkan|libonnxruntime_providers|provider.*not (available|found|supported)|cuda.*(driver|library|failed)/i;
		if (device !== 'cpu' && lacking.test(found)) throw missingDevice(device, found, cause);
		throw new ModelsmithError('ONNX Runtime refused the graph', { found, cause });
	}
}

const cache = new Map<string, Promise<InferenceSession>>();
const CACHED_SESSIONS = 32;

/** Like createSession, but equal models with equal options share one session. The oldest of 32 is forgotten. */
export function cachedSession(model: Uint8Array, options: SessionOptions = {}): Promise<InferenceSession> {
	const hash = createHash('sha256').update(model);
	for (const [path, data] of options.externalData ?? []) hash.update(path).update(data);
	const key = `${hash.digest('hex')}|${options.device ?? 'cpu'}|${options.threads ?? ''}|${options.optimization ?? ''}|${options.keepOnDevice?.join() ?? ''}`;
	const known = cache.get(key);
	if (known !== undefined) return known;
	const created = createSession(model, options);
	cache.set(key, created);
	created.catch(() => cache.delete(key));
	if (cache.size > CACHED_SESSIONS) cache.delete(cache.keys().next().value as string);
	return created;
}

/** Wraps a host tensor for the engine without copying it. */
export function toOrt(ort: Ort, { dtype, dims, data }: HostTensor): OrtTensor {
	return new ort.Tensor(dtype as 'float32', data as Float32Array, dims);
}

/** The host tensor behind an engine tensor, without copying it. */
export function fromOrt(tensor: OrtTensor): HostTensor {
	return { dtype: tensor.type as DType, dims: tensor.dims, data: tensor.data as unknown as TypedData };
}
