/** @file Where graphs run: `cpu` (default), `webgpu` (bundled with the engine), `cuda` (opt-in). */
import { DeviceError } from '../base/errors.ts';

export const DEVICES = ['cpu', 'webgpu', 'cuda'] as const;
export type Device = (typeof DEVICES)[number];

const INSTALL: Readonly<Record<Exclude<Device, 'cpu'>, string>> = {
	webgpu:
		'install a graphics driver with Vulkan (Linux), or use macOS on Apple silicon or Windows with Direct3D 12; or run with --device cpu',
	cuda: 'on Linux x64 with CUDA 12 and cuDNN 9, fetch the CUDA libraries of the engine: npm rebuild onnxruntime-node --onnxruntime-node-install=cuda12; or run with --device cpu',
};

/** ONNX Runtime's provider list for a device. @throws DeviceError saying what to install */
export async function executionProviders(device: Device): Promise<string[]> {
	if (device === 'cpu') return ['cpu'];
	const { listSupportedBackends } = await import('onnxruntime-node').then((module) =>
		'default' in module ? (module.default as typeof module) : module,
	);
	const known = listSupportedBackends().map(({ name }) => name as string);
	if (!known.includes(device)) throw missingDevice(device, `this build of the engine has ${known.join(', ')}`);
	return [device, 'cpu'];
}

/** The error for a device that this machine or installation does not have. */
export function missingDevice(device: Exclude<Device, 'cpu'>, found: string, cause?: unknown): DeviceError {
	return new DeviceError(`the device "${device}" is not available`, { found, fix: INSTALL[device], cause });
}
