/**
 * @file What an optimizer is: for every parameter a rule that builds the graph of one update, and a function that computes
 * the step's scalars in float64. Each optimizer is one file in optimizers/; the registry is optimizer-registry.ts.
 */
import { z } from 'zod';
import type { Tensor } from '../graph/tensor.ts';
import type { ParameterSpec } from '../nn/parameters.ts';

/** What one update reads. */
export interface UpdateInputs {
	/** [...shape], or [layers, ...shape] for stacked parameters; an elementwise rule may be given any cut of it. */
	readonly parameter: Tensor;
	/** Gradient after clipping, of the parameter's shape. */
	readonly gradient: Tensor;
	/** The rule's slots in order, of the parameter's shape. */
	readonly state: readonly Tensor[];
	/** Float32 scalars by the names of `Optimizer.scalars`. */
	readonly scalars: Readonly<Record<string, Tensor>>;
}

export interface UpdateResult {
	readonly parameter: Tensor;
	readonly state: readonly Tensor[];
}

/** How one parameter is updated. */
export interface UpdateRule {
	/** Rules of one optimizer with equal keys build equal graphs. */
	readonly key: string;
	/** Names of state tensors, each of the parameter's shape, zero before the first step. */
	readonly slots: readonly string[];
	/** Every element is updated on its own, with ops that have a SIMD form; see runtime/elementwise. */
	readonly elementwise: boolean;
	readonly update: (inputs: UpdateInputs) => UpdateResult;
}

/** Where a step is: `step` counts from 1 (the first update), `factor` is the schedule's value in [0, 1]. */
export interface StepPlace {
	readonly step: number;
	readonly factor: number;
}

export interface Optimizer {
	rule(spec: ParameterSpec): UpdateRule;
	/** Values of the scalars of one step, computed in float64 (bias corrections lose too much in float32). */
	scalars(place: StepPlace): Readonly<Record<string, number>>;
	/** The learning rate to report. */
	learningRate(place: StepPlace): number;
}

export interface OptimizerKind<Schema extends z.ZodObject = z.ZodObject> {
	readonly kind: string;
	readonly schema: Schema;
	create(config: z.output<Schema>): Optimizer;
}

export function defineOptimizer<Schema extends z.ZodObject>(kind: OptimizerKind<Schema>): OptimizerKind<Schema> {
	return kind;
}

/** Which parameters weight decay shrinks. */
export const decayGroup = z
	.enum(['all', 'matrices', 'hidden-matrices'])
	.default('matrices')
	.describe(
		'Which parameters weight decay applies to: all; matrices (everything but biases and norm weights); ' +
			'hidden-matrices (also not embeddings and the output head).',
	);

export type DecayGroup = z.output<typeof decayGroup>;

export function isDecayed({ role }: ParameterSpec, group: DecayGroup): boolean {
	if (group === 'all') return true;
	return group === 'matrices' ? role !== 'vector' : role === 'matrix';
}

export const learningRate = (value: number) =>
	z.number().positive().default(value).describe('Learning rate at the peak of the schedule.');

export const weightDecay = (value: number) =>
	z
		.number()
		.min(0)
		.default(value)
		.describe('Decoupled weight decay: parameters shrink by learning rate x this a step.');

const beta = z.number().min(0).lt(1);
export const betas = (first: number, second: number, what: string) =>
	z.tuple([beta, beta]).default([first, second]).describe(what);
