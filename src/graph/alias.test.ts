/** @file Values with another gradient: stopped, straight through, given by hand. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertClose, randomArray, runOnEngine } from '../../test/support/graphs.ts';
import { evaluate } from './evaluate.ts';
import {
	add,
	barrier,
	checkpoint,
	customGradient,
	gradients,
	input,
	mul,
	round,
	scan,
	stopGradient,
	straightThrough,
	sum,
	sumSquare,
	type Tensor,
} from './index.ts';

const x = input('x', 'float32', [2, 3]);
const y = input('y', 'float32', [2, 3]);
const feeds = new Map([
	[x, randomArray([2, 3], 1, 3)],
	[y, randomArray([2, 3], 2, 3)],
]);
const [xs, ys] = [feeds.get(x)!.data, feeds.get(y)!.data];

async function assertValues(tensors: readonly Tensor[], expected: readonly ArrayLike<number>[]): Promise<void> {
	evaluate(tensors, feeds).forEach((value, i) => void assertClose(value.data, expected[i]!, 1e-9, `value ${i}`));
	(await runOnEngine(tensors, feeds)).forEach((value, i) => {
		assertClose(value.data as Float32Array, expected[i]!, 1e-5, `engine ${i}`);
	});
}

test('stopGradient keeps the value and blocks the gradient', async () => {
	const loss = sum(mul(x, stopGradient(mul(x, y))));
	// d(x * const) / dx = const, and nothing through y.
	const product = xs.map((value, i) => value * ys[i]!);
	await assertValues(gradients(loss, [x, y]), [product, new Float64Array(6)]);
	await assertValues([stopGradient(x)], [xs]);
});

test('straightThrough takes the value of one tensor and the gradient of another', async () => {
	const through = straightThrough(round(x), mul(x, y));
	const rounded = evaluate([round(x)], feeds)[0]!.data;
	const twice = rounded.map((value) => 2 * value);
	await assertValues(
		[through, ...gradients(sumSquare(through), [x, y])],
		[rounded, twice.map((value, i) => value * ys[i]!), twice.map((value, i) => value * xs[i]!)],
	);
	assert.throws(() => straightThrough(sum(x), x), /value and gradient path differ/);
});

test('customGradient: the gradient given by hand, from inputs, outputs and their gradients', async () => {
	const cube = (a: Tensor, b: Tensor): readonly Tensor[] =>
		customGradient(
			[a, b],
			(p, q) => [mul(p!, mul(p!, p!)), add(p!, q!)],
			([p], [third], [dThird, dSum]) => {
				assert.equal(dSum, undefined, 'nothing was asked of the second output');
				return [mul(dThird!, mul(mul(p!, 10), third!)), undefined];
			},
		);
	const expected = xs.map((value) => 10 * value ** 4);
	const [third] = cube(x, y);
	await assertValues(
		[third!, ...gradients(sum(third!), [x, y])],
		[xs.map((value) => value ** 3), expected, new Float64Array(6)],
	);
	const [kept] = checkpoint([x, y], (a, b) => [cube(a!, b!)[0]!]);
	await assertValues(gradients(sum(kept!), [x, y]), [expected, new Float64Array(6)]);
	const { stacked } = scan([], [x, y], (_, [a, b]) => ({ carry: [], stacked: [cube(a!, b!)[0]!] }));
	await assertValues(gradients(sum(stacked[0]!), [x, y]), [expected, new Float64Array(6)]);
});

test('a barrier changes nothing, for scalars and integers too', async () => {
	await assertValues([barrier(x, y), barrier(sum(x), y)], [xs, [xs.reduce((a, b) => a + b, 0)]]);
});
