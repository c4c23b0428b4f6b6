/** @file What the training thread and its parent say to each other. */
import {
	ConfigError,
	DeviceError,
	type ErrorDetails,
	FormatError,
	InputError,
	InterruptedError,
	ModelsmithError,
	NumericsError,
	ShapeError,
} from '../base/errors.ts';
import type { TrainingEvent, TrainingSummary } from './events.ts';
import type { RunTrainingOptions } from './run-training.ts';

/** Given to the worker when it starts. */
export interface WorkerSettings extends Omit<RunTrainingOptions, 'onEvent' | 'signal'> {
	/** Shared; not 0 means stop in good order. */
	readonly stop: Int32Array<SharedArrayBuffer>;
}

export interface WireError {
	readonly name: string;
	readonly message: string;
	readonly stack?: string | undefined;
	/** Of a ModelsmithError. */
	readonly details?: Omit<ErrorDetails, 'cause'>;
}

export type WorkerMessage =
	| { readonly type: 'event'; readonly event: TrainingEvent }
	| { readonly type: 'done'; readonly summary: TrainingSummary }
	| { readonly type: 'error'; readonly error: WireError };

const CLASSES = {
	ConfigError,
	DeviceError,
	FormatError,
	InputError,
	InterruptedError,
	ModelsmithError,
	NumericsError,
	ShapeError,
};

export function wireError(error: unknown): WireError {
	if (!(error instanceof Error)) return { name: 'Error', message: String(error) };
	const { name, message, stack } = error;
	if (!(error instanceof ModelsmithError)) return { name, message, stack };
	const { cause: _cause, ...details } = error.details;
	return { name, message, stack, details };
}

/** The error as it was in the thread: same class, message and details. */
export function rebuildError({ name, message, stack, details }: WireError): Error {
	const Class = Object.hasOwn(CLASSES, name) ? CLASSES[name as keyof typeof CLASSES] : undefined;
	const known = details !== undefined ? (Class ?? ModelsmithError) : Error;
	const error = new known('');
	// The message already contains the details; the constructor would add them again.
	error.message = message;
	if (stack !== undefined) error.stack = stack;
	if (error instanceof ModelsmithError) Object.defineProperty(error, 'details', { value: details, enumerable: true });
	return error;
}
