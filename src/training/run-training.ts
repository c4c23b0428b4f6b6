/**
 * @file Training a configuration. `trainHere` works in this thread; `runTraining` in a worker thread, so that progress,
 * Ctrl-C and servers of the calling thread stay responsive while the engine computes.
 */
import { Worker } from 'node:worker_threads';
import { unpackError } from '../base/error-transfer.ts';
import { InterruptedError, ModelsmithError } from '../base/errors.ts';
import type { TrainingSummary } from './events.ts';
import { libraryVersion, type PreparedRun, type PrepareRunOptions, prepareRun } from './prepare-run.ts';
import { lockRun } from './run-lock.ts';
import { type Sampler, Trainer } from './trainer.ts';
import type { WorkerMessage, WorkerSettings } from './worker-protocol.ts';

export interface RunTrainingOptions extends PrepareRunOptions {
	/**
	 * URL of a module that exports `createSampler(run: PreparedRun): Promise<Sampler>`, for `training.sampling`. A module,
	 * as a function cannot be sent to a thread.
	 */
	readonly samplerModule?: string | undefined;
	/** Record where the time of the first steps goes; see TrainerOptions. */
	readonly profile?: boolean | undefined;
}

/**
 * Trains in this thread.
 * @param stopRequested asked after every step
 * @throws as prepareRun and Trainer.run
 */
export async function trainHere(
	options: RunTrainingOptions,
	stopRequested: () => boolean = () => options.signal?.aborted === true,
): Promise<TrainingSummary> {
	const unlock = lockRun(options.directory);
	let run: PreparedRun | undefined;
	try {
		run = await prepareRun(options);
		const trainer = await Trainer.create({
			...run,
			config: run.config.training,
			directory: options.directory,
			libraryVersion: libraryVersion(),
			profile: options.profile,
			sampler: await loadSampler(options.samplerModule, run),
			stopRequested,
			...(options.onEvent !== undefined && { onEvent: options.onEvent }),
		});
		return await trainer.run();
	} finally {
		run?.close();
		unlock();
	}
}

async function loadSampler(module: string | undefined, run: PreparedRun): Promise<Sampler | undefined> {
	if (module === undefined || run.config.training.sampling === undefined) return undefined;
	const { createSampler } = (await import(module)) as { createSampler: (run: PreparedRun) => Promise<Sampler> };
	return createSampler(run);
}

/**
 * Trains in a worker thread.
 * An abort of `signal` finishes the step, writes a checkpoint and ends with InterruptedError; to end at once, exit.
 * @throws as trainHere; errors keep their class's code and message
 */
export async function runTraining(options: RunTrainingOptions): Promise<TrainingSummary> {
	const { signal, onEvent, ...rest } = options;
	if (signal?.aborted === true) throw new InterruptedError('stopped before training began');
	const stop = new Int32Array(new SharedArrayBuffer(4));
	const settings: WorkerSettings = { ...rest, stop };
	// Beside this file, as TypeScript in the source tree and as JavaScript in the published package.
	const entry = new URL(import.meta.url.endsWith('.ts') ? './train-worker.ts' : './train-worker.js', import.meta.url);
	const worker = new Worker(entry, { workerData: settings });
	const onAbort = (): void => {
		Atomics.store(stop, 0, 1);
		worker.postMessage('stop');
	};
	signal?.addEventListener('abort', onAbort);
	try {
		return await new Promise<TrainingSummary>((resolve, reject) => {
			worker.on('message', (message: WorkerMessage) => {
				if (message.type === 'event') onEvent?.(message.event);
				else if (message.type === 'done') resolve(message.summary);
				else reject(unpackError(message.error));
			});
			worker.on('error', reject);
			worker.on('exit', (code) => reject(new ModelsmithError(`the training thread ended early (code ${code})`)));
		});
	} finally {
		signal?.removeEventListener('abort', onAbort);
		await worker.terminate();
	}
}
