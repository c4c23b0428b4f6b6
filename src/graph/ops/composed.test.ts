/** @file Functions made of other ops: einsum, masks, one-hot, sort, all/any, rounding with a straight-through gradient. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertClose, checkGradients } from '../../../test/support/graphs.ts';
import { hostTensor } from '../../base/host-tensor.ts';
import { Program } from '../../runtime/program.ts';
import { evaluate } from '../evaluate.ts';
import {
	absMax,
	all,
	any,
	argsort,
	causalMask,
	constantOf,
	conv1d,
	conv2d,
	dequantizeLinear,
	dim,
	einsum,
	gradients,
	input,
	matmulInteger,
	mul,
	oneHot,
	quantizeLinear,
	roundClamp,
	sort,
	sum,
	type Tensor,
	topK,
} from '../index.ts';
import { forEachIndex, type NDArray, ndarray } from '../reference.ts';

const host = (tensor: Tensor): number[] => [...evaluate([tensor], new Map())[0]!.data];
const ramp = (dims: readonly number[], scale = 1): NDArray =>
	ndarray(
		'float32',
		dims,
		Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(i * 1.7 + scale) * scale),
	);

/** Sums over every assignment of the letters: the definition. */
function einsumByLoops(equation: string, arrays: readonly NDArray[]): number[] {
	const [left, right] = equation.split('->') as [string, string];
	const terms = left.split(',');
	const sizes = new Map<string, number>();
	terms.forEach((term, i) => {
		[...term].forEach((letter, axis) => {
			sizes.set(letter, arrays[i]!.dims[axis]!);
		});
	});
	const inner = [...sizes.keys()].filter((letter) => !right.includes(letter));
	const letters = [...right, ...inner];
	const result = ndarray(
		'float32',
		[...right].map((letter) => sizes.get(letter)!),
	);
	const dims = letters.map((letter) => sizes.get(letter)!);
	const per = inner.reduce((product, letter) => product * sizes.get(letter)!, 1);
	forEachIndex(dims, (index, flat) => {
		let product = 1;
		terms.forEach((term, i) => {
			let at = 0;
			[...term].forEach((letter, axis) => {
				at = at * arrays[i]!.dims[axis]! + index[letters.indexOf(letter)]!;
			});
			product *= arrays[i]!.data[at]!;
		});
		result.data[Math.floor(flat / per)]! += product;
	});
	return [...result.data];
}

const EQUATIONS: readonly (readonly [string, readonly (readonly number[])[]])[] = [
	[
		'ij,jk->ik',
		[
			[2, 3],
			[3, 4],
		],
	],
	[
		'ij,jk->ki',
		[
			[2, 3],
			[3, 4],
		],
	],
	[
		'bqhd,bkhd->bhqk',
		[
			[2, 3, 2, 4],
			[2, 5, 2, 4],
		],
	],
	[
		'bhqk,bkhd->bqhd',
		[
			[2, 2, 3, 5],
			[2, 5, 2, 4],
		],
	],
	['i,j->ij', [[3], [4]]],
	['i,i->', [[4], [4]]],
	['ii->i', [[4, 4]]],
	['ii->', [[3, 3]]],
	['ijk->kj', [[2, 3, 4]]],
	[
		'ijk,jl->i',
		[
			[2, 3, 4],
			[3, 2],
		],
	],
	[
		'ab,bc,cd->ad',
		[
			[2, 3],
			[3, 2],
			[2, 4],
		],
	],
	[
		'bi,bij,bj->b',
		[
			[2, 3],
			[2, 3, 4],
			[2, 4],
		],
	],
	[
		'abi,aj->abij',
		[
			[2, 3, 2],
			[2, 4],
		],
	],
];

