/** @file Dropout and stochastic depth: rates, scale, what they depend on. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hostTensor } from '../base/host-tensor.ts';
import { expand } from '../graph/ops/movement.ts';
import { input, scalar } from '../graph/ops/source.ts';
import type { Tensor } from '../graph/tensor.ts';
import { Program } from '../runtime/program.ts';
import { dropout, dropPath } from './dropout.ts';
import { Pass } from './pass.ts';

const seed = input('seed', 'int32', []);
const ones = expand(scalar(1), [400, 50]);
const pass = (training: boolean): Pass => new Pass({ batch: 400, time: 50, training, seed });

async function run(x: Tensor, value = 1): Promise<number[]> {
	const program = await Program.compile({ x });
	return Array.from((await program.run({ seed: hostTensor('int32', [], [value]) })).x?.data ?? [], Number);
}

test('off outside training and at rate 0', () => {
	assert.equal(dropout(ones, 0.5, pass(false), 'a'), ones);
	assert.equal(dropout(ones, 0, pass(true), 'a'), ones);
	assert.equal(dropPath(ones, 0.5, 4, pass(false).inLayer(2), 'a'), ones);
	assert.equal(dropPath(ones, 0.5, 4, pass(true).inLayer(0), 'a'), ones, 'the first layer never drops');
	assert.throws(() => dropout(ones, 0.5, new Pass({ batch: 1, time: 1, training: true }), 'a'), /seed/);
});

test('the wanted share is dropped and the mean kept', async () => {
	const kept = await run(dropout(ones, 0.3, pass(true), 'a'));
	const share = kept.filter((value) => value === 0).length / kept.length;
	assert.ok(Math.abs(share - 0.3) < 0.02, `${share}`);
	assert.ok(kept.every((value) => value === 0 || Math.abs(value - 1 / 0.7) < 1e-6));
});

test('layers, places and seeds draw different numbers, repeated runs the same', async () => {
	const at = (layer: number, site: string): Tensor => dropout(ones, 0.5, pass(true).inLayer(layer), site);
	const base = await run(at(0, 'a'));
	assert.deepEqual(await run(at(0, 'a')), base);
	for (const other of [await run(at(1, 'a')), await run(at(0, 'b')), await run(at(0, 'a'), 2)]) {
		const equal = other.filter((value, i) => value === base[i]).length / base.length;
		assert.ok(Math.abs(equal - 0.5) < 0.03, `${equal} of the draws agree`);
	}
});

test('stochastic depth drops whole texts, more of them in later layers', async () => {
	for (const [layer, rate] of [
		[1, 0.2],
		[3, 0.6],
	] as const) {
		const kept = await run(dropPath(ones, 0.6, 4, pass(true).inLayer(layer), 'a'));
		let dropped = 0;
		for (let text = 0; text < 400; text++) {
			const row = new Set(kept.slice(text * 50, (text + 1) * 50));
			assert.equal(row.size, 1);
			if (row.has(0)) dropped++;
			else assert.ok(Math.abs((kept[text * 50] as number) - 1 / (1 - rate)) < 1e-5);
		}
		assert.ok(Math.abs(dropped / 400 - rate) < 0.08, `${dropped} of 400`);
	}
});
