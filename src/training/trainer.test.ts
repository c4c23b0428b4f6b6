/** @file The loop in this thread: learning, averages, validation, early stopping, sampling, NaN, stopping, hooks. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { tinyGpt } from '../../test/support/tiny-gpt.ts';
import { InterruptedError, NumericsError } from '../base/errors.ts';
import type { HostTensor } from '../base/host-tensor.ts';
import { RandomStream } from '../base/random.ts';
import type { Batch, TrainingBatches } from './batch.ts';
import { listCheckpoints, readTensors } from './checkpoints.ts';
import { trainingConfig } from './config.ts';
import type { TrainingEvent } from './events.ts';
import { Trainer, type TrainerOptions, totalSteps } from './trainer.ts';

const root = mkdtempSync(join(tmpdir(), 'trainer-'));
after(() => rmSync(root, { recursive: true }));
const shape = { batchSize: 4, time: 8, segmented: false };

/** Rows that count up from a random token modulo 11: easy to learn. */
class Counting implements TrainingBatches {
	random = new RandomStream(3);

	next(): Batch {
		const tokens = new Int32Array(32);
		for (let row = 0; row < 4; row++) {
			const start = this.random.integer(11);
			for (let t = 0; t < 8; t++) tokens[row * 8 + t] = (start + t) % 11;
		}
		return { dims: [4, 8], tokens, labels: tokens.map((token) => (token + 1) % 11), targetCount: 32 };
	}

	state(): unknown {
		return this.random.counter;
	}

	restore(state: unknown): void {
		this.random.counter = Number(state);
	}
}

function options(config: Record<string, unknown>, more: Partial<TrainerOptions> = {}): TrainerOptions {
	const parsed = trainingConfig.parse({
		steps: 20,
		threads: 1,
		optimizer: { kind: 'adamw', learningRate: 0.01 },
		...config,
	});
	const model = tinyGpt({ vocabSize: 11, dim: 16, heads: 2, layers: 2, hidden: 32, maxLength: 8, mode: 'scan' });
	return { model, config: parsed, batches: new Counting(), shape, ...more };
}

test('it learns, with every optimizer', async () => {
	for (const kind of ['adamw', 'lion', 'muon', 'sgd']) {
		const losses: number[] = [];
		const optimizer =
			kind === 'muon'
				? { kind, adamw: { learningRate: 0.01 } }
				: { kind, learningRate: kind === 'sgd' ? 0.3 : kind === 'lion' ? 0.003 : 0.01 };
		const onEvent = (event: TrainingEvent): void => void (event.type === 'step' && losses.push(event.loss));
		const trainer = await Trainer.create(options({ optimizer, steps: 40 }, { onEvent }));
		await trainer.run();
		assert.equal(losses.length, 40);
		assert.ok((losses.at(-1) as number) < 0.8 * (losses[0] as number), `${kind}: ${losses[0]} to ${losses.at(-1)}`);
	}
});

test('accumulating two batches gives the same step as one of both', async () => {
	const model = () => tinyGpt({ vocabSize: 11, dim: 16, heads: 2, layers: 2, hidden: 32, maxLength: 8 });
	const values = model().parameters.initialize(7);
	const run = async (accumulation: number, batchSize: number): Promise<ReadonlyMap<string, HostTensor>> => {
		const source = new Counting();
		const [a, b] = [source.next(), source.next()];
		const labels = Int32Array.of(...a.labels, ...b.labels).fill(-100, 3, 12);
		const tokens = Int32Array.of(...a.tokens, ...b.tokens);
		let at = 0;
		const next = (): Batch => {
			const cut = (all: Int32Array): Int32Array => all.slice(at, at + batchSize * 8);
			const batch = { dims: [batchSize, 8] as const, tokens: cut(tokens), labels: cut(labels), targetCount: 0 };
			at += batchSize * 8;
			return { ...batch, targetCount: batch.labels.filter((label) => label >= 0).length };
		};
		const batches = { next, state: () => null, restore: () => {} };
		const trainer = await Trainer.create(
			options(
				{ steps: 1, accumulation },
				{ model: model(), batches, shape: { ...shape, batchSize }, initialValues: values },
			),
		);
		await trainer.run();
		return trainer.parameters();
	};
	const [whole, parts] = [await run(1, 8), await run(2, 4)];
	for (const [name, { data }] of whole) {
		(data as Float32Array).forEach((value, i) => {
			assert.ok(Math.abs(value - Number(parts.get(name)?.data[i])) < 2e-5, `${name}[${i}]`);
		});
	}
});

