/** @file Reverse mode as a whole: what may be differentiated, by what, and what comes back. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkGradients, randomArray } from '../../test/support/graphs.ts';
import { evaluate } from './evaluate.ts';
import { add, cast, exp, gradients, input, mean, mul, sum, sumSquare, tanh, topK, vectorJacobian } from './index.ts';

const x = input('x', 'float32', [2, 3]);
const w = input('w', 'float32', [3]);
const unused = input('unused', 'float32', [4]);
const feeds = new Map([
	[x, randomArray([2, 3], 1)],
	[w, randomArray([3], 2)],
	[unused, randomArray([4], 3)],
]);

test('only a float scalar has gradients; the message says how to get one', () => {
	assert.throws(() => gradients(x, [x]), /gradients are taken of a scalar.*gradients\.test\.ts:\d+[\s\S]*mean\(x\)/);
	assert.throws(() => gradients(cast(sum(x), 'int32'), [x]), /found: +int32\[\]/);
});

test('a tensor without a path to the loss gets zeros, from vectorJacobian nothing', () => {
	const loss = sumSquare(x);
	const [, none] = evaluate(gradients(loss, [x, unused]), feeds);
	assert.deepEqual([...none!.data], [0, 0, 0, 0]);
	assert.equal(vectorJacobian([loss], [loss], [unused])[0], undefined);
});

test('a tensor used several times collects every path', async () => {
	const h = mul(x, w);
	await checkGradients(add(sum(mul(h, h)), mean(exp(add(h, mul(x, x))))), [x, w], feeds);
});

test('asking for an intermediate tensor does not cut the paths through it', () => {
	const h = tanh(mul(x, w));
	const loss = sumSquare(h);
	const [alone] = evaluate(gradients(loss, [w]), feeds);
	const [dh, together] = evaluate(gradients(loss, [h, w]), feeds);
	assert.deepEqual(together, alone);
	assert.deepEqual([...dh!.data], [...evaluate([mul(h, 2)], feeds)[0]!.data]);
});

test('one output of several, and the loss itself', () => {
	const { values } = topK(w, 2);
	const [dw] = evaluate(gradients(sum(mul(values, 3)), [w]), feeds);
	assert.equal([...dw!.data].filter((value) => value === 3).length, 2);
	const loss = sum(x);
	assert.deepEqual([...evaluate(gradients(loss, [loss]), feeds)[0]!.data], [1]);
});

test('the loss may be one of the parameters and an ancestor another', () => {
	const loss = sumSquare(x);
	const [one, dx] = evaluate(gradients(loss, [loss, x]), feeds);
	assert.equal(one!.data[0], 1);
	dx!.data.forEach((value, i) => {
		assert.equal(value, 2 * feeds.get(x)!.data[i]!);
	});
});
