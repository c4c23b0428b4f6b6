/** @file Whether a device computes in float16, asked by trying. */
import { DeviceError } from '../base/errors.ts';
import { hostTensor } from '../base/host-tensor.ts';
import { cast } from '../graph/ops/cast.ts';
import { matmul } from '../graph/ops/matmul.ts';
import { input } from '../graph/ops/source.ts';
import type { Device } from '../runtime/device.ts';
import { Program } from '../runtime/program.ts';

/** @throws DeviceError where the device has no float16 */
export async function requireHalfPrecision(device: Device): Promise<void> {
	const x = input('x', 'float32', [2, 2]);
	const half = cast(x, 'float16');
	try {
		const program = await Program.compile({ y: cast(matmul(half, half), 'float32') }, { device, cache: false });
		await program.run({ x: hostTensor('float32', [2, 2], [1, 0, 0, 1]) });
	} catch (cause) {
		throw new DeviceError('the device cannot compute in float16', {
			where: 'training.precision',
			expected: 'a device with float16 for "mixed"',
			found: `${device}: ${(cause as Error).message.split('\n')[0]}`,
			fix: 'set training.precision to float32, or update the graphics driver',
			cause,
		});
	}
}
