/**
 * @file A run killed anywhere and resumed gives the loss curve of an uninterrupted one, digit for digit; Ctrl-C ends in good
 * order; damaged checkpoints are found and passed over. Twenty kills with MODELSMITH_LONG=1.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { tinyRun } from '../../test/support/tiny-run.ts';
import { RandomStream } from '../base/random.ts';
import { checkpointProblems, latestCheckpoint, listCheckpoints } from './checkpoints.ts';
import { trainHere } from './run-training.ts';

const LONG = process.env.MODELSMITH_LONG === '1';
const STEPS = LONG ? 400 : 60;
const KILLS = LONG ? 20 : 3;
const CHILD = new URL('../../test/support/train-child.ts', import.meta.url).pathname;
const root = mkdtempSync(join(tmpdir(), 'resume-'));
const whole = join(root, 'whole');
after(() => rmSync(root, { recursive: true, force: true }));

function text(seed: number, words: number): string {
	const random = new RandomStream(seed);
	const vocabulary = ['whale', 'sea', 'ship', 'the', 'a', 'storm', 'white', 'of', 'harpoon', 'night', 'and', 'deck'];
	return Array.from({ length: words }, () => vocabulary[random.integer(vocabulary.length)]).join(' ');
}

function folder(name: string): string {
	const path = join(root, name);
	mkdirSync(path, { recursive: true });
	writeFileSync(join(path, 'corpus.txt'), text(1, 4000));
	writeFileSync(join(path, 'held-out.txt'), text(2, 200));
	return path;
}

interface Child {
	readonly process: ChildProcess;
	readonly output: () => string;
	readonly errors: () => string;
	readonly ended: Promise<number | null>;
}

function train(path: string, resume: boolean): Child {
	const child = spawn(process.execPath, [CHILD, path, String(STEPS), ...(resume ? ['resume'] : [])], {
		stdio: ['ignore', 'pipe', 'pipe'],
	});
	let [output, errors] = ['', ''];
	child.stdout.setEncoding('utf8').on('data', (piece: string) => {
		output += piece;
	});
	child.stderr.setEncoding('utf8').on('data', (piece: string) => {
		errors += piece;
	});
	const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
	return { process: child, output: () => output, errors: () => errors, ended };
}

async function until(child: Child, condition: () => boolean): Promise<void> {
	while (!condition() && child.process.exitCode === null && child.process.signalCode === null) await sleep(2);
}

/** What must be equal in two runs: everything but times and memory. */
function curve(path: string): unknown[] {
	return readFileSync(join(path, 'run', 'metrics.jsonl'), 'utf8')
		.trimEnd()
		.split('\n')
		.map((line) => {
			const { tokensPerSecond: _rate, mfu: _mfu, seconds: _seconds, memory: _memory, ...rest } = JSON.parse(line);
			return rest;
		});
}

before(async () => {
	folder('whole');
	const child = train(whole, false);
	assert.equal(await child.ended, 0, child.errors());
});

test('a killed and resumed run has the loss curve and the weights of an uninterrupted one', async () => {
	const path = folder('killed');
	const random = new RandomStream(LONG ? Date.now() : 11);
	let resume = false;
	for (let kill = 0; kill < KILLS; kill++) {
		const child = train(path, resume);
		// Mostly while it trains, sometimes before; the delay is short against the run.
		if (random.uniform() < 0.8) await until(child, () => child.output().includes('"type":"step"'));
		await sleep(random.uniform() * (LONG ? 1200 : 120));
		child.process.kill('SIGKILL');
		await child.ended;
		resume = existsSync(join(path, 'run', 'config.json'));
		for (const found of listCheckpoints(join(path, 'run'))) {
			assert.deepEqual(await checkpointProblems(found), [], `a half checkpoint after kill ${kill}`);
		}
	}
	const last = train(path, resume);
	assert.equal(await last.ended, 0, last.errors());
	assert.deepEqual(curve(path), curve(whole));
	assert.equal(curve(path).length, STEPS + STEPS / 10);
	for (const name of ['model', 'optimizer', 'ema']) {
		const at = join('run', 'checkpoints', `step-${STEPS}`, `${name}.safetensors`);
		assert.ok(readFileSync(join(path, at)).equals(readFileSync(join(whole, at))), `${name} differs`);
	}
	const left = readdirSync(join(path, 'run', 'checkpoints')).filter((name) => name.startsWith('.'));
	assert.deepEqual(left, [], 'temporary folders are cleaned up');
});

test('Ctrl-C finishes the step, writes a checkpoint and exits with 130; the run goes on from there', async () => {
	const path = folder('interrupted');
	const child = train(path, false);
	await until(child, () => child.output().includes('"type":"step"'));
	child.process.kill('SIGINT');
	assert.equal(await child.ended, 130, child.errors());
	assert.match(child.errors(), /^interrupted: .*stopped after step \d+ of/);
	const found = await latestCheckpoint(join(path, 'run'));
	const steps = child.output().match(/"type":"step","step":(\d+)/g) ?? [];
	assert.equal(`"type":"step","step":${found?.step}`, steps.at(-1), 'the checkpoint is of the last step');
	const again = train(path, true);
	assert.equal(await again.ended, 0, again.errors());
	assert.deepEqual(curve(path), curve(whole));
});

test('a damaged checkpoint is named and the one before is used; with none left the error lists the damage', async () => {
	const path = join(root, 'damaged');
	cpSync(whole, path, { recursive: true });
	const run = join(path, 'run');
	const [latest, ...earlier] = listCheckpoints(run);
	assert.ok(latest !== undefined && earlier.length > 0);
	const model = readFileSync(join(latest.path, 'model.safetensors'));
	model[model.length - 5]! ^= 4;
	writeFileSync(join(latest.path, 'model.safetensors'), model);
	const child = train(path, true);
	assert.equal(await child.ended, 0, child.errors());
	assert.match(child.output(), /step-\d+ is damaged \(model\.safetensors does not match its checksum\)/);
	assert.deepEqual(curve(path), curve(whole), 'what was lost is computed again');
	assert.deepEqual(await checkpointProblems({ ...latest }), [], 'the damaged checkpoint was written again');
	for (const found of listCheckpoints(run)) rmSync(join(found.path, 'state.json'));
	await assert.rejects(
		trainHere({ config: tinyRun(STEPS), directory: run, baseDirectory: path, resume: true }),
		/every checkpoint of the run is damaged[\s\S]*state\.json is missing/,
	);
});

test('a run does not go on over other text', async () => {
	const path = join(root, 'other-text');
	cpSync(whole, path, { recursive: true });
	// The same words in another order: as many tokens, other ones.
	writeFileSync(join(path, 'corpus.txt'), text(1, 4000).split(' ').reverse().join(' '));
	await assert.rejects(
		trainHere({ config: tinyRun(STEPS), directory: join(path, 'run'), baseDirectory: path, resume: true }),
		/belongs to a run with another training text or tokenizer/,
	);
});
