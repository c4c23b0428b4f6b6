/**
 * @file What we lower is valid for the official ONNX checker, not only for ONNX Runtime. Needs Python with the package onnx.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { hostTensor } from '../src/base/host-tensor.ts';
import { encodeModel } from '../src/runtime/onnx.ts';
import { python, skipWithout } from './support/python.ts';

const script = fileURLToPath(new URL('../scripts/check-onnx.py', import.meta.url));
const skip = skipWithout('onnx');

const check = (...paths: string[]) => spawnSync(python, [script, ...paths], { encoding: 'utf8' });

test('every op sample, loops and a language model pass the official checker', { skip }, () => {
	const { status, stdout, stderr } = check();
	assert.equal(status, 0, stderr);
	assert.match(stdout, /contributed: (\d+) of \1 models pass/);
	assert.match(stdout, /standard: (\d+) of \1 models pass/);
});

test('a wrong model is reported', { skip }, () => {
	const folder = mkdtempSync(join(tmpdir(), 'modelsmith onnx '));
	try {
		const value = { name: 'y', dtype: 'float32' as const, shape: [2] };
		const node = { type: 'Neg', name: 'n', domain: '', inputs: ['nowhere'], outputs: ['y'], attributes: {} };
		const initializers = [{ name: 'c', value: hostTensor('float32', [1], [1]) }];
		const model = encodeModel({ name: 'wrong', nodes: [node], inputs: [], outputs: [value], initializers });
		writeFileSync(join(folder, 'wrong.onnx'), model);
		const { status, stderr } = check(folder);
		assert.equal(status, 1);
		assert.match(stderr, /wrong\.onnx: .*nowhere/);
	} finally {
		rmSync(folder, { recursive: true });
	}
});
