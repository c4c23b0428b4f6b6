/** @file Loops: values, both directions, gradients of every kind of input, nesting, symbolic sizes, size of the graph. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertClose, checkGradients, randomArray, runOnEngine, toHost } from '../../test/support/graphs.ts';
import { lower } from '../runtime/lower.ts';
import { graphOf, Program } from '../runtime/program.ts';
import { checkpoint } from './checkpoint.ts';
import { evaluate } from './evaluate.ts';
import {
	add,
	addAll,
	arange,
	cast,
	constantOf,
	dim,
	gradients,
	input,
	linear,
	matmul,
	mul,
	scan,
	select,
	sub,
	sum,
	sumSquare,
	type Tensor,
	tanh,
} from './index.ts';
import { optimize } from './passes/optimize.ts';
import type { ScanAttributes } from './scan.ts';
import { topologicalOrder } from './tensor.ts';

/** Nodes of a graph and of all loop bodies in it after all passes. */
function countNodes(outputs: readonly Tensor[], optimized = optimize(outputs)): { nodes: number; scans: number } {
	let [nodes, scans] = [0, 0];
	for (const node of topologicalOrder(optimized)) {
		nodes++;
		if (node.op.name !== 'scan') continue;
		const inner = countNodes([], [...(node.attributes as ScanAttributes).body.results]);
		nodes += inner.nodes;
		scans += 1 + inner.scans;
	}
	return { nodes, scans };
}

const xs = input('xs', 'float32', [4, 3]);
const x0 = input('x0', 'float32', [3]);
const factor = input('factor', 'float32', [3]);
const feeds = new Map([
	[xs, randomArray([4, 3], 1)],
	[x0, randomArray([3], 2)],
	[factor, randomArray([3], 3)],
]);

/** h' = tanh(h * factor + x); stacks h' and x - h. */
const recurrence = (reverse: boolean) =>
	scan(
		[x0],
		[xs],
		([h], [x]) => {
			const next = tanh(add(mul(h!, factor), x!));
			return { carry: [next], stacked: [next, sub(x!, h!)] };
		},
		{ reverse },
	);

for (const reverse of [false, true]) {
	test(`values of a loop, ${reverse ? 'backwards' : 'forwards'}`, async () => {
		const { carry, stacked } = recurrence(reverse);
		const [x, start, f] = [feeds.get(xs)!.data, feeds.get(x0)!.data, feeds.get(factor)!.data];
		let h = [...start];
		const [all, differences] = [new Array<number>(12), new Array<number>(12)];
		for (const step of reverse ? [3, 2, 1, 0] : [0, 1, 2, 3]) {
			h.forEach((value, i) => {
				differences[step * 3 + i] = x[step * 3 + i]! - value;
			});
			h = h.map((value, i) => Math.tanh(value * f[i]! + x[step * 3 + i]!));
			h.forEach((value, i) => {
				all[step * 3 + i] = value;
			});
		}
		const wanted = [carry[0]!, ...stacked];
		const expected = [h, all, differences];
		evaluate(wanted, feeds).forEach((value, i) => void assertClose(value.data, expected[i]!, 1e-12, `float64 ${i}`));
		(await runOnEngine(wanted, feeds)).forEach((value, i) => {
			assertClose(value.data as Float32Array, expected[i]!, 1e-5, `engine ${i}`);
		});
	});

	test(`gradients of start, slices and captured tensors, ${reverse ? 'backwards' : 'forwards'}`, async () => {
		const { carry, stacked } = recurrence(reverse);
		const weights = constantOf([...randomArray([4, 3], 9).data], [4, 3]);
		const loss = addAll([sumSquare(carry[0]!), sum(mul(stacked[0]!, weights)), sumSquare(stacked[1]!)]);
		await checkGradients(loss, [x0, xs, factor], feeds);
		// One output alone: no gradient arrives at the others.
		await checkGradients(sumSquare(carry[0]!), [x0, xs, factor], feeds);
		await checkGradients(sum(mul(stacked[0]!, weights)), [x0, xs, factor], feeds);
		await checkGradients(sumSquare(stacked[1]!), [factor], feeds);
	});
}

test('a carry that the body does not use, one that it passes on, slices that it ignores', async () => {
	const { carry, stacked } = scan([x0, factor], [xs], ([, kept], [x]) => ({
		carry: [mul(x!, 2), kept!],
		stacked: [mul(kept!, kept!)],
	}));
	await checkGradients(addAll([sumSquare(carry[0]!), sum(carry[1]!), sum(stacked[0]!)]), [x0, factor, xs], feeds);
	const ignoring = scan([x0], [xs], ([h]) => ({ carry: [mul(h!, 0.5)] }));
	await checkGradients(sumSquare(ignoring.carry[0]!), [x0, xs], feeds);
	const linearOnly = scan([x0], [xs], ([h]) => ({ carry: [add(h!, factor)] }));
	await checkGradients(sum(linearOnly.carry[0]!), [x0, factor], feeds);
});

