/** @file Where graphs run: `cpu` (default), `webgpu` (bundled with the engine), `cuda` (opt-in). */
import { DeviceError } from '../base/errors.ts';

export const DEVICES = ['cpu', 'webgpu', 'cuda'] as const;
export type Device = (typeof DEVICES)[number];

/** ONNX Runtime's provider list for a device. @throws DeviceError saying what to install */
export async function executionProviders(device: Device): Promise<(string | { name: string })[]> {
	if (device === 'cpu') return ['cpu'];
	const { listSupportedBackends } = await import('onnxruntime-node').then((module) =>
		'default' in module ? (module.default as typeof module) : module,
	);
	const available = listSupportedBackends?.().map(({ name }) => name) ?? ['cpu'];
	if (!available.includes(device)) {
		throw new DeviceError(`the device "${device}" is not available`, {
			expected: available.join(', '),
			found: device,
			fix:
				device === 'cuda'
					? 'on Linux x64 with CUDA 12 and cuDNN 9, reinstall the engine with its CUDA libraries: npm rebuild onnxruntime-node --onnxruntime-node-install=cuda12'
					: 'use a platform whose onnxruntime-node package bundles WebGPU (Linux x64, macOS arm64, Windows), or --device cpu',
		});
	}
	return [device, 'cpu'];
}
