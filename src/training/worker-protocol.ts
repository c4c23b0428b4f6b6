/** @file What the training thread and its parent say to each other. */
import type { ErrorMessage } from '../base/error-transfer.ts';
import type { TrainingEvent, TrainingSummary } from './events.ts';
import type { RunTrainingOptions } from './run-training.ts';

/** Given to the worker when it starts. */
export interface WorkerSettings extends Omit<RunTrainingOptions, 'onEvent' | 'signal'> {
	/** Shared; not 0 means stop in good order. */
	readonly stop: Int32Array<SharedArrayBuffer>;
}

export type WorkerMessage =
	| { readonly type: 'event'; readonly event: TrainingEvent }
	| { readonly type: 'done'; readonly summary: TrainingSummary }
	| { readonly type: 'error'; readonly error: ErrorMessage };
