/** @file Rebuilding graphs: what is replaced, what is shared, what depends on what. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { evaluate } from './evaluate.ts';
import { add, constantOf, exp, input, mul, neg, split, sub } from './index.ts';
import { ndarray } from './reference.ts';
import { dependents, rewrite, substitute } from './rewrite.ts';
import { close, inline, trace } from './subgraph.ts';
import { type Tensor, topologicalOrder } from './tensor.ts';

const [x, y, z] = [input('x', 'float32', [2]), input('y', 'float32', [2]), input('z', 'float32', [2])];
const feeds = new Map([
	[x, ndarray('float32', [2], [1, 2])],
	[y, ndarray('float32', [2], [3, 5])],
	[z, ndarray('float32', [2], [7, 11])],
]);
const value = (tensor: Tensor): number[] => [...evaluate([tensor], feeds)[0]!.data];

test('substitute exchanges tensors at once, and copies only what depends on them', () => {
	const untouched = exp(z);
	const result = add(sub(x, y), untouched);
	const [swapped] = substitute(
		[result],
		new Map([
			[x, y],
			[y, x],
		]),
	);
	assert.deepEqual(value(swapped!), value(add(sub(y, x), untouched)));
	assert.ok(topologicalOrder([swapped!]).includes(untouched.node), 'untouched nodes are shared');
	assert.equal(substitute([untouched], new Map([[x, y]]))[0], untouched);
	assert.deepEqual(value(result), value(add(sub(x, y), untouched)), 'the original is as it was');
});

test('substitute can replace inner nodes and one of several outputs', () => {
	const inner = mul(x, y);
	const [replaced] = substitute([neg(inner)], new Map([[inner, z]]));
	assert.deepEqual(value(replaced!), [-7, -11]);
	const parts = split(input('wide', 'float32', [4]), 2, 0);
	const [sum] = substitute([add(parts[0]!, parts[1]!)], new Map([[parts[1]!, x]]));
	assert.ok(topologicalOrder([sum!]).includes(parts[0]!.node));
	assert.ok(topologicalOrder([sum!]).includes(x.node));
});

test('rewrite sees every node once, after its inputs', () => {
	const h = mul(x, y);
	const seen: string[] = [];
	const [result] = rewrite([add(h, h)], ({ op, inputs }) => {
		seen.push(op.name);
		return op.name === 'mul' ? [sub(inputs[0]!, inputs[1]!)] : undefined;
	});
	assert.deepEqual(seen, ['input', 'input', 'mul', 'add']);
	assert.deepEqual(value(result!), [-4, -6]);
	const same = rewrite([h], () => undefined);
	assert.equal(same[0], h);
});

test('dependents are the sources and what is computed from them', () => {
	const [h, other] = [mul(x, y), exp(z)];
	const found = dependents([add(h, other)], [x]);
	assert.ok(found.has(x) && found.has(h) && !found.has(other) && !found.has(y));
});

test('a traced function captures outer tensors but not constants, and can be put anywhere', () => {
	const two = constantOf([2, 2], [2]);
	const traced = trace([x], ([a]) => [mul(add(a!, y), two), z]);
	assert.deepEqual([...traced.captured], [y, z]);
	assert.equal(traced.parameters.length, 3);
	const [result, passed] = inline(traced, [z, x, y]);
	assert.deepEqual(value(result!), [16, 26]);
	assert.equal(passed, y);
	assert.equal(close([], [two]).captured.length, 0);
});