for (const [equation, shapes] of EQUATIONS) {
	test(`einsum ${equation}`, async () => {
		const arrays = shapes.map((dims, i) => ramp(dims, 1 + i / 3));
		const inputs = shapes.map((dims, i) => input(`x${i}`, 'float32', dims));
		const y = einsum(equation, ...inputs);
		const expected = einsumByLoops(equation, arrays);
		const feeds = new Map(inputs.map((tensor, i) => [tensor, arrays[i]!]));
		const [value] = evaluate([y], feeds);
		assertClose(value!.data, expected, 1e-9, equation);
		assert.equal(value!.data.length, expected.length);
		const weights = y.rank === 0 ? 1 : constantOf([...ramp(y.shape.map(Number)).data], y.shape.map(Number));
		await checkGradients(sum(mul(y, weights)), inputs, feeds);
	});
}

test('einsum with an ellipsis, without a result, with symbolic sizes', async () => {
	const [x, w] = [input('x', 'float32', [dim('batch'), dim('time'), 3]), input('w', 'float32', [3, 4])];
	assert.equal(String(einsum('...i,ij->...j', x, w).shape), String([dim('batch'), dim('time'), 4]));
	assert.deepEqual(einsum('ij,jk', input('a', 'float32', [2, 3]), input('b', 'float32', [3, 5])).shape, [2, 5]);
	const program = await Program.compile({ y: einsum('...i,ij->...j', x, w) }, { cache: false });
	for (const [batch, time] of [
		[1, 2],
		[3, 1],
	] as const) {
		const data = ramp([batch, time, 3]);
		const { y } = await program.run({
			x: hostTensor('float32', data.dims, [...data.data]),
			w: hostTensor('float32', [3, 4], [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0]),
		});
		assert.deepEqual(y!.dims, [batch, time, 4]);
		assert.ok(Math.abs(Number(y!.data[0]) - data.data[0]!) < 1e-6);
	}
});

test('equations that do not fit are refused', () => {
	const [a, b] = [input('a', 'float32', [2, 3]), input('b', 'float32', [4, 5])];
	for (const [equation, problem] of [
		['ij,jk->ik', /"j" has the sizes 3 and 4/],
		['ij->ij', /1 terms for 2 tensors/],
		['ijk,kl->il', /names 3 axes/],
		['ij,kl->iz', /"z", which no operand has/],
		['ij,kl->iik', /"i" twice/],
		['i;j,k', /not an equation/],
	] as const) {
		assert.throws(() => einsum(equation, a, b), problem);
	}
});

test('causal masks line the last query up with the last key', () => {
	assert.deepEqual(host(causalMask(3)), [1, 0, 0, 1, 1, 0, 1, 1, 1]);
	assert.deepEqual(host(causalMask(2, 4)), [1, 1, 1, 0, 1, 1, 1, 1]);
});

test('one-hot rows; indices outside give zeros', () => {
	const indices = constantOf([1, -100, 0, 3], [2, 2], 'int64');
	assert.deepEqual(host(oneHot(indices, 3)), [0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0]);
	assert.equal(oneHot(indices, 3, 'bool').dtype, 'bool');
	assert.throws(() => oneHot(constantOf([1], [1]), 3), /indices must be integers/);
});

test('sort and argsort, both ways, over an axis of symbolic size', async () => {
	const x = input('x', 'float32', [dim('n')]);
	const outputs = { up: sort(x), down: sort(x, { descending: true }), order: argsort(x) };
	const program = await Program.compile(outputs, { cache: false });
	for (const list of [
		[3, 1, 2, 1],
		[5, -1],
	]) {
		const results = await program.run({ x: hostTensor('float32', [list.length], list) });
		const up = [...list].sort((a, b) => a - b);
		assert.deepEqual([...results.up!.data], up);
		assert.deepEqual([...results.down!.data], up.reverse());
		const order = list.map((_, i) => i).sort((a, b) => list[a]! - list[b]! || a - b);
		assert.deepEqual(Array.from(results.order!.data as BigInt64Array, Number), order);
	}
	assert.throws(() => topK(input('z', 'float32', [3]), 4), /cannot take 4 of axis 0/);
});