test('the moving average is that of the parameters, and is saved', async () => {
	const directory = join(root, 'ema');
	const history: Float32Array[] = [];
	const trainer = await Trainer.create(
		options(
			{ steps: 4, ema: { decay: 0.3 }, sampling: { every: 1 } },
			{
				directory,
				sampler: async (values) => {
					history.push(Float32Array.from(values.get('layer_norm.weight')?.data as Float32Array));
					return [{ prompt: 'a', text: 'b' }];
				},
			},
		),
	);
	const start = Float32Array.from((await trainer.parameters()).get('layer_norm.weight')?.data as Float32Array);
	await trainer.run();
	let expected = Float64Array.from(start);
	history.forEach((values, i) => {
		const decay = Math.min(0.3, (2 + i) / (11 + i));
		expected = expected.map((value, j) => decay * value + (1 - decay) * (values[j] as number));
	});
	const saved = readTensors(join(directory, 'checkpoints', 'step-4'));
	const ema = saved.ema?.get('layer_norm.weight')?.data as Float32Array;
	expected.forEach((value, i) => void assert.ok(Math.abs((ema[i] as number) - value) < 1e-6));
	assert.ok(saved.model.has('layers.1.ffn.fc1.weight') && saved.ema?.has('layers.1.ffn.fc1.weight'));
	assert.ok(saved.optimizer.has('exp_avg_sq.layers.1.ffn.fc1.weight'));
	const samples = readFileSync(join(directory, 'samples.jsonl'), 'utf8').trimEnd().split('\n');
	assert.deepEqual(JSON.parse(samples[3] as string), { step: 4, prompt: 'a', text: 'b' });
});

test('early stopping ends the run and the best checkpoint is kept', async () => {
	const directory = join(root, 'early');
	// Labels that training makes less and less likely.
	const wrong = new Counting().next();
	const validation = { batches: () => [{ ...wrong, labels: wrong.tokens.map((token) => (token + 5) % 11) }] };
	const config = {
		steps: 200,
		validation: { every: 2 },
		earlyStopping: { patience: 3 },
		checkpoints: { every: 4, keep: 1 },
	};
	const trainer = await Trainer.create(options(config, { validation, directory }));
	const summary = await trainer.run();
	assert.equal(summary.reason, 'early-stop');
	assert.ok(
		summary.step < 60 && summary.best !== undefined && summary.best.step === summary.step - 6,
		JSON.stringify(summary),
	);
	assert.deepEqual(
		listCheckpoints(directory).map(({ step }) => step),
		[summary.step, summary.best.step],
	);
	const again = await Trainer.create(
		options(config, { validation, directory, resumeFrom: join(directory, 'checkpoints', `step-${summary.step}`) }),
	);
	assert.equal((await again.run()).step, summary.step, 'a stopped run stays stopped');
});

test('numbers that explode end the run with the name of the first tensor; the last good checkpoint stays', async () => {
	const directory = join(root, 'nan');
	const config = { steps: 50, optimizer: { kind: 'sgd', learningRate: 1e30 }, clip: null, checkpoints: { every: 1 } };
	const trainer = await Trainer.create(options(config, { directory }));
	await assert.rejects(trainer.run(), (error: unknown) => {
		assert.ok(error instanceof NumericsError, String(error));
		assert.match(
			error.message,
			/^step \d+: the (loss|gradient) is not finite[\s\S]*first in the (result|parameter|gradient)/,
		);
		assert.match(error.message, /the last good checkpoint is .*step-\d+/);
		return true;
	});
	const [last] = listCheckpoints(directory);
	const lines = readFileSync(join(directory, 'metrics.jsonl'), 'utf8').trimEnd().split('\n');
	assert.equal(last?.step, lines.length, 'the bad step is neither saved nor logged');
});

test('a stop request ends after the step with a checkpoint', async () => {
	const directory = join(root, 'stop');
	let steps = 0;
	const trainer = await Trainer.create(
		options(
			{ checkpoints: { every: 100 } },
			{ directory, onEvent: ({ type }) => void (type === 'step' && steps++), stopRequested: () => steps >= 3 },
		),
	);
	await assert.rejects(trainer.run(), InterruptedError);
	assert.deepEqual(
		listCheckpoints(directory).map(({ step }) => step),
		[3],
	);
});

test('the event loop lives between steps', async () => {
	let ticks = 0;
	const timer = setInterval(() => ticks++, 1);
	await (await Trainer.create(options({ steps: 60 }))).run();
	clearInterval(timer);
	assert.ok(ticks > 5, `${ticks} ticks`);
});

test('length of a run from steps, tokens or epochs', () => {
	const config = (settings: Record<string, unknown>) => trainingConfig.parse({ accumulation: 2, ...settings });
	assert.equal(totalSteps(config({ steps: 7 }), shape), 7);
	assert.equal(totalSteps(config({ tokens: 1000 }), shape), 16);
	assert.equal(totalSteps(config({ epochs: 2.5 }), shape, 80), 25);
});

test('a profile of the first steps names the ops and leaves a Chrome trace', async () => {
	const directory = join(root, 'profiled');
	const events: TrainingEvent[] = [];
	const trainer = await Trainer.create(
		options({ steps: 4 }, { directory, profile: true, onEvent: (event) => void events.push(event) }),
	);
	await trainer.run();
	const found = events.find((event) => event.type === 'profile');
	assert.ok(found?.type === 'profile');
	assert.equal(found.profile.runs, 4);
	assert.ok(found.profile.byOp.some(({ op }) => op === 'Scan' || op === 'MatMul' || op === 'Gemm'));
	assert.ok(Array.isArray(JSON.parse(readFileSync(join(directory, 'profile.json'), 'utf8'))));
});
