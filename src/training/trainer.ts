/**
 * @file The training loop: steps, measurements, validation, checkpoints, samples, early stopping, and stopping in good order.
 * Works in the thread it is called in and gives way to other work between steps; run-training.ts puts it in a worker.
 */
import { mkdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { InputError, InterruptedError, NumericsError } from '../base/errors.ts';
import type { HostTensor } from '../base/host-tensor.ts';
import { deriveSeed, randomBits } from '../base/random.ts';
import type { CausalLanguageModel } from '../models/language-model.ts';
import type { Batch, BatchShape, TrainingBatches } from './batch.ts';
import { FORMAT_VERSION, type TrainingState } from './checkpoint-format.ts';
import { listCheckpoints, prune, readState, readTensors, removeTemporary, writeCheckpoint } from './checkpoints.ts';
import type { TrainingConfig } from './config.ts';
import { Evaluator } from './evaluator.ts';
import type { Sample, TrainingEvent, TrainingSummary } from './events.ts';
import { matmulPeak } from './metrics/matmul-peak.ts';
import { bitsPerByte, type StepMetrics, utilization, type ValidationMetrics } from './metrics/metrics.ts';
import { StepLog } from './metrics/metrics-log.ts';
import { EventFile } from './metrics/tensorboard.ts';
import { findNonFinite } from './numerics.ts';
import type { Objective } from './objective.ts';
import { createObjective } from './objective-registry.ts';
import type { Optimizer } from './optimizer.ts';
import { createOptimizer } from './optimizer-registry.ts';
import { restoreTensors, tensorsToSave } from './saved-tensors.ts';
import type { Schedule } from './schedule.ts';
import { createSchedule } from './schedule-registry.ts';
import { TrainStep } from './train-step.ts';

/** Held-out text. */
export interface ValidationData {
	/** One pass, the same every time. */
	readonly batches: () => Iterable<Batch>;
	/** UTF-8 bytes a token stands for on average, for bits per byte. */
	readonly bytesPerToken?: number | undefined;
}

/** Makes samples during training; the generation room provides it. */
export type Sampler = (
	values: ReadonlyMap<string, HostTensor>,
	settings: NonNullable<TrainingConfig['sampling']>,
	step: number,
) => Promise<readonly Sample[]>;

export interface TrainerOptions {
	readonly model: CausalLanguageModel;
	readonly config: TrainingConfig;
	readonly batches: TrainingBatches;
	/** Shape of every batch, training and validation. */
	readonly shape: BatchShape;
	/** Rows of one pass over the training data; needed for `epochs`. */
	readonly rowsPerEpoch?: number | undefined;
	readonly bytesPerToken?: number | undefined;
	readonly validation?: ValidationData | undefined;
	/** Run folder for metrics, samples and checkpoints; absent: nothing is written. */
	readonly directory?: string | undefined;
	/** Hash of what decides the numbers; see configHash. */
	readonly configHash?: string;
	/** Hash of the training tokens. */
	readonly dataHash?: string;
	/** Checkpoint folder to go on from. */
	readonly resumeFrom?: string | undefined;
	/** Initial values by graph input name instead of the model's own. */
	readonly initialValues?: ReadonlyMap<string, HostTensor> | undefined;
	readonly sampler?: Sampler | undefined;
	readonly libraryVersion?: string;
	/** Record the time in every op of the first steps and write profile.json into the run folder. */
	readonly profile?: boolean | undefined;
	readonly onEvent?: (event: TrainingEvent) => void;
	/** Asked after every step; true ends the run in good order. */
	readonly stopRequested?: () => boolean;
}

/** Steps that `profile` records: enough to average, few enough to open in a trace viewer. */
const PROFILED_STEPS = 20;

/** Number of updates a configuration asks for. */
export function totalSteps(config: TrainingConfig, { batchSize, time }: BatchShape, rowsPerEpoch = 0): number {
	const rows = batchSize * config.accumulation;
	if (config.steps !== undefined) return config.steps;
	if (config.tokens !== undefined) return Math.max(1, Math.ceil(config.tokens / (rows * time)));
	return Math.max(1, Math.round(((config.epochs ?? 1) * rowsPerEpoch) / rows));
}

/** Seed of the noise in one step: depends on the run's seed and the step alone, so resuming changes nothing. */
export function stepSeed(seed: number, step: number): number {
	return randomBits(deriveSeed(seed, 'step'), step) | 0;
}

/** A run that can be started once. */
export class Trainer {
	readonly totalSteps: number;
	readonly #options: TrainerOptions;
	readonly #objective: Objective;
	readonly #optimizer: Optimizer;
	readonly #schedule: Schedule;
	readonly #step: TrainStep;
	#evaluator: Evaluator | undefined;
	#peak: number | undefined;
	#state: TrainingState;
	#metrics: StepLog | undefined;
	#samples: StepLog | undefined;
	#events: EventFile | undefined;
	#lastCheckpoint: string | undefined;
	/** Steps of this process so far. */
	#profiled = 0;

	private constructor(options: TrainerOptions, objective: Objective, optimizer: Optimizer, step: TrainStep) {
		const { config, shape, rowsPerEpoch } = options;
		this.#options = options;
		this.#objective = objective;
		this.#optimizer = optimizer;
		this.#step = step;
		this.totalSteps = totalSteps(config, shape, rowsPerEpoch);
		this.#schedule = createSchedule(config.schedule, this.totalSteps);
		this.#state = {
			formatVersion: FORMAT_VERSION,
			libraryVersion: options.libraryVersion ?? '',
			step: 0,
			tokens: 0,
			seconds: 0,
			seed: config.seed,
			data: null,
			dataHash: options.dataHash ?? '',
			configHash: options.configHash ?? '',
			device: config.device,
			threads: config.threads ?? availableParallelism(),
			best: null,
			validationsSinceBest: 0,
			lossScale: null,
		};
	}

	/**
	 * Compiles the step and restores the checkpoint, if there is one to go on from.
	 * @throws ConfigError, DeviceError, FormatError
	 */
	static async create(options: TrainerOptions): Promise<Trainer> {
		const { model, config } = options;
		options.onEvent?.({ type: 'prepare', what: 'compile' });
		await nextTurn();
		if (options.profile === true) {
			if (options.directory === undefined) throw new InputError('a profile needs a run folder to be written to');
			mkdirSync(options.directory, { recursive: true });
		}
		const objective = createObjective(config.objective);
		const optimizer = createOptimizer(config.optimizer);
		const step = await TrainStep.compile(
			{
				model,
				objective,
				optimizer,
				batch: options.shape,
				accumulation: config.accumulation,
				clip: config.clip ?? undefined,
				emaDecay: config.ema?.decay,
				precision: config.precision,
				device: config.device,
				threads: config.threads,
				profilePrefix: options.profile === true ? join(options.directory as string, '.profile') : undefined,
			},
			options.initialValues ?? model.parameters.initialize(config.seed),
		);
		const trainer = new Trainer(options, objective, optimizer, step);
		if (options.resumeFrom !== undefined) trainer.#restore(options.resumeFrom);
		return trainer;
	}

	/** Current parameters by graph input name: live arrays on the CPU, valid until the next step. */
	parameters(part: 'parameter' | 'ema' = 'parameter'): Promise<Map<string, HostTensor>> {
		return this.#step.parameters(part);
	}

	/**
	 * Trains to the end.
	 * @throws InterruptedError after `stopRequested` said so and a checkpoint was written; NumericsError naming the first
	 * tensor that is not finite (the last checkpoint stays)
	 */
	async run(): Promise<TrainingSummary> {
		const { config, model, directory, shape } = this.#options;
		if (directory !== undefined) this.#openFiles(directory);
		try {
			this.#peak = await matmulPeak(config.device, config.threads);
			this.#emit({
				type: 'start',
				step: this.#state.step,
				totalSteps: this.totalSteps,
				parameters: model.parameters.count,
				tokensPerStep: shape.batchSize * shape.time * config.accumulation,
				stateBytes: this.#step.byteLength,
				...(this.#options.resumeFrom !== undefined && { resumedFrom: this.#options.resumeFrom }),
			});
			return await this.#loop();
		} finally {
			if (this.#profiled < PROFILED_STEPS) this.#writeProfile();
			this.#metrics?.close();
			this.#samples?.close();
			this.#events?.close();
		}
	}

	async #loop(): Promise<TrainingSummary> {
		const { config } = this.#options;
		let loss: number | undefined;
		let saved = this.#state.step;
		let reason: TrainingSummary['reason'] = 'finished';
		if (this.#exhausted()) reason = 'early-stop';
		while (reason === 'finished' && this.#state.step < this.totalSteps) {
			loss = (await this.#oneStep()).loss;
			const { step } = this.#state;
			const last = step === this.totalSteps;
			this.#profiled++;
			if (this.#profiled === PROFILED_STEPS) this.#writeProfile();
			let improved = false;
			if (this.#options.validation !== undefined && (last || step % config.validation.every === 0)) {
				improved = await this.#validate();
				if (this.#exhausted()) reason = 'early-stop';
			}
			if (config.sampling !== undefined && (last || step % config.sampling.every === 0)) await this.#sample();
			const stopping = this.#options.stopRequested?.() === true && !last;
			const due = last || stopping || reason === 'early-stop' || step % config.checkpoints.every === 0;
			// The best parameters are worth a checkpoint, whenever they appear.
			if (due || (improved && config.checkpoints.keepBest)) {
				await this.#save();
				saved = step;
			}
			await nextTurn();
			if (stopping || (this.#options.stopRequested?.() === true && !last)) {
				if (saved !== step) await this.#save();
				throw new InterruptedError(`stopped after step ${step} of ${this.totalSteps}`, {
					...(this.#lastCheckpoint !== undefined && {
						where: this.#lastCheckpoint,
						fix: 'go on with the same command and --resume',
					}),
				});
			}
		}
		const { step, tokens, seconds, best } = this.#state;
		return {
			reason,
			step,
			tokens,
			seconds,
			...(loss !== undefined && { loss }),
			...(best !== null && { best }),
			...(this.#lastCheckpoint !== undefined && { checkpoint: this.#lastCheckpoint }),
		};
	}

	#writeProfile(): void {
		const { profile, directory } = this.#options;
		if (profile !== true || directory === undefined) return;
		const path = join(directory, 'profile.json');
		this.#emit({ type: 'profile', path, profile: this.#step.finishProfile(path) });
	}

	async #oneStep(): Promise<StepMetrics> {
		const { config, batches, model, shape } = this.#options;
		const start = performance.now();
		const micro = Array.from({ length: config.accumulation }, () => batches.next());
		const step = this.#state.step + 1;
		const place = { step, factor: this.#schedule(step - 1) };
		const seed = stepSeed(config.seed, step);
		const result = await this.#step.compute(micro, seed);
		const overflow = this.#step.scaler !== undefined && !Number.isFinite(result.gradientNorm);
		if (!Number.isFinite(result.loss) || (!Number.isFinite(result.gradientNorm) && !overflow)) {
			throw await this.#nonFinite(micro, seed, step, result.loss);
		}
		const lossScale = this.#step.scaler?.scale;
		await this.#step.apply(result, place);
		const elapsed = (performance.now() - start) / 1000;
		const tokens = micro.length * shape.batchSize * shape.time;
		this.#state = {
			...this.#state,
			step,
			tokens: this.#state.tokens + tokens,
			seconds: this.#state.seconds + elapsed,
		};
		const bits = bitsPerByte(result.likelihood, this.#options.bytesPerToken);
		const { rss, arrayBuffers } = process.memoryUsage();
		const metrics: StepMetrics = {
			step,
			loss: result.loss,
			...(result.likelihood !== result.loss && { likelihood: result.likelihood }),
			perplexity: Math.exp(result.likelihood),
			...(bits !== undefined && { bitsPerByte: bits }),
			gradientNorm: result.gradientNorm,
			learningRate: this.#optimizer.learningRate(place),
			tokens: this.#state.tokens,
			...(batches.epoch !== undefined && { epoch: batches.epoch }),
			...(lossScale !== undefined && { lossScale }),
			tokensPerSecond: tokens / elapsed,
			...(this.#peak !== undefined && {
				mfu: utilization(tokens / elapsed, model.forwardFlopsPerToken(shape.time), this.#peak),
			}),
			seconds: this.#state.seconds,
			memory: { rss, arrays: arrayBuffers },
		};
		this.#metrics?.append(metrics);
		this.#events?.scalars(step, scalarsOf(metrics));
		this.#emit({ type: 'step', ...metrics });
		return metrics;
	}

	/** @returns whether it is the lowest loss so far */
	async #validate(): Promise<boolean> {
		const { config, model, shape, validation } = this.#options;
		if (validation === undefined) return false;
		this.#evaluator ??= await Evaluator.compile({
			model,
			objective: this.#objective,
			batch: shape,
			device: config.device,
			threads: config.threads,
		});
		const averaged = config.ema?.validate === true;
		const values = await this.#step.parameters(averaged ? 'ema' : 'parameter');
		const chosen = firstOf(validation.batches(), config.validation.batches);
		const { loss, labels } = await this.#evaluator.evaluate(chosen, values, () => nextTurn());
		const { step, best } = this.#state;
		const threshold = config.earlyStopping?.minimumImprovement ?? 0;
		const improved = Number.isFinite(loss) && (best === null || loss < best.loss - threshold);
		this.#state = {
			...this.#state,
			best: improved ? { step, loss } : best,
			validationsSinceBest: improved ? 0 : this.#state.validationsSinceBest + 1,
		};
		const bits = bitsPerByte(loss, validation.bytesPerToken);
		const metrics: ValidationMetrics = {
			step,
			validation: {
				loss,
				perplexity: Math.exp(loss),
				...(bits !== undefined && { bitsPerByte: bits }),
				labels,
				best: improved,
			},
		};
		this.#metrics?.append(metrics);
		this.#events?.scalars(step, { 'validation/loss': loss, 'validation/bits_per_byte': bits });
		this.#emit({ type: 'validation', ...metrics });
		return improved;
	}

	/** Whether early stopping has lost its patience. */
	#exhausted(): boolean {
		const { earlyStopping } = this.#options.config;
		return earlyStopping !== undefined && this.#state.validationsSinceBest >= earlyStopping.patience;
	}

	async #sample(): Promise<void> {
		const { config, sampler } = this.#options;
		if (sampler === undefined || config.sampling === undefined) return;
		const { step } = this.#state;
		const samples = await sampler(await this.#step.parameters(), config.sampling, step);
		for (const sample of samples) this.#samples?.append({ step, ...sample });
		this.#emit({ type: 'sample', step, samples });
	}

	async #save(): Promise<void> {
		const { directory, config, model, batches } = this.#options;
		if (directory === undefined) return;
		this.#metrics?.sync();
		this.#samples?.sync();
		const state: TrainingState = {
			...this.#state,
			data: batches.state(),
			lossScale: this.#step.scaler?.state() ?? null,
		};
		const path = await writeCheckpoint(directory, await tensorsToSave(this.#step, model.parameters.all), state);
		this.#lastCheckpoint = path;
		const best = config.checkpoints.keepBest && state.best !== null ? [state.best.step] : [];
		prune(directory, state.step, config.checkpoints.keep, new Set(best));
		this.#emit({ type: 'checkpoint', step: state.step, path });
	}

	#restore(path: string): void {
		const { config, batches } = this.#options;
		const state = readState(path);
		for (const [key, what] of [
			['configHash', 'configuration'],
			['dataHash', 'training text or tokenizer'],
		] as const) {
			if (state[key] === this.#state[key]) continue;
			throw new InputError(`belongs to a run with another ${what}`, {
				where: path,
				expected: `${key} ${this.#state[key]}`,
				found: state[key],
				fix: 'undo the change, or start a new run in another folder',
			});
		}
		restoreTensors(this.#step, readTensors(path));
		batches.restore(state.data);
		if (state.lossScale !== null) this.#step.scaler?.restore(state.lossScale);
		if (state.threads !== this.#state.threads || state.device !== config.device) {
			this.#emit({
				type: 'warning',
				message: `the run began on ${state.device} with ${state.threads} threads; the last digits may now differ`,
			});
		}
		this.#state = state;
		this.#lastCheckpoint = path;
	}

	#openFiles(directory: string): void {
		mkdirSync(directory, { recursive: true });
		removeTemporary(directory);
		const { step } = this.#state;
		// Checkpoints beyond the one we go on from are damaged ones that were passed over; they must not be found again.
		const later = listCheckpoints(directory).filter((found) => found.step > step);
		if (later.length > 0) {
			const names = later.map((found) => `step-${found.step}`).join(', ');
			this.#emit({ type: 'warning', message: `going on from step ${step}; ${names} will be written again` });
		}
		this.#metrics = new StepLog(join(directory, 'metrics.jsonl'), step);
		this.#samples = new StepLog(join(directory, 'samples.jsonl'), step);
		if (this.#options.config.tensorboard) this.#events = new EventFile(join(directory, 'tensorboard'), step);
	}

	async #nonFinite(batches: readonly Batch[], seed: number, step: number, loss: number): Promise<NumericsError> {
		const { config, model, shape } = this.#options;
		const first = await findNonFinite(
			{
				model,
				objective: this.#objective,
				batch: shape,
				threads: config.threads,
			},
			await this.#step.parameters(),
			batches,
			seed,
		);
		return new NumericsError(`step ${step}: ${Number.isFinite(loss) ? 'the gradient' : 'the loss'} is not finite`, {
			expected: 'finite numbers',
			found: first === undefined ? 'no single tensor: the sum overflowed' : `first in ${first}`,
			fix:
				this.#lastCheckpoint === undefined
					? 'use a lower learning rate, a longer warm-up or a smaller clip'
					: `the last good checkpoint is ${this.#lastCheckpoint}; go on from it with a lower learning rate`,
		});
	}

	#emit(event: TrainingEvent): void {
		this.#options.onEvent?.(event);
	}
}

function scalarsOf(metrics: StepMetrics): Record<string, number | undefined> {
	return {
		'train/loss': metrics.loss,
		'train/bits_per_byte': metrics.bitsPerByte,
		'train/gradient_norm': metrics.gradientNorm,
		'train/learning_rate': metrics.learningRate,
		'speed/tokens_per_second': metrics.tokensPerSecond,
		'speed/mfu': metrics.mfu,
		'memory/rss': metrics.memory.rss,
	};
}

function* firstOf(batches: Iterable<Batch>, count: number | undefined): Generator<Batch> {
	let taken = 0;
	for (const batch of batches) {
		if (count !== undefined && taken++ >= count) return;
		yield batch;
	}
}
