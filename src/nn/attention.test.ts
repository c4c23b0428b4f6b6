/** @file Attention: against a plain computation, grouped heads, masked rows. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hostTensor } from '../base/host-tensor.ts';
import { RandomStream } from '../base/random.ts';
import { evaluate } from '../graph/evaluate.ts';
import { repeat, reshape, transpose } from '../graph/ops/movement.ts';
import { constant, input } from '../graph/ops/source.ts';
import type { Tensor } from '../graph/tensor.ts';
import { Program } from '../runtime/program.ts';
import { attend, mergeHeads, splitHeads } from './attention.ts';
import { selfAttentionMask } from './masks.ts';
import { Pass } from './pass.ts';

function random(dims: readonly number[], seed: number): Tensor {
	const stream = new RandomStream(seed);
	return constant(
		hostTensor(
			'float32',
			dims,
			Array.from({ length: dims.reduce((a, b) => a * b, 1) }, () => stream.normal()),
		),
	);
}

const values = (tensor: Tensor): number[] => Array.from(evaluate([tensor], new Map())[0]?.data ?? []);

function close(a: readonly number[], b: readonly number[], tolerance = 1e-6): void {
	assert.equal(a.length, b.length);
	a.forEach((value, i) => {
		assert.ok(Math.abs(value - (b[i] as number)) <= tolerance, `element ${i}: ${value} and ${b[i]}`);
	});
}

test('softmax(q k^T / sqrt(d) + bias) v, written out', () => {
	const [heads, queries, keys, headDim] = [2, 3, 4, 5];
	const [q, k, v, bias] = [
		random([1, heads, queries, headDim], 1),
		random([1, heads, keys, headDim], 2),
		random([1, heads, keys, headDim], 3),
		random([1, heads, queries, keys], 4),
	];
	const [a, b, c, d] = [values(q), values(k), values(v), values(bias)];
	const expected: number[] = [];
	for (let h = 0; h < heads; h++) {
		for (let i = 0; i < queries; i++) {
			const scores = Array.from({ length: keys }, (_, j) => {
				let dot = 0;
				for (let e = 0; e < headDim; e++) {
					dot += (a[(h * queries + i) * headDim + e] as number) * (b[(h * keys + j) * headDim + e] as number);
				}
				return Math.exp(dot / Math.sqrt(headDim) + (d[(h * queries + i) * keys + j] as number));
			});
			const total = scores.reduce((x, y) => x + y, 0);
			for (let e = 0; e < headDim; e++) {
				expected.push(
					scores.reduce((sum, score, j) => sum + (score / total) * (c[(h * keys + j) * headDim + e] as number), 0),
				);
			}
		}
	}
	close(values(attend(q, k, v, { bias: [undefined, bias] }).output), expected);
});

test('grouped queries equal repeated key and value heads', () => {
	const [q, k, v] = [random([2, 6, 3, 4], 1), random([2, 2, 5, 4], 2), random([2, 2, 5, 4], 3)];
	const spread = (x: Tensor): Tensor => reshape(repeat(reshape(x, [2, 2, 1, 5, 4]), 2, 3), [2, 6, 5, 4]);
	const [grouped, full] = [attend(q, k, v), attend(q, spread(k), spread(v))];
	close(values(grouped.output), values(full.output));
	close(values(grouped.weights), values(full.weights));
	assert.throws(() => attend(q, random([2, 4, 5, 4], 1), v), /multiple of 4/);
});

test('heads are split and merged in order', () => {
	const x = random([2, 3, 8], 1);
	close(values(mergeHeads(splitHeads(x, 4))), values(x), 0);
	close(values(splitHeads(x, 4)), values(transpose(reshape(x, [2, 3, 4, 2]), [0, 2, 1, 3])), 0);
});

test('a row in which all keys are masked is finite, others give masked keys exactly 0', async () => {
	const keyMask = input('mask', 'bool', [2, 4]);
	const mask = selfAttentionMask(new Pass({ batch: 2, time: 4, keyMask }), true);
	const { output, weights } = attend(random([2, 1, 4, 4], 1), random([2, 1, 4, 4], 2), random([2, 1, 4, 4], 3), {
		bias: [mask],
	});
	const program = await Program.compile({ output, weights });
	const results = await program.run({ mask: hostTensor('bool', [2, 4], [0, 0, 1, 1, 1, 1, 1, 1]) });
	assert.ok(Array.from(results.output?.data ?? [], Number).every(Number.isFinite));
	const row = (text: number, query: number): number[] =>
		Array.from(results.weights?.data.subarray((text * 4 + query) * 4, (text * 4 + query + 1) * 4) ?? [], Number);
	assert.deepEqual(row(0, 2), [0, 0, 1, 0]);
	assert.deepEqual(row(1, 1).slice(2), [0, 0]);
	assert.ok(
		row(1, 1)
			.slice(0, 2)
			.every((weight) => weight > 0),
	);
});
