/** @file Symbolic sizes: the laws of a ring, division, and reshapes that need them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { randomArray, toHost } from '../../test/support/graphs.ts';
import { Program } from '../runtime/program.ts';
import { concat, input, mean, pad, repeat, reshape, slice, softmax, split, sum, transpose } from './index.ts';
import {
	addDims,
	broadcastShapes,
	type Dim,
	dim,
	dimsEqual,
	divideDims,
	evaluateDim,
	multiplyDims,
	sizeOf,
	subtractDims,
} from './shape.ts';

const NAMES = ['batch', 'time', 'past'] as const;
const monomial = fc
	.tuple(fc.integer({ min: -4, max: 4 }), fc.array(fc.constantFrom(...NAMES), { maxLength: 3 }))
	.map(([factor, names]) => names.reduce<Dim>((product, name) => multiplyDims(product, dim(name)), factor));
const anyDim = fc.array(monomial, { maxLength: 4 }).map((terms) => terms.reduce<Dim>(addDims, 0));
const anySizes = fc.tuple(...NAMES.map(() => fc.integer({ min: 1, max: 9 }))).map((values) => {
	return new Map(NAMES.map((name, i) => [name as string, values[i] as number]));
});
const same = (a: Dim, b: Dim): void => assert.ok(dimsEqual(a, b), `${a} and ${b}`);

test('sums and products are commutative, associative, distributive, with neutral elements', () => {
	fc.assert(
		fc.property(anyDim, anyDim, anyDim, (a, b, c) => {
			same(addDims(a, b), addDims(b, a));
			same(multiplyDims(a, b), multiplyDims(b, a));
			same(addDims(addDims(a, b), c), addDims(a, addDims(b, c)));
			same(multiplyDims(multiplyDims(a, b), c), multiplyDims(a, multiplyDims(b, c)));
			same(multiplyDims(a, addDims(b, c)), addDims(multiplyDims(a, b), multiplyDims(a, c)));
			same(addDims(a, 0), a);
			same(multiplyDims(a, 1), a);
			same(multiplyDims(a, 0), 0);
			same(subtractDims(addDims(a, b), b), a);
		}),
	);
});

test('symbolic results agree with the numbers', () => {
	fc.assert(
		fc.property(anyDim, anyDim, anySizes, (a, b, sizes) => {
			const value = (d: Dim): number => evaluateDim(d, sizes) + 0;
			assert.equal(value(addDims(a, b)), value(a) + value(b));
			assert.equal(value(multiplyDims(a, b)), value(a) * value(b) + 0);
			assert.equal(value(subtractDims(a, b)), value(a) - value(b));
			assert.equal(value(sizeOf([a, b, 3])), value(a) * value(b) * 3 + 0);
		}),
	);
});

test('division undoes multiplication by one term, and is exact or refused', () => {
	fc.assert(
		fc.property(anyDim, monomial, anyDim, anySizes, (a, b, c, sizes) => {
			if (!dimsEqual(b, 0)) same(divideDims(multiplyDims(a, b), b) as Dim, a);
			const quotient = divideDims(a, c);
			if (quotient !== undefined) {
				assert.ok(evaluateDim(quotient, sizes) * evaluateDim(c, sizes) === evaluateDim(a, sizes));
			}
		}),
	);
	assert.equal(divideDims(7, 2), undefined);
	assert.equal(divideDims(7, 0), undefined);
	assert.equal(divideDims(addDims(dim('batch'), 1), 2), undefined);
	assert.equal(divideDims(6, dim('batch')), undefined);
});

test('a size counts as equal however it was made', () => {
	const [b, t] = [dim('batch'), dim('time')];
	same(multiplyDims(addDims(b, 1), t), addDims(multiplyDims(t, b), t));
	assert.equal(String(addDims(multiplyDims(b, 2), 3)), '2*batch+3');
	assert.equal(subtractDims(addDims(b, 5), b), 5);
	assert.throws(() => dim('2x'), /not a dimension name/);
});

test('broadcasting is symmetric and only 1 stretches', () => {
	const shape = fc.array(fc.oneof(fc.constantFrom<Dim>(1, 2, 3), anyDim), { maxLength: 4 });
	fc.assert(
		fc.property(shape, shape, (a, b) => {
			const [left, right] = [broadcastShapes(a, b), broadcastShapes(b, a)];
			assert.deepEqual(left?.map(String), right?.map(String));
			assert.deepEqual(broadcastShapes(a, a)?.map(String), a.map(String));
		}),
	);
	assert.equal(broadcastShapes([dim('time')], [2]), undefined);
});

test('-1 in a reshape is found from symbolic sizes', () => {
	const x = input('x', 'float32', [dim('batch'), dim('time'), 6]);
	const shape = (sizes: readonly Dim[]): string => String(reshape(x, sizes).shape);
	assert.equal(shape([-1]), '6*batch*time');
	assert.equal(shape([-1, 3]), '2*batch*time,3');
	assert.equal(shape([dim('time'), 2, -1]), 'time,2,3*batch');
	assert.equal(shape([dim('batch'), -1, 2, 3]), 'batch,time,2,3');
	for (const wrong of [
		[-1, 4],
		[-1, dim('past')],
		[-1, -1, 6],
	]) {
		assert.throws(() => reshape(x, wrong), /reshape\(float32\[batch, time, 6\]\): cannot infer.*shape\.test\.ts/);
	}
});

test('one program with reshapes, slices, joins and pads of symbolic sizes, at several sizes', async () => {
	const [batch, time, past] = [dim('batch'), dim('time'), dim('past')];
	const x = input('x', 'float32', [batch, time, 4]);
	const cache = input('cache', 'float32', [batch, past, 4]);
	const joined = concat([cache, x], 1);
	const heads = transpose(reshape(joined, [batch, -1, 2, 2]), [0, 2, 1, 3]);
	const outputs = {
		heads,
		rows: softmax(reshape(x, [-1, 4])),
		last: slice(joined, 1, past),
		both: sum(split(joined, [past, time], 1)[1]!, { axis: 2 }),
		padded: pad(x, [0, past, 0], [0, 1, 0]),
		twice: repeat(x, 0, 2),
		average: mean(joined),
	};
	assert.equal(String(outputs.padded.shape), 'batch,time+past+1,4');
	const program = await Program.compile(outputs, { cache: false });
	for (const [b, t, p] of [
		[1, 1, 1],
		[2, 3, 5],
		[3, 1, 7],
	] as const) {
		const [values, old] = [randomArray([b, t, 4], 1), randomArray([b, p, 4], 2)];
		const results = await program.run({ x: toHost(values), cache: toHost(old) });
		const dims = (name: keyof typeof outputs): number[] => [...results[name]!.dims];
		assert.deepEqual(dims('heads'), [b, 2, p + t, 2]);
		assert.deepEqual(dims('rows'), [b * t, 4]);
		assert.deepEqual(dims('padded'), [b, p + t + 1, 4]);
		assert.deepEqual(dims('twice'), [2 * b, t, 4]);
		assert.deepEqual([...results.last!.data], [...values.data]);
		const total = [...values.data, ...old.data].reduce((a, c) => a + c, 0) / (b * (t + p) * 4);
		assert.ok(Math.abs(Number(results.average!.data[0]) - total) < 1e-5);
	}
});
