/** @file The chunked loss equals the loss of the full logits: values, gradients, any chunk, inside loops and checkpoints. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertClose, centralDifferences, randomArray, runOnEngine } from '../../../test/support/graphs.ts';
import { checkpoint } from '../checkpoint.ts';
import { evaluate } from '../evaluate.ts';
import { gradients } from '../gradients.ts';
import {
	add,
	constantOf,
	crossEntropy,
	dim,
	input,
	linearCrossEntropy,
	matmul,
	mean,
	mul,
	scan,
	smoothedCrossEntropy,
	sum,
} from '../index.ts';
import { ndarray } from '../reference.ts';

const [ROWS, DIM, VOCABULARY] = [6, 4, 11];
const hidden = input('hidden', 'float32', [dim('rows'), DIM]);
const weight = input('weight', 'float32', [VOCABULARY, DIM]);
const labels = input('labels', 'int64', [dim('rows')]);
const weights = input('weights', 'float32', [dim('rows')]);
const feeds = new Map([
	[weights, ndarray('float32', [ROWS], [1, 2, 3, -1, 0.5, 0.25])],
	[hidden, randomArray([ROWS, DIM], 1, 3)],
	[weight, randomArray([VOCABULARY, DIM], 2, 3)],
	[labels, ndarray('int64', [ROWS], [0, 10, -100, 5, 5, 7])],
]);

for (const options of [{}, { labelSmoothing: 0.1 }, { zLoss: 0.01 }, { labelSmoothing: 0.2, zLoss: 0.05 }]) {
	const full = smoothedCrossEntropy(matmul(hidden, weight, { transposeB: true }), labels, options);
	test(`the loss of full logits with ${JSON.stringify(options)} has the right gradient`, () => {
		const loss = mean(full);
		const [dh, dw] = evaluate(gradients(loss, [hidden, weight]), feeds);
		assertClose(dh!.data, centralDifferences(loss, hidden, feeds), 1e-6, 'hidden');
		assertClose(dw!.data, centralDifferences(loss, weight, feeds), 1e-6, 'weight');
	});
	for (const chunk of [1, 3, 4, 11, 64]) {
		test(`chunks of ${chunk} give the loss of the full logits with ${JSON.stringify(options)}`, async () => {
			const rows = linearCrossEntropy(hidden, weight, labels, { chunk, ...options });
			// Rows weigh differently, so that a gradient given to a wrong row shows.
			const own = [rows, ...gradients(sum(mul(rows, weights)), [hidden, weight])];
			const expected = [full, ...gradients(sum(mul(full, weights)), [hidden, weight])];
			const reference = evaluate(expected, feeds);
			evaluate(own, feeds).forEach((value, i) => {
				assertClose(value.data, reference[i]!.data, 1e-6, `output ${i} in float64`);
			});
			const engine = await runOnEngine(own, feeds);
			engine.forEach((value, i) => {
				assertClose(value.data as Float32Array, reference[i]!.data, 1e-5, `output ${i} on the engine`);
			});
			assert.equal(reference[0]!.data[2], 0, 'an ignored row costs nothing');
		});
	}
}

test('without smoothing and z-loss the plain cross-entropy comes out', () => {
	const logits = matmul(hidden, weight, { transposeB: true });
	const [a, b] = evaluate([smoothedCrossEntropy(logits, labels), crossEntropy(logits, labels)], feeds);
	assert.deepEqual(a, b);
});

test('inside a checkpoint and inside a scan over micro-batches', async () => {
	const direct = mean(linearCrossEntropy(hidden, weight, labels, { chunk: 4 }));
	const [kept] = checkpoint([hidden, weight, labels], (h, w, y) => [
		mean(linearCrossEntropy(h!, w!, y!, { chunk: 4 })),
	]);
	const parts = { hidden: input('parts', 'float32', [2, 3, DIM]), labels: input('partLabels', 'int64', [2, 3]) };
	const { carry } = scan([constantOf([0], [])], [parts.hidden, parts.labels], ([total], [h, y]) => ({
		carry: [add(total!, mul(sum(linearCrossEntropy(h!, weight, y!, { chunk: 4 })), 1 / ROWS))],
	}));
	const all = new Map([
		...feeds,
		[parts.hidden, { ...feeds.get(hidden)!, dims: [2, 3, DIM] }],
		[parts.labels, { ...feeds.get(labels)!, dims: [2, 3] }],
	]);
	const expected = evaluate([direct, ...gradients(direct, [hidden, weight])], feeds);
	for (const [loss, source] of [
		[kept!, hidden],
		[carry[0]!, parts.hidden],
	] as const) {
		const wanted = [loss, ...gradients(loss, [source, weight])];
		evaluate(wanted, all).forEach((value, i) => {
			assertClose(value.data, expected[i]!.data, 1e-6, `output ${i}`);
		});
		const engine = await runOnEngine(wanted, all);
		engine.forEach((value, i) => {
			assertClose(value.data as Float32Array, expected[i]!.data, 1e-5, `output ${i} on the engine`);
		});
	}
});

test('operands and settings that do not fit are refused', () => {
	assert.throws(() => linearCrossEntropy(hidden, input('w', 'float32', [5, 3]), labels), /do not fit/);
	assert.throws(() => linearCrossEntropy(hidden, input('w', 'float32', [dim('v'), DIM]), labels), /build time/);
	assert.throws(() => linearCrossEntropy(hidden, weight, labels, { chunk: 0 }), /at least one class/);
	assert.throws(() => smoothedCrossEntropy(weight, labels, { labelSmoothing: 1 }), /labelSmoothing in \[0, 1\)/);
});