test('all and any', () => {
	const x = constantOf([1, 1, 0, 1, 0, 0], [3, 2], 'bool');
	assert.deepEqual(host(all(x, { axis: 1 })), [1, 0, 0]);
	assert.deepEqual(host(any(x, { axis: 1 })), [1, 1, 0]);
	assert.deepEqual(host(any(x)), [1]);
	assert.equal(all(x).dtype, 'bool');
	assert.throws(() => all(constantOf([1], [1])), /for bool/);
});

test('roundClamp: a step function whose gradient is the identity, or ends at the limits', () => {
	const x = constantOf([-3.4, -0.5, 0.4, 1.5, 2.6], [5]);
	assert.deepEqual(host(roundClamp(x, -1, 2)), [-1, -0, 0, 2, 2]);
	const gradient = (mode: 'identity' | 'inside') =>
		host(gradients(sum(roundClamp(x, -1, 2, { gradient: mode })), [x])[0]!);
	assert.deepEqual(gradient('identity'), [1, 1, 1, 1, 1]);
	assert.deepEqual(gradient('inside'), [0, 1, 1, 1, 0]);
});

test('8-bit integers: quantise, multiply, bring back', async () => {
	const [a, b] = [input('a', 'float32', [4, 32]), input('b', 'float32', [32, 3])];
	const scaleOf = (x: Tensor, axis: number): Tensor => mul(absMax(x, { axis }), 1 / 127);
	const [rows, columns] = [scaleOf(a, 1), scaleOf(b, 0)];
	const product = matmulInteger(quantizeLinear(a, rows, { axis: 0 }), quantizeLinear(b, columns, { axis: 1 }));
	assert.equal(product.dtype, 'int32');
	const y = mul(dequantizeLinear(product, rows, { axis: 0 }), columns);
	const [left, right] = [ramp([4, 32]), ramp([32, 3], 2)];
	const program = await Program.compile({ y }, { cache: false });
	const { y: found } = await program.run({
		a: hostTensor('float32', left.dims, [...left.data]),
		b: hostTensor('float32', right.dims, [...right.data]),
	});
	const exact = einsumByLoops('ij,jk->ik', [left, right]);
	assertClose(found!.data, exact, 0.1, 'product');
});

test('convolutions check their operands and settings, and take a symbolic batch and length', async () => {
	const x = input('x', 'float32', [dim('batch'), 2, dim('time')]);
	const w = input('w', 'float32', [4, 2, 3]);
	const y = conv1d(x, w, undefined, { padding: [[2, 0]] });
	assert.equal(String(y.shape[2]), 'time');
	const wanted = gradients(sum(mul(y, y)), [x, w]);
	const program = await Program.compile({ y, dx: wanted[0]!, dw: wanted[1]! }, { cache: false });
	const weight = ramp([4, 2, 3]);
	for (const [batch, time] of [
		[1, 5],
		[3, 4],
	] as const) {
		const data = ramp([batch, 2, time]);
		const feeds = new Map([
			[x, data],
			[w, weight],
		]);
		const expected = evaluate([y, ...wanted], feeds);
		const results = await program.run({
			x: hostTensor('float32', data.dims, [...data.data]),
			w: hostTensor('float32', weight.dims, [...weight.data]),
		});
		[results.y!, results.dx!, results.dw!].forEach((result, i) => {
			assert.deepEqual(result.dims, expected[i]!.dims);
			assertClose(result.data, expected[i]!.data, 1e-4, `output ${i}`);
		});
	}
	assert.throws(() => conv2d(x, w), /input and weight do not fit/);
	assert.throws(() => conv1d(x, w, undefined, { groups: 2 }), /groups 2/);
	assert.throws(() => conv1d(x, w, undefined, { stride: 0 }), /integer strides/);
	assert.throws(() => conv1d(input('s', 'float32', [1, 2, 2]), w), /spans 3 does not fit/);
});
