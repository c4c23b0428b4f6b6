/** @file Random loop bodies: a loop and its gradients equal the same steps written out, with checkpoints and inner loops. */
import { test } from 'node:test';
import fc from 'fast-check';
import { assertClose, randomArray, runOnEngine } from '../../test/support/graphs.ts';
import { evaluate } from './evaluate.ts';
import {
	add,
	addAll,
	checkpoint,
	gradients,
	input,
	mul,
	reshape,
	scan,
	select,
	softmax,
	stack,
	stopGradient,
	sub,
	sum,
	sumSquare,
	type Tensor,
	tanh,
	transpose,
} from './index.ts';
import { optimize } from './passes/optimize.ts';

const [LENGTH, SIZE] = [3, 2];
const start = input('start', 'float32', [SIZE, SIZE]);
const other = input('other', 'float32', [SIZE, SIZE]);
const xs = input('xs', 'float32', [LENGTH, SIZE, SIZE]);
const outer = input('outer', 'float32', [SIZE, SIZE]);
const feeds = new Map([
	[start, randomArray([SIZE, SIZE], 1)],
	[other, randomArray([SIZE, SIZE], 2)],
	[xs, randomArray([LENGTH, SIZE, SIZE], 3)],
	[outer, randomArray([SIZE, SIZE], 4)],
]);

const KINDS: readonly ((a: Tensor, b: Tensor) => Tensor)[] = [
	add,
	sub,
	mul,
	(a) => tanh(a),
	(a) => transpose(a),
	(a) => softmax(a),
	(a) => stopGradient(a),
	(a) => reshape(reshape(a, [-1]), [SIZE, SIZE]),
	(a, b) => mul(a, sum(b)),
	(a) => mul(a, outer),
	(a) => add(a, tanh(mul(outer, outer))),
	(a, b) => checkpoint([a], (p) => [tanh(mul(p!, b))])[0]!,
	(a, b) => checkpoint([a, b], (p, q) => [mul(p!, outer), add(p!, q!)])[1]!,
	(a, b) => scan([a], [b], ([h], [row]) => ({ carry: [tanh(add(h!, row!))] })).carry[0]!,
	(a, b) => checkpoint([a], (p) => [scan([p!], [b], ([h], [row]) => ({ carry: [mul(h!, row!)] })).carry[0]!])[0]!,
];
type Step = readonly [kind: number, first: number, second: number];

/** Which of the values made in a step become the next carries and the stacked value. */
interface Body {
	readonly steps: readonly Step[];
	readonly results: readonly [number, number, number];
	readonly reverse: boolean;
}

const bodies: fc.Arbitrary<Body> = fc.record({
	steps: fc.array(fc.tuple(fc.nat(KINDS.length - 1), fc.nat(99), fc.nat(99)), { maxLength: 6 }),
	results: fc.tuple(fc.nat(99), fc.nat(99), fc.nat(99)),
	reverse: fc.boolean(),
});

function runBody({ steps, results }: Body, values: readonly Tensor[]): readonly Tensor[] {
	const made = [...values];
	for (const [kind, first, second] of steps) {
		made.push((KINDS[kind] as (typeof KINDS)[0])(made[first % made.length]!, made[second % made.length]!));
	}
	return results.map((index) => made[made.length - 1 - (index % made.length)]!);
}

function looped(body: Body): readonly Tensor[] {
	const { carry, stacked } = scan(
		[start, other],
		[xs],
		([a, b], [x]) => {
			const [nextA, nextB, out] = runBody(body, [a!, b!, x!]);
			return { carry: [nextA!, nextB!], stacked: [out!] };
		},
		{ reverse: body.reverse },
	);
	return [...carry, ...stacked];
}

function writtenOut(body: Body): readonly Tensor[] {
	let [a, b] = [start, other];
	const out: Tensor[] = [];
	for (let i = 0; i < LENGTH; i++) {
		const at = body.reverse ? LENGTH - 1 - i : i;
		const [nextA, nextB, value] = runBody(body, [a, b, select(xs, 0, at)]);
		[a, b] = [nextA!, nextB!];
		out[at] = value!;
	}
	return [a, b, stack(out)];
}

/** Loss over some of the results, so that gradients arrive at some outputs only. */
function outputsOf(results: readonly Tensor[], used: number): readonly Tensor[] {
	const terms = results.filter((_, i) => (used >> i) & 1).map((result) => sumSquare(result));
	const loss = addAll(terms);
	return [loss, ...gradients(loss, [start, other, xs, outer])];
}

const RUNS = process.env.MODELSMITH_LONG === '1' ? 3000 : 150;

test('random loops equal the written-out steps, before and after all passes', () => {
	fc.assert(
		fc.property(bodies, fc.integer({ min: 1, max: 7 }), (body, used) => {
			const expected = evaluate(outputsOf(writtenOut(body), used), feeds);
			const outputs = outputsOf(looped(body), used);
			for (const tensors of [outputs, optimize(outputs)]) {
				evaluate(tensors, feeds).forEach((value, i) => {
					assertClose(value.data, expected[i]!.data, 1e-6, `output ${i}`);
				});
			}
		}),
		{ numRuns: RUNS },
	);
});

test('random loops on the engine', async () => {
	for (const [body, used] of fc.sample(fc.tuple(bodies, fc.integer({ min: 1, max: 7 })), {
		numRuns: Math.ceil(RUNS / 8),
		seed: 5,
	})) {
		const expected = evaluate(outputsOf(writtenOut(body), used), feeds);
		const outputs = outputsOf(looped(body), used);
		const engine = await runOnEngine(outputs, feeds);
		engine.forEach((value, i) => {
			assertClose(value.data as Float32Array, expected[i]!.data, 1e-3, `output ${i} of ${JSON.stringify(body)}`);
		});
	}
});
