/** @file Checkpoint folders: what is written is read back, damage of every kind is named, old ones go, the best stays. */
import assert from 'node:assert/strict';
import {
	appendFileSync,
	existsSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	rmSync,
	truncateSync,
	writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { FormatError, InputError } from '../base/errors.ts';
import { hostTensor } from '../base/host-tensor.ts';
import type { TrainingState } from './checkpoint-format.ts';
import {
	checkpointProblems,
	findWeights,
	latestCheckpoint,
	listCheckpoints,
	prune,
	readState,
	readTensors,
	removeTemporary,
	writeCheckpoint,
} from './checkpoints.ts';

const root = mkdtempSync(join(tmpdir(), 'checkpoints-'));
after(() => rmSync(root, { recursive: true }));
let runs = 0;
const newRun = (): string => join(root, `run-${runs++}`);

const tensors = (value: number) => ({
	model: new Map([['w.weight', hostTensor('float32', [2, 2], [value, 1, 2, 3])]]),
	optimizer: new Map([['exp_avg.w.weight', hostTensor('float32', [2, 2], [0, value, 0, 0])]]),
});

function state(step: number, best: number | null = null): TrainingState {
	return {
		formatVersion: 1,
		libraryVersion: '0.0.0',
		step,
		tokens: step * 10,
		seconds: 1.5,
		seed: 1,
		data: { row: step },
		dataHash: 'def',
		configHash: 'abc',
		device: 'cpu',
		threads: 2,
		best: best === null ? null : { step: best, loss: 2.5 },
		validationsSinceBest: 0,
		lossScale: null,
	};
}

test('tensors and state survive; writing a step again replaces it', async () => {
	const run = newRun();
	await writeCheckpoint(run, tensors(1), state(3));
	const path = await writeCheckpoint(run, tensors(7), state(3));
	assert.deepEqual(readState(path), state(3));
	const read = readTensors(path);
	assert.deepEqual(read.model.get('w.weight'), hostTensor('float32', [2, 2], [7, 1, 2, 3]));
	assert.deepEqual(read.optimizer.get('exp_avg.w.weight'), hostTensor('float32', [2, 2], [0, 7, 0, 0]));
	assert.equal(read.ema, undefined);
	assert.deepEqual(readdirSync(join(run, 'checkpoints')), ['step-3']);
});

test('pruning keeps the last ones and the spared; temporary folders are ignored and removed', async () => {
	const run = newRun();
	for (const step of [1, 2, 10, 9]) await writeCheckpoint(run, tensors(step), state(step, 2));
	const temporary = join(run, 'checkpoints', '.step-11.abc.tmp');
	mkdirSync(temporary);
	writeFileSync(join(temporary, 'model.safetensors'), 'half');
	prune(run, 2, new Set([2]));
	assert.deepEqual(
		listCheckpoints(run).map(({ step }) => step),
		[10, 9, 2],
	);
	removeTemporary(run);
	assert.equal(existsSync(temporary), false);
	assert.equal(await findWeights(run), join(run, 'checkpoints', 'step-10', 'model.safetensors'));
	assert.equal(await findWeights(run, true), join(run, 'checkpoints', 'step-2', 'model.safetensors'));
	await assert.rejects(findWeights(newRun()), InputError);
});

test('every kind of damage is found, and the checkpoint before is used', async () => {
	const damages: readonly [(path: string) => void, RegExp][] = [
		[(path) => rmSync(join(path, 'manifest.json')), /manifest\.json: .*no such file/],
		[(path) => truncateSync(join(path, 'manifest.json'), 40), /not valid JSON/],
		[(path) => writeFileSync(join(path, 'manifest.json'), '{"files": {"../x": 1}}'), /is not a manifest/],
		[(path) => rmSync(join(path, 'optimizer.safetensors')), /optimizer\.safetensors is missing/],
		[(path) => truncateSync(join(path, 'model.safetensors'), 50), /model\.safetensors has 50 bytes instead of \d+/],
		[(path) => appendFileSync(join(path, 'state.json'), ' '), /state\.json has \d+ bytes/],
		[
			(path) => writeFileSync(join(path, 'state.json'), ' '.repeat(JSON.stringify(state(2), null, '\t').length + 1)),
			/checksum/,
		],
	];
	for (const [damage, message] of damages) {
		const run = newRun();
		await writeCheckpoint(run, tensors(1), state(1));
		damage(await writeCheckpoint(run, tensors(2), state(2)));
		const told: string[] = [];
		const found = await latestCheckpoint(run, ({ step, problems }) => told.push(`${step}: ${problems.join()}`));
		assert.equal(found?.step, 1);
		assert.equal(told.length, 1);
		assert.match(told[0] as string, message);
		rmSync(join(run, 'checkpoints', 'step-1', 'model.safetensors'));
		await assert.rejects(latestCheckpoint(run), (error: unknown) => {
			assert.ok(error instanceof FormatError);
			return /step-2: [\s\S]*step-1: model\.safetensors is missing/.test(error.message);
		});
	}
	assert.equal(await latestCheckpoint(newRun()), undefined);
});

test('no byte of a checkpoint can change unseen', async () => {
	const run = newRun();
	const path = await writeCheckpoint(run, tensors(1), state(1));
	const names = readdirSync(path).filter((name) => name !== 'manifest.json');
	const { readFileSync } = await import('node:fs');
	await fc.assert(
		fc.asyncProperty(fc.constantFrom(...names), fc.nat(), fc.integer({ min: 1, max: 255 }), async (name, at, flip) => {
			const file = join(path, name);
			const before = readFileSync(file);
			const changed = Buffer.from(before);
			changed[at % before.length]! ^= flip;
			writeFileSync(file, changed);
			const problems = await checkpointProblems({ step: 1, path });
			writeFileSync(file, before);
			assert.deepEqual(problems, [`${name} does not match its checksum`]);
		}),
		{ numRuns: 50 },
	);
	assert.deepEqual(await checkpointProblems({ step: 1, path }), []);
});
