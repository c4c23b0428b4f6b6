/** @file Elementwise kernels compute what the graph computes, in place, for every op they know. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { evaluate } from '../../graph/evaluate.ts';
import * as g from '../../graph/index.ts';
import { ndarray } from '../../graph/reference.ts';
import { Arena, arenaBytes } from './arena.ts';
import { compileElementwise, isElementwise } from './kernel.ts';

const n = [g.dim('n')];
const x = g.input('x', 'float32', n);
const y = g.input('y', 'float32', n);
const s = g.input('s', 'float32', []);

const unary = [
	g.neg,
	g.abs,
	g.sign,
	g.floor,
	g.ceil,
	g.round,
	(t: g.Tensor) => g.sqrt(g.abs(t)),
	(t: g.Tensor) => g.reciprocal(g.add(g.mul(t, t), 1)),
];
const binary = [
	g.add,
	g.sub,
	g.mul,
	g.minimum,
	g.maximum,
	(a: g.Tensor, b: g.Tensor) => g.div(a, g.add(g.abs(b), 0.5)),
	(a: g.Tensor, b: g.Tensor) => g.where(g.less(a, b), a, g.mul(b, s)),
];

/** Random expressions over x, y and the scalar s. */
const expression: fc.Arbitrary<g.Tensor> = fc.letrec<{ node: g.Tensor }>((tie) => ({
	node: fc.oneof(
		{ maxDepth: 5, withCrossShrink: true },
		fc.constantFrom(x, y, g.mul(x, s), g.add(y, 0.25)),
		fc.tuple(fc.constantFrom(...unary), tie('node')).map(([f, a]) => f(a)),
		fc.tuple(fc.constantFrom(...binary), tie('node'), tie('node')).map(([f, a, b]) => f(a, b)),
	),
})).node;

test('random expressions agree with the reference', () => {
	fc.assert(
		fc.property(
			expression,
			fc.integer({ min: 1, max: 37 }),
			fc.float({ min: -2, max: 2, noNaN: true }),
			(tree, length, scalar) => {
				const arena = new Arena(3 * arenaBytes([length]));
				const tensors = { x: arena.float32([length]), y: arena.float32([length]), out: arena.float32([length]) };
				for (let i = 0; i < length; i++) {
					tensors.x.data[i] = Math.fround(Math.sin(i * 1.7) * 3);
					tensors.y.data[i] = Math.fround(Math.cos(i * 2.3) * 3);
				}
				const outputs = { out: g.add(g.mul(x, 0.5), tree) };
				assert.ok(isElementwise(outputs));
				const kernel = compileElementwise(outputs);
				const feeds = new Map(
					[x, y].map((t, i) => [
						t,
						ndarray(
							'float32',
							[length],
							Float64Array.from(i === 0 ? (tensors.x.data as Float32Array) : (tensors.y.data as Float32Array)),
						),
					]),
				);
				const [expected] = evaluate([outputs.out], feeds.set(s, ndarray('float32', [], [scalar])));
				arena.run(kernel, tensors, kernel.scalars({ s: scalar }));
				for (let i = 0; i < length; i++) {
					const [actual, wanted] = [Number(tensors.out.data[i]), expected!.data[i] as number];
					// Rounding differs between float32 and float64; near a step (floor, sign, comparison) the results may too.
					if (Math.abs(actual - wanted) > 1e-3 * (1 + Math.abs(wanted))) {
						const steps = /floor|ceil|round|sign|where|minimum|maximum/.test(describe(tree));
						assert.ok(steps, `element ${i}: ${actual}, expected ${wanted}`);
					}
				}
			},
		),
		{ numRuns: 200 },
	);
});

function describe(tensor: g.Tensor): string {
	return `${tensor.node.op.name}(${tensor.node.inputs.map(describe).join(',')})`;
}

test('every op by itself, away from its steps and on them', () => {
	const points = [-2.5, -1.5, -0.5, -0.25, 0.25, 0.5, 1.5, 2.5];
	const two = (f: (a: g.Tensor, b: g.Tensor) => g.Tensor) => f(x, y);
	const expressions: g.Tensor[] = [...unary.map((f) => f(x)), ...binary.map(two)];
	for (const test of [g.equal, g.less, g.greater, g.lessEqual, g.greaterEqual])
		expressions.push(g.where(test(x, y), x, g.mul(y, 2)));
	for (const out of expressions) {
		const kernel = compileElementwise({ out: g.add(out, g.mul(g.add(x, y), 0)) });
		const arena = new Arena(3 * arenaBytes([64]));
		const tensors = { x: arena.float32([64]), y: arena.float32([64]), out: arena.float32([64]) };
		for (let i = 0; i < 64; i++) {
			tensors.x.data[i] = points[i % 8] as number;
			tensors.y.data[i] = points[i >> 3] as number;
		}
		const of = (data: ArrayLike<number>) => ndarray('float32', [64], Float64Array.from(data));
		const feeds = new Map([
			[x, of(tensors.x.data as Float32Array)],
			[y, of(tensors.y.data as Float32Array)],
			[s, ndarray('float32', [], [1.5])],
		]);
		const [expected] = evaluate([out], feeds);
		arena.run(kernel, tensors, kernel.scalars({ s: 1.5 }));
		for (let i = 0; i < 64; i++) {
			const [actual, wanted] = [Number(tensors.out.data[i]), expected!.data[i] as number];
			assert.ok(
				Math.abs(actual - wanted) < 1e-6 * (1 + Math.abs(wanted)),
				`${describe(out)}: element ${i} is ${actual}, expected ${wanted}`,
			);
		}
	}
});

test('works in place and keeps the reference result exactly for one rounding per op', () => {
	const outputs = { x: g.add(g.mul(x, s), y), y: g.mul(x, y) };
	const kernel = compileElementwise(outputs);
	const arena = new Arena(2 * arenaBytes([6]));
	const tensors = { x: arena.float32([6]), y: arena.float32([6]) };
	const [a, b] = [
		[1, 2, 3, 4, 5, 0.1],
		[6, -7, 8, 9, 10, 0.2],
	];
	(tensors.x.data as Float32Array).set(a);
	(tensors.y.data as Float32Array).set(b);
	arena.run(kernel, tensors, kernel.scalars({ s: 0.5 }));
	assert.deepEqual(
		[...(tensors.x.data as Float32Array)],
		a.map((v, i) => Math.fround(Math.fround(Math.fround(v) * 0.5) + Math.fround(b[i]!))),
	);
	assert.deepEqual(
		[...(tensors.y.data as Float32Array)],
		a.map((v, i) => Math.fround(Math.fround(v) * Math.fround(b[i]!))),
	);
});

test('refuses what is not elementwise', () => {
	const soft = g.softmax(x);
	assert.equal(isElementwise({ soft }), false);
	assert.throws(() => compileElementwise({ soft }), /"softmax" has no elementwise kernel/);
	const other = g.input('z', 'float32', [g.dim('m')]);
	assert.throws(() => compileElementwise({ a: g.neg(x), b: g.neg(other) }), /differ in shape/);
});

test('an arena refuses more than a WebAssembly memory holds and foreign arrays', () => {
	assert.throws(() => new Arena(5 * 2 ** 30), /do not fit/);
	const kernel = compileElementwise({ x: g.neg(x) });
	const arena = new Arena(64);
	assert.throws(
		() => arena.run(kernel, { x: { dtype: 'float32', dims: [4], data: new Float32Array(4) } }, []),
		/outside the arena/,
	);
});