test('no carry at all, and a body that gives back what it got', async () => {
	const mapped = scan([], [xs], (_, [x]) => ({ carry: [], stacked: [tanh(x!), x!, factor] }));
	await checkGradients(addAll(mapped.stacked.map((part) => sumSquare(part))), [xs, factor], feeds);
});

test('integer carries and slices go along without gradients', async () => {
	const { carry, stacked } = scan([x0, constantOf([0], [], 'int64')], [xs, arange(0, 4)], ([h, count], [x, step]) => ({
		carry: [mul(add(h!, x!), cast(step!, 'float32')), add(count!, add(step!, 1))],
		stacked: [count!, mul(h!, cast(count!, 'float32'))],
	}));
	await checkGradients(add(sumSquare(carry[0]!), sum(stacked[1]!)), [x0, xs], feeds);
	const [total, counts] = await runOnEngine([carry[1]!, stacked[0]!], feeds);
	assert.deepEqual([Number(total!.data[0]), ...Array.from(counts!.data as BigInt64Array, Number)], [10, 0, 1, 3, 6]);
});

test('a loop in a loop, with tensors captured through both', async () => {
	const inner = (h: Tensor, x: Tensor): Tensor =>
		scan([h], [xs], ([c], [y]) => ({ carry: [tanh(add(mul(c!, factor), mul(y!, x)))] })).carry[0]!;
	const { carry, stacked } = scan([x0], [xs], ([h], [x]) => {
		const next = inner(h!, x!);
		return { carry: [next], stacked: [mul(next, x!)] };
	});
	const loss = add(sumSquare(carry[0]!), sum(stacked[0]!));
	await checkGradients(loss, [x0, xs, factor], feeds);
	// Forward with stored values and backward, each with its inner loop: nothing runs twice.
	assert.equal(countNodes([loss, ...gradients(loss, [x0, xs, factor])]).scans, 4);
});

test('loops that feed each other are not run twice for their gradients', async () => {
	const loop = (start: Tensor): Tensor =>
		scan([start], [xs], ([h], [x]) => ({ carry: [tanh(add(mul(h!, factor), x!))] })).carry[0]!;
	const loss = sumSquare(loop(loop(loop(x0))));
	await checkGradients(loss, [x0, xs, factor], feeds);
	assert.equal(countNodes([loss, ...gradients(loss, [x0, xs, factor])]).scans, 6);
});

test('a loop behind a checkpoint runs once forward and once backward', async () => {
	const [start] = checkpoint([x0], (x) => [tanh(mul(x!, factor))]);
	const { carry } = scan([start!], [xs], ([h], [x]) => ({ carry: [tanh(add(h!, x!))] }));
	const loss = sumSquare(carry[0]!);
	await checkGradients(loss, [x0, xs, factor], feeds);
	assert.equal(countNodes([loss, ...gradients(loss, [x0, xs, factor])]).scans, 2);
});

test('symbolic length and batch: one program, several sizes', async () => {
	const [time, batch] = [dim('time'), dim('batch')];
	const sequence = input('sequence', 'float32', [time, batch, 2]);
	const start = input('start', 'float32', [batch, 2]);
	const weight = input('weight', 'float32', [2, 2]);
	const { carry, stacked } = scan([start], [sequence], ([h], [x]) => {
		const next = tanh(add(matmul(h!, weight), x!));
		return { carry: [next], stacked: [next] };
	});
	const loss = add(sumSquare(carry[0]!), sum(stacked[0]!));
	const wanted = [loss, ...gradients(loss, [start, sequence, weight])];
	const outputs = Object.fromEntries(wanted.map((tensor, i) => [`y${i}`, tensor]));
	const program = await Program.compile(outputs, { cache: false });
	for (const [t, b] of [
		[1, 1],
		[5, 2],
		[3, 4],
	] as const) {
		const values = new Map([
			[sequence, randomArray([t, b, 2], 1)],
			[start, randomArray([b, 2], 2)],
			[weight, randomArray([2, 2], 3)],
		]);
		const expected = evaluate(wanted, values);
		const named = Object.fromEntries(
			[...values].map(([{ node }, v]) => [(node.attributes as { name: string }).name, toHost(v)]),
		);
		const results = await program.run(named);
		expected.forEach((value, i) => {
			assert.deepEqual([...results[`y${i}`]!.dims], value.dims);
			assertClose(results[`y${i}`]!.data as Float32Array, value.data, 1e-4, `output ${i} of ${t} x ${b}`);
		});
	}
});

