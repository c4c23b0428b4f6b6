/** @file Checkpoints: gradients as without, recomputation after the backward pass has begun, nothing extra stored in loops. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertClose, checkGradients, randomArray, runOnEngine } from '../../test/support/graphs.ts';
import { lower } from '../runtime/lower.ts';
import { graphOf } from '../runtime/program.ts';
import { checkpoint } from './checkpoint.ts';
import { evaluate } from './evaluate.ts';
import { add, constantOf, gather, gradients, input, linear, scan, sum, sumSquare, type Tensor, tanh } from './index.ts';
import { optimize } from './passes/optimize.ts';
import type { ScanAttributes } from './scan.ts';
import { type GraphNode, topologicalOrder } from './tensor.ts';

const x = input('x', 'float32', [2, 3]);
const w = input('w', 'float32', [3, 3]);
const v = input('v', 'float32', [3, 3]);
const stacked = input('stacked', 'float32', [4, 3, 3]);
const feeds = new Map([
	[x, randomArray([2, 3], 1)],
	[w, randomArray([3, 3], 2)],
	[v, randomArray([3, 3], 3)],
	[stacked, randomArray([4, 3, 3], 4)],
]);

const block = (h: Tensor, weight: Tensor): Tensor => tanh(linear(tanh(linear(h, weight)), v));
const plain = sumSquare(block(block(x, w), w));
const once = (h: Tensor): Tensor => checkpoint([h, w], (a, b) => [block(a!, b!)])[0]!;
const kept = sumSquare(once(once(x)));

async function assertSameGradients(a: Tensor, b: Tensor, parameters: readonly Tensor[]): Promise<void> {
	const expected = evaluate([a, ...gradients(a, parameters)], feeds);
	const wanted = [b, ...gradients(b, parameters)];
	evaluate(wanted, feeds).forEach((value, i) => void assertClose(value.data, expected[i]!.data, 1e-12, `value ${i}`));
	(await runOnEngine(wanted, feeds)).forEach((value, i) => {
		assertClose(value.data as Float32Array, expected[i]!.data, 1e-5, `engine ${i}`);
	});
}

test('gradients of arguments and of captured tensors are those without a checkpoint', async () => {
	await assertSameGradients(plain, kept, [x, w, v]);
	await checkGradients(kept, [x, w, v], feeds);
});

test('several outputs, of which some get no gradient, and integer arguments', async () => {
	const rows = constantOf([1, 0, 1], [3], 'int64');
	const [first, second, third] = checkpoint([x, rows], (a, ids) => [tanh(a!), gather(a!, ids!), ids!]);
	await checkGradients(sumSquare(second!), [x], feeds);
	await checkGradients(add(sumSquare(second!), sum(first!)), [x], feeds);
	assert.equal(third!.dtype, 'int64');
});

test('a checkpoint in a checkpoint', async () => {
	const [outer] = checkpoint([x], (a) => [tanh(once(once(a!)))]);
	await assertSameGradients(sumSquare(tanh(block(block(x, w), w))), sumSquare(outer!), [x, w, v]);
});

/** Whether `node` is reached from `target` by walking backwards. */
function dependsOn(target: GraphNode, node: GraphNode): boolean {
	return topologicalOrder(target.outputs).includes(node);
}

test('the forward computation is repeated, after a gradient is known', () => {
	const count = (loss: Tensor): GraphNode[] =>
		topologicalOrder(optimize([loss, ...gradients(loss, [w])])).filter(({ op }) => op.name === 'tanh');
	assert.equal(count(plain).length, 4);
	const all = count(kept);
	assert.equal(all.length, 8, 'every activation is computed twice');
	const behindBarrier = (node: GraphNode): boolean =>
		topologicalOrder(node.outputs).some(({ op }) => op.name === 'barrier');
	const repeated = all.filter(behindBarrier);
	assert.equal(repeated.length, 4, 'the second time behind a barrier');
	// The barrier waits for a gradient, and the gradient for the end of the forward pass.
	const last = all.filter((node) => !behindBarrier(node)).at(-1)!;
	for (const node of repeated) assert.ok(dependsOn(node, last));
});

test('the engine sees the repetition too', () => {
	const types = (loss: Tensor): number =>
		lower(graphOf({ loss, dw: gradients(loss, [w])[0]! })).onnx.nodes.filter(({ type }) => type === 'Tanh').length;
	assert.deepEqual([types(plain), types(kept)], [4, 8]);
});

test('in a loop over layers only the input of each layer is stored', async () => {
	const loop = (layer: (h: Tensor, weight: Tensor) => Tensor): Tensor =>
		sumSquare(scan([x], [stacked], ([h], [weight]) => ({ carry: [layer(h!, weight!)] })).carry[0]!);
	const without = loop(block);
	const withCheckpoint = loop((h, weight) => checkpoint([h, weight], (a, b) => [block(a!, b!)])[0]!);
	await assertSameGradients(without, withCheckpoint, [x, stacked, v]);
	const forwardOutputs = (loss: Tensor): number => {
		const order = topologicalOrder(optimize([loss, ...gradients(loss, [x, stacked, v])]));
		const forward = order.find(({ op, attributes }) => op.name === 'scan' && !(attributes as ScanAttributes).reverse);
		return forward!.outputs.length;
	};
	assert.equal(forwardOutputs(withCheckpoint), 2, 'the last h, and every h');
	assert.ok(forwardOutputs(without) > 2);
});

test('a loop inside a checkpoint inside a loop', async () => {
	const inner = (h: Tensor, weight: Tensor): Tensor =>
		scan([h], [stacked], ([c], [u]) => ({ carry: [tanh(add(linear(c!, u!), linear(h, weight)))] })).carry[0]!;
	const loop = (layer: (h: Tensor, weight: Tensor) => Tensor): Tensor =>
		sumSquare(scan([x], [stacked], ([h], [weight]) => ({ carry: [layer(h!, weight!)] })).carry[0]!);
	const wrapped = loop((h, weight) => checkpoint([h, weight], (a, b) => [inner(a!, b!)])[0]!);
	await assertSameGradients(loop(inner), wrapped, [x, stacked]);
	const scans = (outputs: readonly Tensor[]): number =>
		topologicalOrder(outputs)
			.filter(({ op }) => op.name === 'scan')
			.reduce((total, node) => total + 1 + scans((node.attributes as ScanAttributes).body.results), 0);
	// Outer forward and backward; inner: once forward, once again with stored values, once backward.
	assert.equal(scans(optimize([wrapped, ...gradients(wrapped, [x, stacked])])), 5);
});
