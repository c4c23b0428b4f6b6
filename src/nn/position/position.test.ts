/** @file Positions: buckets of the relative bias, rotations that only feel distance, sines. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { hostTensor } from '../../base/host-tensor.ts';
import { RandomStream } from '../../base/random.ts';
import { evaluate } from '../../graph/evaluate.ts';
import { constant } from '../../graph/ops/source.ts';
import type { Tensor } from '../../graph/tensor.ts';
import '../kinds.ts';
import { zeros } from '../initializers.ts';
import { ParameterScope, ParameterTree } from '../parameters.ts';
import type { PartConfig } from '../part.ts';
import { Pass } from '../pass.ts';
import { type Position, positions } from './position.ts';
import { relativeBucket, relativeBuckets } from './relative-bias.ts';
import { rotaryFrequencies } from './rotary.ts';

const values = (tensor: Tensor): number[] => Array.from(evaluate([tensor], new Map())[0]?.data ?? []);

function build(config: PartConfig, dim = 8): Position {
	const init = { weight: () => zeros, bias: () => zeros };
	const context = { dim, heads: 2, maxLength: 16, side: 'decoder', crossAttention: false, init } as const;
	return positions.build(config, ParameterScope.of(new ParameterTree()), context);
}

test('buckets: exact when near, logarithmic further out, one bucket at the end', () => {
	const both = { buckets: 32, maxDistance: 128, bidirectional: true };
	const past = { buckets: 32, maxDistance: 128, bidirectional: false };
	for (let distance = 0; distance < 8; distance++) {
		assert.equal(relativeBucket(-distance, both), distance);
		if (distance > 0) assert.equal(relativeBucket(distance, both), 16 + distance);
	}
	for (let distance = 0; distance < 16; distance++) assert.equal(relativeBucket(-distance, past), distance);
	assert.equal(relativeBucket(5, past), 0);
	// 8 * log(d / 8) / log(16) steps past the exact ones, cut.
	assert.deepEqual(
		[8, 11, 12, 16, 23, 32, 64, 91, 127, 128, 10_000].map((distance) => relativeBucket(-distance, both)),
		[8, 8, 9, 10, 11, 12, 14, 15, 15, 15, 15],
	);
});

test('buckets grow with distance and stay in range', () => {
	fc.assert(
		fc.property(
			fc.integer({ min: 2, max: 40 }),
			fc.integer({ min: 0, max: 300 }),
			fc.integer({ min: 0, max: 1000 }),
			fc.boolean(),
			(half, further, distance, bidirectional) => {
				const options = { buckets: 2 * half, maxDistance: half + 1 + further, bidirectional };
				const [near, far] = [relativeBucket(-distance, options), relativeBucket(-distance - 1, options)];
				assert.ok(near >= 0 && near <= far && far < (bidirectional ? half : 2 * half));
				if (bidirectional && distance > 0) assert.equal(relativeBucket(distance, options), near + half);
			},
		),
	);
});

test('the table in the graph gives the bucket of key minus query', () => {
	const options = { buckets: 8, maxDistance: 10, bidirectional: true };
	const found = values(relativeBuckets(3, 30, 14, options));
	for (let query = 0; query < 3; query++) {
		for (let key = 0; key < 30; key++) {
			assert.equal(found[query * 30 + key], relativeBucket(key - (14 + query), options));
		}
	}
});

test('rotary scores depend on the distance alone', () => {
	for (const variant of ['half', 'interleaved']) {
		const { rotary } = build({ kind: 'rope', theta: 10000, variant, frequencies: 'standard' });
		assert.ok(rotary !== undefined);
		const stream = new RandomStream(1);
		const vector = (): Tensor =>
			constant(
				hostTensor(
					'float32',
					[1, 1, 1, 8],
					Array.from({ length: 8 }, () => stream.normal()),
				),
			);
		const [q, k] = [vector(), vector()];
		const score = (query: number, key: number): number => {
			const at = (past: number) => new Pass({ batch: 1, time: 1, past });
			const [a, b] = [values(rotary.query(q, at(query))), values(rotary.key(k, at(key)))];
			return a.reduce((total, value, i) => total + value * (b[i] as number), 0);
		};
		assert.ok(Math.abs(score(5, 2) - score(43, 40)) < 1e-5);
		assert.ok(Math.abs(score(5, 2) - score(5, 3)) > 1e-3);
		assert.ok(
			Math.abs(score(0, 0) - values(q).reduce((total, value, i) => total + value * (values(k)[i] as number), 0)) < 1e-6,
		);
	}
});

test('frequencies', () => {
	assert.deepEqual(rotaryFrequencies(4, 100, 'standard'), [1, 0.1]);
	const [first, middle, last] = rotaryFrequencies(6, 100, 'linspace') as [number, number, number];
	assert.ok(first === 1 && Math.abs(middle - 0.1) < 1e-12 && Math.abs(last - 0.01) < 1e-12);
	assert.throws(() => rotaryFrequencies(5, 100, 'standard'), /even/);
});

test('sinusoidal positions', () => {
	const { embed } = build({ kind: 'sinusoidal', theta: 10000 }, 4);
	const found = values((embed as NonNullable<Position['embed']>)(new Pass({ batch: 1, time: 3 })));
	const expected = [0, 1, 2].flatMap((p) => [Math.sin(p), Math.cos(p), Math.sin(p / 100), Math.cos(p / 100)]);
	found.forEach((value, i) => {
		assert.ok(Math.abs(value - (expected[i] as number)) < 1e-6);
	});
});