function layers(depth: number): { weights: Tensor; biases: Tensor; x: Tensor; looped: Tensor; unrolled: () => Tensor } {
	const weights = input('weights', 'float32', [depth, 3, 3]);
	const biases = input('biases', 'float32', [depth, 3]);
	const x = input('x', 'float32', [2, 3]);
	const layer = (h: Tensor, w: Tensor, b: Tensor): Tensor => add(h, tanh(linear(h, w, b)));
	const { carry } = scan([x], [weights, biases], ([h], [w, b]) => ({ carry: [layer(h!, w!, b!)] }));
	const unrolled = (): Tensor => {
		let h = x;
		for (let i = 0; i < depth; i++) h = layer(h, select(weights, 0, i), select(biases, 0, i));
		return sumSquare(h);
	};
	return { weights, biases, x, looped: sumSquare(carry[0]!), unrolled };
}

test('stacked layers: values and gradients of the unrolled graph', async () => {
	const { weights, biases, x, looped, unrolled } = layers(3);
	const values = new Map([
		[weights, randomArray([3, 3, 3], 1)],
		[biases, randomArray([3, 3], 2)],
		[x, randomArray([2, 3], 3)],
	]);
	await checkGradients(looped, [weights, biases, x], values);
	const plain = unrolled();
	const expected = evaluate([plain, ...gradients(plain, [weights, biases, x])], values);
	const wanted = [looped, ...gradients(looped, [weights, biases, x])];
	evaluate(wanted, values).forEach((value, i) => void assertClose(value.data, expected[i]!.data, 1e-12, `value ${i}`));
	(await runOnEngine(wanted, values)).forEach((value, i) => {
		assertClose(value.data as Float32Array, expected[i]!.data, 1e-5, `engine ${i}`);
	});
});

test('depth does not grow the graph, and 1,000 layers compile quickly', async () => {
	const sizeAt = (depth: number): number => {
		const { weights, biases, looped } = layers(depth);
		const graph = graphOf({ looped, ...Object.fromEntries(gradients(looped, [weights, biases]).entries()) });
		return lower(graph).onnx.nodes.length + countNodes([...graph.outputs.values()]).nodes;
	};
	assert.equal(sizeAt(2), sizeAt(1000));
	const { weights, biases, x, looped } = layers(1000);
	const [dw] = gradients(looped, [weights, biases]);
	const start = performance.now();
	const program = await Program.compile({ looped, dw: dw! }, { cache: false });
	const seconds = (performance.now() - start) / 1000;
	assert.ok(seconds < 10, `${seconds} s`);
	const values = [weights, biases, x].map((tensor, i) => [
		(tensor.node.attributes as { name: string }).name,
		toHost(randomArray(tensor.shape.map(Number), i, 0.05)),
	]);
	const results = await program.run(Object.fromEntries(values));
	assert.deepEqual([...results.dw!.dims], [1000, 3, 3]);
	assert.ok((results.dw!.data as Float32Array).every(Number.isFinite));
});

test('what the backward loop needs of the forward loop is stacked, not what is cheap to make again', () => {
	const { carry } = scan([x0], [xs], ([h], [x]) => ({ carry: [mul(h!, add(mul(x!, 2), factor))] }));
	const loss = sum(carry[0]!);
	const wanted = optimize([loss, ...gradients(loss, [x0, xs])]);
	const forward = topologicalOrder(wanted).find(
		({ op, attributes }) => op.name === 'scan' && !(attributes as ScanAttributes).reverse,
	)!;
	// The last h, and for the backward loop h and the factor it was multiplied by: three values of a step.
	assert.equal(forward.outputs.length, 3);
});

test('lengths that differ, carries that change, and a wrong number of carries are refused', () => {
	const other = input('other', 'float32', [5, 3]);
	assert.throws(() => scan([], [xs, other], () => ({ carry: [] })), /tensors to scan differ in length/);
	assert.throws(() => scan([x0], [xs], ([h]) => ({ carry: [cast(h!, 'int32')] })), /carry 0 changes its type/);
	assert.throws(() => scan([x0], [xs], () => ({ carry: [] })), /another number of carries/);
	assert.throws(() => scan([x0], [], ([h]) => ({ carry: [h!] })), /at least one tensor to walk along/);
});
