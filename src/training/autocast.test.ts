/** @file Mixed precision: matrix products in float16 also inside loops, float32 results near the exact ones, loss scaling. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tinyGpt } from '../../test/support/tiny-gpt.ts';
import { ConfigError } from '../base/errors.ts';
import { type HostTensor, hostTensor } from '../base/host-tensor.ts';
import type { ScanAttributes } from '../graph/scan.ts';
import { type GraphNode, type Tensor, topologicalOrder } from '../graph/tensor.ts';
import { Program } from '../runtime/program.ts';
import { autocast } from './autocast.ts';
import { buildLoss, gradientOutputs } from './loss-graph.ts';
import { LossScaler } from './loss-scale.ts';
import { createObjective } from './objective-registry.ts';
import { createOptimizer, optimizerConfig } from './optimizer-registry.ts';
import { planParameter } from './slots.ts';
import { TrainStep } from './train-step.ts';

const shape = { batchSize: 2, time: 4, segmented: false };
const objective = createObjective({ kind: 'causal-lm', labelSmoothing: 0, zLoss: 0 });

function products(outputs: readonly Tensor[]): GraphNode[] {
	return topologicalOrder(outputs).flatMap((node) => {
		if (node.op.name === 'scan') return products((node.attributes as ScanAttributes).body.results);
		return node.op.name === 'matmul' || node.op.name === 'linear' ? [node] : [];
	});
}

for (const mode of ['unroll', 'scan'] as const) {
	test(`loss and gradients in mixed precision are near those in float32 (${mode})`, async () => {
		const model = tinyGpt({ vocabSize: 9, dim: 8, heads: 2, layers: 2, hidden: 16, maxLength: 4, mode });
		const specs = model.parameters.trainable;
		const run = async (precision: 'float32' | 'mixed'): Promise<Record<string, HostTensor>> => {
			const graph = buildLoss({ model, objective, batch: shape, precision }, specs);
			const halves = products([graph.loss, ...graph.gradients]).map((node) => node.outputs[0]?.dtype);
			assert.ok(
				halves.length > 10 && halves.every((dtype) => dtype === (precision === 'mixed' ? 'float16' : 'float32')),
			);
			const gradients = Object.fromEntries(graph.gradients.map((gradient, i) => [specs[i]?.name as string, gradient]));
			const program = await Program.compile({ loss: graph.loss, ...prefixed(gradients) }, { cache: false });
			const values = [...model.parameters.initialize(1)].map(([name, value]) => {
				return [name, { ...value, data: Float32Array.from(value.data as Float32Array, (x) => x * 4) }] as const;
			});
			return program.run({
				...Object.fromEntries(values),
				tokens: hostTensor('int32', [2, 4], [1, 2, 3, 4, 5, 6, 7, 8]),
				labels: hostTensor('int32', [2, 4], [2, 3, 4, 5, 6, 7, 8, 0]),
				labelCount: hostTensor('float32', [], [8]),
				seed: hostTensor('int32', [], [0]),
				'scalar.lossScale': hostTensor('float32', [], [256]),
			});
		};
		const [exact, mixed] = [await run('float32'), await run('mixed')];
		let [difference, size] = [0, 0];
		for (const [name, { data }] of Object.entries(exact)) {
			const scale = name === 'loss' ? 1 : 256;
			(data as Float32Array).forEach((value, i) => {
				difference += (value - Number(mixed[name]?.data[i]) / scale) ** 2;
				size += value ** 2;
			});
		}
		const relative = Math.sqrt(difference / size);
		// Zero is possible: the CPU has no float16 products, and the engine may drop casts around float32 ones.
		assert.ok(relative < 5e-3, `relative difference ${relative}`);
	});
}

function prefixed(tensors: Readonly<Record<string, Tensor>>): Record<string, Tensor> {
	return Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [`gradient.${name}`, tensor]));
}

test('the gradient program of mixed precision compiles and gives the norm of the unscaled gradient', async () => {
	const model = tinyGpt({ vocabSize: 9, dim: 8, heads: 2, layers: 2, hidden: 16, maxLength: 4, mode: 'scan' });
	const optimizer = createOptimizer(optimizerConfig.parse({ kind: 'adamw' }));
	const plans = model.parameters.trainable.map((spec) => planParameter(spec, optimizer.rule(spec), false));
	const norms: number[] = [];
	for (const precision of ['float32', 'mixed'] as const) {
		const outputs = gradientOutputs({ model, objective, batch: shape, precision }, plans);
		const program = await Program.compile({ norm: outputs.gradientNorm as Tensor }, { cache: false });
		const { norm } = await program.run({
			...Object.fromEntries(model.parameters.initialize(1)),
			tokens: hostTensor('int32', [2, 4], [1, 2, 3, 4, 5, 6, 7, 8]),
			labels: hostTensor('int32', [2, 4], [2, 3, 4, 5, 6, 7, 8, 0]),
			labelCount: hostTensor('float32', [], [8]),
			seed: hostTensor('int32', [], [0]),
			'scalar.lossScale': hostTensor('float32', [], [256]),
		});
		norms.push(Number(norm?.data[0]));
	}
	const [exact, mixed] = norms as [number, number];
	assert.ok(Math.abs(mixed / exact - 1) < 1e-2, `${mixed}, not ${exact}`);
});

test('autocast leaves types as they are', () => {
	const model = tinyGpt({ vocabSize: 9, dim: 8, heads: 2, layers: 2, hidden: 16, maxLength: 4, mode: 'scan' });
	const { loss } = buildLoss({ model, objective, batch: shape }, model.parameters.trainable);
	const [mixed] = autocast([loss]);
	assert.deepEqual([mixed?.dtype, mixed?.shape], ['float32', []]);
});

test('the loss scale halves after an overflow and doubles after long calm', () => {
	const scaler = new LossScaler();
	const start = scaler.scale;
	scaler.update(false);
	assert.equal(scaler.scale, start / 2);
	for (let step = 0; step < 2000; step++) scaler.update(true);
	assert.equal(scaler.scale, start);
	const copy = new LossScaler();
	copy.restore(scaler.state());
	assert.deepEqual(copy.state(), scaler.state());
	for (let step = 0; step < 100; step++) scaler.update(false);
	assert.equal(scaler.scale, 1);
});

test('mixed precision on the CPU is refused with what to do', async () => {
	const model = tinyGpt({ vocabSize: 9, dim: 8, heads: 2, layers: 1, hidden: 16, maxLength: 4 });
	const optimizer = createOptimizer(optimizerConfig.parse({ kind: 'adamw' }));
	const options = { model, objective, optimizer, batch: shape, precision: 'mixed' as const };
	await assert.rejects(TrainStep.compile(options, model.parameters.initialize(1)), (error: unknown) => {
		return error instanceof ConfigError && /set training\.precision to float32/.test(error.message);
	});
});
