/** @file WebGPU: every op on SwiftShader (a software Vulkan driver), tensors that stay on the device, a clear error without one. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
/** Where Debian's chromium package puts the driver. */
const driver = process.env.MODELSMITH_SWIFTSHADER ?? '/usr/lib/chromium/vk_swiftshader_icd.json';
const skip = existsSync(driver) ? false : `no software Vulkan driver at ${driver} (Debian: apt-get install chromium)`;
const environment = {
	...process.env,
	VK_ICD_FILENAMES: driver,
	LD_LIBRARY_PATH: dirname(driver),
	NODE_TEST_CONTEXT: undefined,
};

test('every op on WebGPU', { skip }, () => {
	const { status, stdout } = spawnSync(process.execPath, ['--test', join(root, 'src/runtime/ops.test.ts')], {
		env: { ...environment, MODELSMITH_TEST_DEVICE: 'webgpu' },
		encoding: 'utf8',
	});
	assert.equal(status, 0, stdout);
});

const script = (device: string): string => `
import { Program } from ${JSON.stringify(join(root, 'src/runtime/program.ts'))};
import * as g from ${JSON.stringify(join(root, 'src/graph/index.ts'))};
import { hostTensor } from ${JSON.stringify(join(root, 'src/base/host-tensor.ts'))};
const x = g.input('x', 'float32', [2]);
try {
	const program = await Program.compile({ y: g.add(x, 1) }, { device: ${JSON.stringify(device)}, keepOnDevice: ['y'] });
	let { y } = await program.runOnDevice({ x: hostTensor('float32', [2], [1, 2]) });
	const place = y.handle.location;
	for (let i = 0; i < 3; i++) ({ y } = await program.runOnDevice({ x: y }));
	console.log(JSON.stringify({ place, values: [...(await y.download()).data] }));
} catch (error) { console.log(JSON.stringify({ code: error.code, message: error.message })); }
process.exit(0);`;

function runScript(device: string, env: NodeJS.ProcessEnv): Record<string, unknown> {
	const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script(device)], {
		env,
		encoding: 'utf8',
	});
	assert.ok(stdout.startsWith('{'), stderr);
	return JSON.parse(stdout);
}

test('tensors stay on the device between steps', { skip }, () => {
	assert.deepEqual(runScript('webgpu', environment), { place: 'gpu-buffer', values: [5, 6] });
});

for (const [mode, accumulation] of [
	['unroll', 1],
	['scan', 2],
] as const) {
	test(`training on WebGPU gives the numbers of the CPU (${mode}, ${accumulation} micro-batches)`, { skip }, () => {
		const file = join(root, 'test/support/webgpu-training.ts');
		const { stdout, stderr } = spawnSync(process.execPath, [file, mode, String(accumulation)], {
			env: environment,
			encoding: 'utf8',
		});
		assert.ok(stdout.startsWith('{'), stderr);
		const { losses, lossDifference, parameterDifference } = JSON.parse(stdout);
		assert.equal(losses.length, 4);
		assert.ok(losses.every(Number.isFinite));
		assert.ok(lossDifference < 1e-4, `losses differ by ${lossDifference}`);
		assert.ok(parameterDifference < 1e-3, `parameters differ by ${parameterDifference}`);
	});
}

test('a device that is not there is a clear error', () => {
	const without = { ...process.env, VK_ICD_FILENAMES: '/nonexistent', VK_DRIVER_FILES: '/nonexistent' };
	const cuda = runScript('cuda', without);
	if (cuda.code !== undefined) {
		assert.equal(cuda.code, 'device_unavailable');
		assert.match(String(cuda.message), /"cuda" is not available[\s\S]*to fix:.*CUDA 12/);
	}
	if (process.platform !== 'linux') return;
	const webgpu = runScript('webgpu', without);
	assert.equal(webgpu.code, 'device_unavailable');
	assert.match(String(webgpu.message), /"webgpu" is not available[\s\S]*to fix:.*Vulkan/);
});
