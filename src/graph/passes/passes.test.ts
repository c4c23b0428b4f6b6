/** @file Every pass leaves results as they are: random small graphs, before and after; and what each pass is for. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { assertClose, randomArray, runOnEngine } from '../../../test/support/graphs.ts';
import { hostTensor } from '../../base/host-tensor.ts';
import { Program } from '../../runtime/program.ts';
import { evaluate } from '../evaluate.ts';
import {
	add,
	checkpoint,
	constantOf,
	cumSum,
	dim,
	div,
	expand,
	flip,
	gradients,
	input,
	intDiv,
	linear,
	matmul,
	maximum,
	mul,
	neg,
	reshape,
	scan,
	sigmoid,
	slice,
	softmax,
	stopGradient,
	sub,
	sum,
	sumSquare,
	type Tensor,
	tanh,
	transpose,
} from '../index.ts';
import { addDims } from '../shape.ts';
import { topologicalOrder } from '../tensor.ts';
import { shareCommonSubexpressions } from './common-subexpressions.ts';
import { foldConstants } from './fold-constants.ts';
import { inlineCheckpoints } from './inline-checkpoints.ts';
import { mergeScans } from './merge-scans.ts';
import { OPTIONAL_PASSES, optimize, type Pass } from './optimize.ts';

const x = input('x', 'float32', [3, 3]);
const y = input('y', 'float32', [3, 3]);
const feeds = new Map([
	[x, randomArray([3, 3], 1)],
	[y, randomArray([3, 3], 2)],
]);

/** Builds tensors [3, 3] one upon another; a program is a list of choices. */
type Step = readonly [kind: number, first: number, second: number];
const ZERO = constantOf(new Array<number>(9).fill(-0), [3, 3]);
const KINDS: readonly ((a: Tensor, b: Tensor) => Tensor)[] = [
	add,
	sub,
	mul,
	(a, b) => matmul(a, b),
	(a, b) => maximum(a, b),
	(a) => neg(a),
	(a) => tanh(a),
	(a) => transpose(a),
	(a) => softmax(a),
	(a) => flip(a, 0),
	(a) => flip(a, 1),
	(a) => add(cumSum(a, { axis: 0 }), cumSum(a, { axis: 1 })),
	(a) => reshape(expand(reshape(sum(a, { axis: 0 }), [1, 3]), [3, 3]), [3, 3]),
	(a, b) => div(a, add(mul(b, b), 1)),
	() => constantOf([1, 2, 3, 4, 5, 6, 7, 8, 9], [3, 3]),
	() => constantOf([0.5], [1, 1]),
	() => ZERO,
	(a) => stopGradient(a),
	(a, b) => checkpoint([a, b], (p, q) => [tanh(mul(p!, q!))])[0]!,
	(a, b) => scan([a], [b], ([h], [row]) => ({ carry: [tanh(add(h!, row!))] })).carry[0]!,
	(a, b) => scan([], [a], (_, [row]) => ({ carry: [], stacked: [mul(row!, sum(mul(b, row!)))] })).stacked[0]!,
	(a, b) => linear(a, sigmoid(b)),
];
const steps = fc.array(fc.tuple(fc.nat(KINDS.length - 1), fc.nat(99), fc.nat(99)), { minLength: 1, maxLength: 9 });

function grow(program: readonly Step[]): Tensor {
	const made: Tensor[] = [x, y];
	for (const [kind, first, second] of program) {
		const [a, b] = [made[first % made.length]!, made[second % made.length]!];
		made.push(expand((KINDS[kind] as (typeof KINDS)[0])(a, b), [3, 3]));
	}
	return sumSquare(mul(made.at(-1)!, 0.25));
}

const PASSES: Readonly<Record<string, Pass>> = {
	'inline-checkpoints': inlineCheckpoints,
	'merge-scans': mergeScans,
	...OPTIONAL_PASSES,
	'all passes': (outputs) => optimize(outputs),
};
const RUNS = process.env.MODELSMITH_LONG === '1' ? 5000 : 200;

