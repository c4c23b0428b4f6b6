/** @file Errors made while a graph is built name the op, the shapes and the line of the caller. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ShapeError } from '../base/errors.ts';
import {
	add,
	addAll,
	allOps,
	checkpoint,
	concat,
	conv1d,
	defineOp,
	div,
	dropout,
	einsum,
	gather,
	gradients,
	input,
	layerNorm,
	linear,
	matmul,
	pad,
	reshape,
	scan,
	slice,
	split,
	squeeze,
	sum,
	type Tensor,
	transpose,
} from './index.ts';

const a = input('a', 'float32', [2, 3]);
const b = input('b', 'float32', [4, 5]);
const ids = input('ids', 'int64', [2]);

const MISTAKES: readonly (readonly [string, () => unknown, RegExp])[] = [
	['add', () => add(a, b), /add\(float32\[2, 3\], float32\[4, 5\]\): shapes cannot be broadcast/],
	['dtypes', () => add(a, ids), /add\(float32\[2, 3\], int64\[2\]\): operands have different dtypes/],
	['matmul', () => matmul(a, b), /matmul\(float32\[2, 3\], float32\[4, 5\]\): matrices cannot be multiplied/],
	['linear', () => linear(a, b), /linear\(float32\[2, 3\], float32\[4, 5\]\)/],
	['layerNorm', () => layerNorm(a, ids, undefined), /layerNorm\(float32\[2, 3\], int64\[2\]\): scale and bias/],
	['concat', () => concat([a, b], 0), /concat\(float32\[2, 3\], float32\[4, 5\]\)/],
	['concat of nothing', () => concat([], 0), /concat\(\): at least one tensor/],
	['reshape', () => reshape(a, [4]), /reshape\(float32\[2, 3\]\): cannot reshape/],
	['reshape -1', () => reshape(a, [-1, 4]), /reshape\(float32\[2, 3\]\): cannot infer/],
	['transpose', () => transpose(a, [0, 0]), /transpose\(float32\[2, 3\]\): not a permutation/],
	['squeeze', () => squeeze(a, 0), /squeeze\(float32\[2, 3\]\): cannot remove axis 0/],
	['split', () => split(a, 2, 1), /split\(float32\[2, 3\]\): axis 1 of size 3/],
	['split sizes', () => split(a, [1, 1], 1), /split\(float32\[2, 3\]\): parts add up to 2/],
	['slice', () => slice(a, 1, 0, 4), /slice\(float32\[2, 3\]\): slice \[0, 4\) leaves axis 1/],
	['slice before', () => slice(a, 1, -4, 2), /slice\(float32\[2, 3\]\): slice \[-1, 2\) begins before/],
	['slice step', () => slice(a, 1, 0, 2, 0), /the step 0/],
	['pad', () => pad(a, [1], [1]), /pad\(float32\[2, 3\]\): a size for every axis/],
	['axis', () => sum(a, { axis: 2 }), /sum: axis 2 does not exist/],
	['gather', () => gather(a, b), /gather\(float32\[2, 3\], float32\[4, 5\]\): indices must be integers/],
	['div', () => div(ids, 2), /div\(int64\[2\], int64\[\]\): div is for floats/],
	['einsum', () => einsum('ij,jk->ik', a, b), /einsum\("ij,jk->ik", \[2, 3\], \[4, 5\]\): "j" has the sizes 3 and 4/],
	['conv1d', () => conv1d(a, b), /conv\(float32\[2, 3\], float32\[4, 5\]\): input and weight/],
	['scan', () => scan([], [a, b], () => ({ carry: [] })), /scan\(float32\[2, 3\], float32\[4, 5\]\): tensors to scan/],
	['inside a scan', () => scan([], [a], (_, [x]) => ({ carry: [add(x!, b)] })), /add\(float32\[3\], float32\[4, 5\]\)/],
	['inside a checkpoint', () => checkpoint([a], (x) => [matmul(x!, b)]), /matmul\(float32\[2, 3\]/],
	['gradients', () => gradients(a, [a]), /gradients: gradients are taken of a scalar/],
	['dropout', () => dropout(a, 2, ids), /dropout: dropout needs floats and a rate/],
];

for (const [name, mistake, expected] of MISTAKES) {
	test(`a mistake in ${name} is described and found`, () => {
		assert.throws(mistake, (error: Error) => {
			assert.ok(error instanceof ShapeError, String(error));
			const [first] = error.message.split('\n');
			assert.match(first!, expected);
			assert.match(first!, /\(at .*op\.test\.ts:\d+\)$/);
			return true;
		});
	});
}

test('the line is that of the caller, not of a helper of the toolkit', () => {
	const build = (): Tensor => add(a, b);
	const here = new Error().stack!.split('\n')[1]!.match(/:(\d+):\d+/)![1]!;
	assert.throws(build, new RegExp(`op\\.test\\.ts:${Number(here) - 1}\\)`));
});

test('a sum of nothing is refused', () => {
	assert.throws(() => addAll([]), /at least one tensor/);
});

test('a name can be defined once', () => {
	const first = allOps().get('add')!;
	assert.throws(() => defineOp(first), /op "add" is defined twice/);
});
