/** @file The first non-finite tensor is named: a parameter, an op in or outside a loop, forward or backward. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tinyGpt } from '../../test/support/tiny-gpt.ts';
import type { HostTensor } from '../base/host-tensor.ts';
import { customGradient } from '../graph/alias.ts';
import { div, mul } from '../graph/ops/arithmetic.ts';
import type { Tensor } from '../graph/tensor.ts';
import type { Batch } from './batch.ts';
import { findNonFinite } from './numerics.ts';
import type { Objective } from './objective.ts';
import { createObjective } from './objective-registry.ts';

const shape = { batchSize: 2, time: 4, segmented: false };
const batch: Batch = {
	dims: [2, 4],
	tokens: Int32Array.of(1, 2, 3, 4, 5, 6, 0, 1),
	labels: Int32Array.of(2, 3, 4, 5, 6, 0, 1, 2),
	targetCount: 8,
};
const objective = createObjective({ kind: 'causal-lm', labelSmoothing: 0, zLoss: 0 });

async function find(
	mode: 'scan' | 'unroll',
	spoil: (values: Map<string, HostTensor>) => void,
	changed: Objective = objective,
): Promise<string | undefined> {
	const model = tinyGpt({ vocabSize: 8, dim: 4, heads: 2, layers: 3, hidden: 8, maxLength: 4, mode });
	const values = model.parameters.initialize(1);
	spoil(values);
	return findNonFinite({ model, objective: changed, batch: shape }, values, [batch], 0);
}

const set = (values: Map<string, HostTensor>, name: string, at: number, value: number): void => {
	(values.get(name)?.data as Float32Array)[at] = value;
};

test('nothing is found where all is well', async () => {
	assert.equal(await find('unroll', () => {}), undefined);
	assert.equal(await find('scan', () => {}), undefined);
});

test('a parameter that is not finite', async () => {
	const found = await find('unroll', (values) => set(values, 'layers.1.ffn.fc1.bias', 2, Number.NaN));
	assert.equal(found, 'the parameter layers.1.ffn.fc1.bias');
});

test('an overflow in one layer, unrolled and in a loop', async () => {
	const huge = 3e38;
	const unrolled = await find('unroll', (values) => {
		values.get('layers.1.ffn.fc2.weight')?.data.fill(huge as never);
		values.get('layers.1.ffn.fc1.bias')?.data.fill(5 as never);
	});
	assert.equal(unrolled, 'the result of linear with layers.1.ffn.fc2.weight');
	const looped = await find('scan', (values) => {
		const weight = values.get('layers.*.ffn.fc2.weight')?.data as Float32Array;
		weight.fill(huge, weight.length / 3, (2 * weight.length) / 3);
		const bias = values.get('layers.*.ffn.fc1.bias')?.data as Float32Array;
		bias.fill(5, bias.length / 3, (2 * bias.length) / 3);
	});
	assert.equal(looped, 'the result of linear with layers.1.ffn.fc2.weight in layer 1');
});

test('a gradient that is not finite although the loss is', async () => {
	const broken: Objective = {
		loss: (model, inputs, context) => {
			const result = objective.loss(model, inputs, context);
			const backward = (_: unknown, __: unknown, [dy]: readonly (Tensor | undefined)[]) => [
				dy && div(mul(dy, 1e30), mul(result.lossSum, 1e-30)),
			];
			const [lossSum] = customGradient([result.lossSum], (x) => [mul(x, 1)], backward as never);
			return { ...result, lossSum: lossSum as Tensor };
		},
	};
	const found = await find('unroll', () => {}, broken);
	assert.match(found ?? '', /^the result of (mul|div).*, in the backward pass$/);
});