for (const [name, pass] of Object.entries(PASSES)) {
	test(`${name}: random graphs and their gradients keep their values`, () => {
		fc.assert(
			fc.property(steps, (program) => {
				const loss = grow(program);
				const outputs = [loss, ...gradients(loss, [x, y])];
				const before = evaluate(outputs, feeds);
				const after = pass(outputs);
				assert.ok(topologicalOrder(after).length > 0);
				evaluate(after, feeds).forEach((value, i) => {
					assert.deepEqual(value.dims, before[i]!.dims);
					// Folded constants are rounded to float32.
					assertClose(value.data, before[i]!.data, 1e-5, `output ${i} of ${JSON.stringify(program)}`);
				});
				assert.deepEqual(
					after.map((tensor) => String(tensor.shape)),
					outputs.map((tensor) => String(tensor.shape)),
				);
			}),
			{ numRuns: RUNS },
		);
	});
}

test('random graphs on the engine: with all passes, with none, and by reference', async () => {
	const skipPasses = new Set(Object.keys(OPTIONAL_PASSES));
	for (const program of fc.sample(steps, { numRuns: Math.ceil(RUNS / 20), seed: 3 })) {
		const loss = grow(program);
		const outputs = [loss, ...gradients(loss, [x, y])];
		const expected = evaluate(outputs, feeds);
		const used = new Map([...feeds].filter(([tensor]) => topologicalOrder(outputs).includes(tensor.node)));
		for (const options of [{}, { skipPasses }]) {
			(await runOnEngine(outputs, used, options)).forEach((value, i) => {
				assertClose(value.data as Float32Array, expected[i]!.data, 1e-3, `output ${i} of ${JSON.stringify(program)}`);
			});
		}
	}
});

const names = (outputs: readonly Tensor[]): string[] => topologicalOrder(outputs).map(({ op }) => op.name);

test('equal expressions are computed once, different ones are kept apart', () => {
	const twice = shareCommonSubexpressions([add(tanh(mul(x, y)), tanh(mul(x, y)))]);
	assert.deepEqual(names(twice).sort(), ['add', 'input', 'input', 'mul', 'tanh']);
	const different = [sub(x, y), sub(y, x), sum(x, { axis: 0 }), sum(x, { axis: 1 })];
	assert.equal(new Set(shareCommonSubexpressions(different)).size, 4);
	// Signs of zero matter: 1 / 0 and 1 / -0.
	const zeros = shareCommonSubexpressions([div(x, constantOf([0], [1])), div(x, constantOf([-0], [1]))]);
	assert.notEqual(zeros[0], zeros[1]);
});

test('what depends on constants alone becomes a constant, unless it is large or not a number', () => {
	const two = constantOf([2], []);
	assert.deepEqual(names(foldConstants([mul(x, tanh(add(two, two)))])), ['input', 'constant', 'mul']);
	const large = foldConstants([expand(two, [1000, 1000])]);
	assert.ok(names(large).includes('expand'));
	const divided = foldConstants([intDiv(constantOf([1], [1], 'int64'), constantOf([0], [1], 'int64'))]);
	assert.ok(names(divided).includes('intDiv'));
});

test('a constant table read at a symbolic place is not folded', async () => {
	const past = dim('past');
	const cache = input('cache', 'float32', [past]);
	const table = constantOf([10, 20, 30, 40], [4]);
	const at = slice(table, 0, past, addDims(past, 1));
	const program = await Program.compile({ y: add(at, mul(sum(cache), 0)) }, { cache: false });
	for (const length of [1, 3]) {
		const { y: found } = await program.run({ cache: hostTensor('float32', [length], new Array(length).fill(0)) });
		assert.deepEqual([...found!.data], [10 * (length + 1)]);
	}
});
