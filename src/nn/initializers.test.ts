/** @file Initialisers: spread, bounds, and which weights a scheme scales. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RandomStream } from '../base/random.ts';
import './kinds.ts';
import { initializations } from './initialization.ts';
import {
	constantValue,
	kaimingUniform,
	normal,
	scaled,
	truncatedNormal,
	uniform,
	xavierUniform,
} from './initializers.ts';
import type { Initializer } from './parameters.ts';

function statistics(initializer: Initializer, dims: readonly number[] = [300, 100]) {
	const values = initializer(dims, new RandomStream(3));
	const mean = values.reduce((a, b) => a + b, 0) / values.length;
	const std = Math.sqrt(values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length);
	return { mean, std, largest: values.reduce((a, b) => Math.max(a, Math.abs(b)), 0), count: values.length };
}

const near = (found: number, expected: number, tolerance = 0.02): void =>
	assert.ok(Math.abs(found - expected) <= tolerance * expected, `${found}, expected about ${expected}`);

test('spread and bounds', () => {
	const draws: readonly [Initializer, number, number][] = [
		[normal(0.5), 0.5, Number.POSITIVE_INFINITY],
		[uniform(0.3), 0.3 / Math.sqrt(3), 0.3],
		[xavierUniform(2), (2 * Math.sqrt(6 / 400)) / Math.sqrt(3), 2 * Math.sqrt(6 / 400)],
		[kaimingUniform, 0.1 / Math.sqrt(3), 0.1],
		// Standard deviation of a normal cut at two: 0.8796.
		[truncatedNormal(0.5), 0.5 * 0.8796, 1],
		[scaled(uniform(0.3), 2), 0.6 / Math.sqrt(3), 0.6],
	];
	for (const [initializer, std, bound] of draws) {
		const found = statistics(initializer);
		assert.equal(found.count, 30_000);
		near(found.std, std);
		assert.ok(Math.abs(found.mean) < 0.02 * std + 0.005);
		assert.ok(found.largest <= bound * (1 + 1e-6), `${found.largest} above ${bound}`);
	}
	assert.deepEqual([...constantValue(7)([2, 2], new RandomStream(1))], [7, 7, 7, 7]);
});

test('schemes', () => {
	const context = { dim: 64, layers: 8 };
	const std = (
		config: { kind: string; std?: number; gain?: number; cut?: number },
		use: Parameters<ReturnType<typeof initializations.build>['weight']>[0],
	) => statistics(initializations.build(config, context).weight(use)).std;
	near(std({ kind: 'gpt2', std: 0.02 }, 'query'), 0.02);
	near(std({ kind: 'gpt2', std: 0.02 }, 'attention-output'), 0.02 / 4);
	near(std({ kind: 'gpt2', std: 0.02 }, 'feed-forward-out'), 0.02 / 4);
	near(std({ kind: 'normal', std: 0.1 }, 'attention-output'), 0.1);
	near(std({ kind: 'truncated-normal', std: 0.1, cut: 2 }, 'query'), 0.08796);
	near(std({ kind: 'xavier-uniform', gain: 1 }, 'query'), Math.sqrt(2 / 400));
	near(std({ kind: 'xavier-uniform', gain: 1 }, 'embedding'), 1 / 8);
	near(std({ kind: 'kaiming-uniform' }, 'value'), 0.1 / Math.sqrt(3));
	const { bias } = initializations.build({ kind: 'kaiming-uniform' }, context);
	near(statistics(bias('query', 25), [20_000]).largest, 0.2);
});
