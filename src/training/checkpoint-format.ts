/** @file What a checkpoint folder holds, checked when it is read. */
import { z } from 'zod';

export const MODEL_FILE = 'model.safetensors';
export const OPTIMIZER_FILE = 'optimizer.safetensors';
export const EMA_FILE = 'ema.safetensors';
export const STATE_FILE = 'state.json';
export const MANIFEST_FILE = 'manifest.json';
export const FORMAT_VERSION = 1;

const count = z.int().min(0);

/** Everything beside the tensors that a run needs to go on as if it had not stopped. */
export const trainingState = z.object({
	formatVersion: z.literal(FORMAT_VERSION),
	libraryVersion: z.string(),
	/** Updates done. */
	step: count,
	/** Tokens seen. */
	tokens: count,
	/** Seconds of training. */
	seconds: z.number().min(0),
	/** Root of all random numbers; what a step draws depends on it and the step's number alone. */
	seed: count,
	/** Place of the training data, as the data gave it. */
	data: z.unknown(),
	/** SHA-256 of the training tokens. */
	dataHash: z.string(),
	/** SHA-256 of the configuration that decides the numbers. */
	configHash: z.string(),
	device: z.string(),
	/** Threads of the engine; the order of additions, and so the last bits, depend on it. */
	threads: count,
	/** Lowest validation loss and when it was. */
	best: z.object({ step: count, loss: z.number() }).nullable(),
	/** Validations since the best one. */
	validationsSinceBest: count,
	lossScale: z.object({ scale: z.number().positive(), goodSteps: count }).nullable(),
});

export type TrainingState = z.output<typeof trainingState>;

export const manifest = z.object({
	formatVersion: z.literal(FORMAT_VERSION),
	step: count,
	files: z.record(
		z.string().regex(/^[\w.-]+$/),
		z.object({ sha256: z.string().regex(/^[0-9a-f]{64}$/), byteLength: count }),
	),
});

export type Manifest = z.output<typeof manifest>;
