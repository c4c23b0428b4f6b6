/** @file Random tensors equal the host's numbers bit by bit; dropout keeps the mean and has the right gradient. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hostTensor } from '../../base/host-tensor.ts';
import { deriveSeed, foldSeed as foldSeedOf, RandomStream, uniformAt } from '../../base/random.ts';
import { Program } from '../../runtime/program.ts';
import { gradients } from '../gradients.ts';
import {
	allOps,
	arange,
	argmax,
	dropout,
	gumbel,
	input,
	mean,
	mul,
	randomBernoulli,
	randomNormal,
	randomUniform,
	scan,
	sum,
} from '../index.ts';
import { apply1 } from '../op.ts';
import { dim } from '../shape.ts';
import { isFloat, type Tensor } from '../tensor.ts';

async function values(tensor: Tensor, feeds: Parameters<Program['run']>[0] = {}): Promise<number[]> {
	const { y } = await (await Program.compile({ y: tensor }, { cache: false })).run(feeds);
	return Array.from(y!.data as Float32Array, Number);
}

const SEEDS = [0, 1, -1, 123456789, -(2 ** 31), 2 ** 31 - 1];

test('randomUniform gives the bits of uniformAt, for seeds and counters of any size', async () => {
	const op = allOps().get('randomUniform')!;
	const seed = input('seed', 'int32', []);
	const offsets = [0, 5, 2 ** 24, 2 ** 31 - 2, 2 ** 32 - 3, 2 ** 33 + 1];
	const outputs = Object.fromEntries(
		offsets.map((offset) => [`at${offset}`, apply1(op, [seed], { shape: [2, 4], offset, stride: 1 })]),
	);
	const program = await Program.compile(outputs, { cache: false });
	for (const value of SEEDS) {
		const results = await program.run({ seed: hostTensor('int32', [], [value]) });
		for (const offset of offsets) {
			const expected = Array.from({ length: 8 }, (_, i) => uniformAt(value, offset + i));
			assert.deepEqual(Array.from(results[`at${offset}`]!.data as Float32Array), expected, `${value} ${offset}`);
			assert.deepEqual(expected, expected.map(Math.fround), 'every value is a float32');
		}
	}
});

test('an int64 seed counts by its low 32 bits, and a symbolic shape gives the same numbers', async () => {
	const seed = input('seed', 'int64', []);
	const like = input('like', 'float32', [dim('batch'), 3]);
	const y = mul(randomUniform(seed, like.shape, { stream: 'noise' }), like);
	const ones = hostTensor('float32', [4, 3], new Array<number>(12).fill(1));
	const found = await values(y, { seed: hostTensor('int64', [], [2 ** 40 + 9]), like: ones });
	const own = foldSeedOf(9, deriveSeed(0, 'noise'));
	assert.deepEqual(
		found,
		Array.from({ length: 12 }, (_, i) => uniformAt(own, i)),
	);
});

test('the open interval stays open in float32', () => {
	// The largest and smallest 23-bit values.
	assert.ok(Math.fround((2 ** 23 - 1 + 0.5) * 2 ** -23) < 1);
	assert.ok(Math.fround(0.5 * 2 ** -23) > 0);
});

test('randomNormal follows RandomStream.normal', async () => {
	const seed = input('seed', 'int32', []);
	const found = await values(randomNormal(seed, [6]), { seed: hostTensor('int32', [], [42]) });
	const stream = new RandomStream(42);
	for (const value of found) {
		const expected = stream.normal();
		assert.ok(Math.abs(value - expected) < 1e-5, `${value} instead of ${expected}`);
	}
});

test('moments of normal, gumbel and Bernoulli numbers', async () => {
	const seed = input('seed', 'int32', []);
	const feeds = { seed: hostTensor('int32', [], [7]) };
	const count = 20_000;
	const meanOf = (list: number[]): number => list.reduce((a, b) => a + b, 0) / list.length;
	const normal = await values(randomNormal(seed, [count]), feeds);
	assert.ok(Math.abs(meanOf(normal)) < 0.03);
	assert.ok(Math.abs(meanOf(normal.map((x) => x * x)) - 1) < 0.05);
	const noise = await values(gumbel(seed, [count]), feeds);
	assert.ok(Math.abs(meanOf(noise) - 0.5772) < 0.04);
	const hits = await values(randomBernoulli(seed, 0.3, [count]), feeds);
	assert.ok(Math.abs(meanOf(hits) - 0.3) < 0.015);
	assert.equal(argmax(gumbel(seed, [2, 5])).dtype, 'int64');
});

test('dropout zeroes at its rate, scales survivors by 1 / (1 - rate), and its gradient has the same mask', async () => {
	const [seed, x] = [input('seed', 'int32', []), input('x', 'float32', [100, 50])];
	const y = dropout(x, 0.25, seed, { stream: 'attention' });
	const [dx] = gradients(sum(mul(y, 3)), [x]);
	const program = await Program.compile({ y, dx: dx! }, { cache: false });
	const data = Float32Array.from({ length: 5000 }, (_, i) => 1 + (i % 7));
	const feeds = { x: hostTensor('float32', [100, 50], data), seed: hostTensor('int32', [], [11]) };
	const results = await program.run(feeds);
	const [out, gradient] = [results.y!.data as Float32Array, results.dx!.data as Float32Array];
	let dropped = 0;
	out.forEach((value, i) => {
		if (value === 0) dropped++;
		else assert.ok(Math.abs(value - data[i]! / 0.75) < 1e-5);
		assert.ok(Math.abs(gradient[i]! - (value === 0 ? 0 : 4)) < 1e-5);
	});
	assert.ok(Math.abs(dropped / 5000 - 0.25) < 0.02, `${dropped} of 5000`);
	assert.throws(() => dropout(x, 1, seed), /rate in \[0, 1\)/);
	assert.equal(dropout(x, 0, seed), x);
});

test('foldSeed with the index of a loop gives every layer its own numbers', async () => {
	const seed = input('seed', 'int32', []);
	const { stacked } = scan([], [arange(0, 4)], (_, [layer]) => ({
		carry: [],
		stacked: [randomUniform(seed, [3], { stream: layer! })],
	}));
	const found = await values(stacked[0]!, { seed: hostTensor('int32', [], [5]) });
	const expected = [0, 1, 2, 3].flatMap((layer) => [0, 1, 2].map((i) => uniformAt(foldSeedOf(5, layer), i)));
	assert.deepEqual(found, expected);
});

test('a seed must be an integer scalar', () => {
	const x = input('x', 'float32', [2]);
	assert.ok(isFloat(mean(x).dtype));
	assert.throws(() => randomUniform(x, [2]), /a seed is an integer scalar/);
});
