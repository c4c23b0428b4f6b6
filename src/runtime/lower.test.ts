/** @file Lowering: names, inputs, constants, sizes read inside loops. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hostTensor, zeros } from '../base/host-tensor.ts';
import * as g from '../graph/index.ts';
import { lower } from './lower.ts';
import { graphOf, Program } from './program.ts';

const x = g.input('x', 'float32', [g.dim('batch'), 2]);
const ones = hostTensor('float32', [3, 2], [1, 1, 1, 1, 1, 1]);

test('two inputs of one name are refused, fed or bound', () => {
	const twice = graphOf({ y: g.add(g.input('a', 'float32', [2]), g.input('a', 'float32', [2])) });
	assert.throws(() => lower(twice), /two graph inputs are named "a"/);
	const bound = new Map([['a', zeros('float32', [2])]]);
	assert.throws(() => lower(twice, { bound }), /two graph inputs are named "a"/);
});

test('an input and an output of one name are refused', () => {
	assert.throws(() => lower(graphOf({ x: g.neg(x) })), /an input and an output of the graph are both named "x"/);
});

test('inputs and outputs may be called like the values of the engine', async () => {
	const [a, b] = [g.input('Neg_0', 'float32', [2]), g.input('constant_1', 'float32', [2])];
	const program = await Program.compile({ Neg_2: g.neg(a), Add_1: g.add(g.neg(b), 1) }, { cache: false });
	const results = await program.run({
		Neg_0: hostTensor('float32', [2], [1, 2]),
		constant_1: hostTensor('float32', [2], [3, 4]),
	});
	assert.deepEqual([...results.Neg_2!.data], [-1, -2]);
	assert.deepEqual([...results.Add_1!.data], [-2, -3]);
});

test('one value may be several outputs, and an input may be an output', async () => {
	const y = g.neg(x);
	const program = await Program.compile({ first: y, second: y, same: x, c: g.scalar(5) }, { cache: false });
	const results = await program.run({ x: ones });
	assert.deepEqual([...results.first!.data], [...results.second!.data]);
	assert.deepEqual([...results.same!.data], [...ones.data]);
	assert.deepEqual([...results.c!.data], [5]);
});

test('inputs that no output needs are dropped', () => {
	const unused = g.input('unused', 'float32', [2]);
	const outputs = { y: g.neg(x), zero: g.gradients(g.sum(x), [unused])[0]! };
	assert.deepEqual(
		lower(graphOf(outputs)).inputs.map(({ name }) => name),
		['x'],
	);
});

test('a size may be an output and be read inside a loop', async () => {
	const rows = g.dimValue(g.dim('batch'));
	const { carry } = g.scan([g.scalar(0)], [g.arange(0, 4)], ([total]) => ({
		carry: [g.add(total!, g.sum(g.expand(g.add(g.mul(total!, 0), 1), [g.dim('batch'), 2])))],
	}));
	const program = await Program.compile({ rows, total: carry[0]!, y: g.neg(x) }, { cache: false });
	const { rows: counted, total } = await program.run({ x: ones });
	assert.equal(Number(counted!.data[0]), 3);
	assert.equal(Number(total!.data[0]), 24);
});

test('a value computed outside and used in a loop may be an output', async () => {
	const y = g.neg(x);
	const { carry } = g.scan([x], [g.arange(0, 2)], ([h]) => ({ carry: [g.add(h!, y)] }));
	const results = await (await Program.compile({ y, h: carry[0]! }, { cache: false })).run({ x: ones });
	assert.deepEqual([...results.y!.data], [-1, -1, -1, -1, -1, -1]);
	assert.deepEqual([...results.h!.data], [-1, -1, -1, -1, -1, -1]);
});

test('a body tensor used outside its loop is an error', () => {
	let inside: g.Tensor | undefined;
	g.scan([], [x], (_, [row]) => {
		inside = g.neg(row!);
		return { carry: [], stacked: [inside] };
	});
	assert.throws(() => lower(graphOf({ y: inside! })), /bound by the program|outside the body/);
});
