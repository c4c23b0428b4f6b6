/** @file Programs as a whole: feeding, preallocated results, symbolic sizes, bound inputs, profiles, the session cache. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { hostTensor, zeros } from '../base/host-tensor.ts';
import * as g from '../graph/index.ts';
import { finishProfile } from './profile.ts';
import { Program } from './program.ts';

const batch = g.dim('batch');
const x = g.input('x', 'float32', [batch, 3]);
const w = g.input('w', 'float32', [3, 2]);
const values = hostTensor('float32', [3, 2], [1, 2, 3, 4, 5, 6]);

test('one program runs at several batch sizes', async () => {
	const program = await Program.compile({ y: g.matmul(x, w), rows: g.dimValue(g.dim('batch')) });
	for (const rows of [1, 4]) {
		const { y, rows: counted } = await program.run({
			x: hostTensor('float32', [rows, 3], new Float32Array(rows * 3).fill(1)),
			w: values,
		});
		assert.deepEqual([...y!.dims], [rows, 2]);
		assert.deepEqual([...(y!.data as Float32Array)], new Array(rows).fill([9, 12]).flat());
		assert.equal(Number(counted!.data[0]), rows);
	}
});

test('results land in the given arrays', async () => {
	const program = await Program.compile({ y: g.mul(x, 2) });
	const target = zeros('float32', [1, 3]);
	const { y } = await program.run({ x: hostTensor('float32', [1, 3], [1, 2, 3]) }, { y: target });
	assert.deepEqual([...(target.data as Float32Array)], [2, 4, 6]);
	assert.equal(y!.data, target.data);
});

test('bound inputs become part of the program, large ones beside the model', async () => {
	const big = hostTensor(
		'float32',
		[3, 2000],
		Float32Array.from({ length: 6000 }, (_, i) => i % 7),
	);
	const v = g.input('v', 'float32', [3, 2000]);
	const program = await Program.compile({ y: g.matmul(x, v) }, { bound: new Map([['v', big]]) });
	assert.deepEqual(
		program.inputs.map(({ name }) => name),
		['x'],
	);
	assert.ok(program.modelBytes < 4096);
	const { y } = await program.run({ x: hostTensor('float32', [1, 3], [1, 0, 2]) });
	assert.equal(Number(y!.data[5]), 5 + 2 * (4005 % 7));
});

test('missing and misshapen inputs are named', async () => {
	const program = await Program.compile({ y: g.matmul(x, w) });
	await assert.rejects(program.run({ x: zeros('float32', [1, 3]) }), /input "w" was not given/);
	await assert.rejects(program.run({ x: zeros('float32', [1, 4]), w: values }), /input "x" does not fit/);
	await assert.rejects(program.run({ x: zeros('int32', [1, 3]), w: values }), /expected: float32\[batch, 3\]/);
});

test('inputs that disagree on a named size are refused', async () => {
	const z = g.input('z', 'float32', [batch, 3]);
	const program = await Program.compile({ y: g.add(x, z) });
	const wrong = program.run({ x: zeros('float32', [4, 3]), z: zeros('float32', [1, 3]) });
	await assert.rejects(wrong, /"batch" is 1 in input "z"[\s\S]*4, as in input "x"/);
});

test('half-precision inputs and outputs are bits', async () => {
	const half = g.input('half', 'float16', [3]);
	const program = await Program.compile({ y: g.mul(half, 2), wide: g.cast(half, 'float32') }, { cache: false });
	const { y, wide } = await program.run({ half: hostTensor('float16', [3], [1, -0.5, 2048]) });
	assert.deepEqual([...(wide!.data as Float32Array)], [1, -0.5, 2048]);
	assert.deepEqual([...y!.data], [...hostTensor('float16', [3], [2, -1, 4096]).data]);
});

test('an empty batch passes through a checkpoint', async () => {
	const [y] = g.checkpoint([x], (h) => [g.tanh(h!)]);
	const loss = g.sum(g.mul(y!, y!));
	const program = await Program.compile({ loss, dx: g.gradients(loss, [x])[0]! }, { cache: false });
	const { dx } = await program.run({ x: zeros('float32', [0, 3]) });
	assert.deepEqual([...dx!.dims], [0, 3]);
});

test('a value bound to an input must fit', async () => {
	await assert.rejects(
		Program.compile({ y: g.matmul(x, w) }, { bound: new Map([['w', zeros('float32', [2, 2])]]) }),
		/bound to "w" does not fit/,
	);
});

test('equal graphs share a session', async () => {
	const build = () => Program.compile({ y: g.exp(g.input('x', 'float32', [2, 2])) });
	assert.equal((await build()).session, (await build()).session);
});

test('an unknown size is an error at compile time', async () => {
	await assert.rejects(Program.compile({ y: g.arange(0, g.dim('nowhere')) }), /dimension "nowhere" cannot be found/);
});

test('a profile adds up by op and leaves a Chrome trace', async () => {
	const folder = mkdtempSync(join(tmpdir(), 'modelsmith profile '));
	try {
		const profilePrefix = join(folder, 'engine');
		const program = await Program.compile({ y: g.softmax(g.matmul(x, w)) }, { profilePrefix });
		for (let i = 0; i < 3; i++) await program.run({ x: zeros('float32', [2, 3]), w: values });
		const profile = finishProfile(program, profilePrefix, join(folder, 'trace.json'));
		assert.equal(profile.runs, 3);
		const matmul = profile.byOp.find(({ op }) => op === 'MatMul' || op === 'Gemm');
		assert.equal(matmul?.calls, 1);
		assert.ok(Math.abs(profile.byOp.reduce((sum, { share }) => sum + share, 0) - 1) < 1e-9);
		assert.ok(Array.isArray(JSON.parse(readFileSync(join(folder, 'trace.json'), 'utf8'))));
	} finally {
		rmSync(folder, { recursive: true });
	}
});
