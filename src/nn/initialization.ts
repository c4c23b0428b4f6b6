/** @file Initialisation schemes: which initialiser every weight of a model gets, by what the weight is for. */
import { z } from 'zod';
import { kaimingUniform, normal, truncatedNormal, uniform, xavierUniform, zeros } from './initializers.ts';
import type { Initializer } from './parameters.ts';
import { PartFamily } from './part.ts';

/** What a weight is for. */
export type WeightUse =
	| 'embedding'
	| 'position'
	| 'relative-bias'
	| 'query'
	| 'key'
	| 'value'
	| 'attention-output'
	| 'feed-forward-in'
	| 'feed-forward-gate'
	| 'feed-forward-out'
	| 'output';

/** A scheme applied to one model. */
export interface Initialization {
	readonly weight: (use: WeightUse) => Initializer;
	/** Bias of a layer with `fanIn` inputs. */
	readonly bias: (use: WeightUse, fanIn: number) => Initializer;
}

/** Facts of the model a scheme may use. */
export interface InitializationContext {
	readonly dim: number;
	/** Layers of the stack the weights are in. */
	readonly layers: number;
}

export const initializations = new PartFamily<[InitializationContext], Initialization>('init');

/** Whether a matrix writes into the residual stream. */
export function writesResidual(use: WeightUse): boolean {
	return use === 'attention-output' || use === 'feed-forward-out';
}

const isTable = (use: WeightUse): boolean => use === 'embedding' || use === 'position' || use === 'relative-bias';
const std = z.number().positive().default(0.02).describe('Standard deviation of the weights.');

initializations.register({
	schema: z
		.strictObject({ kind: z.literal('gpt2'), std })
		.describe('Normal weights; matrices that write into the residual stream scaled by 1/sqrt(2 * layers); biases 0.'),
	build: (config, { layers }) => ({
		weight: (use) => normal(writesResidual(use) ? config.std / Math.sqrt(2 * layers) : config.std),
		bias: () => zeros,
	}),
});

initializations.register({
	schema: z.strictObject({ kind: z.literal('normal'), std }).describe('Normal weights, biases 0 (BERT).'),
	build: (config) => ({ weight: () => normal(config.std), bias: () => zeros }),
});

initializations.register({
	schema: z
		.strictObject({
			kind: z.literal('truncated-normal'),
			std,
			cut: z.number().positive().default(2).describe('Largest value in standard deviations.'),
		})
		.describe('Normal weights without their tails, biases 0.'),
	build: (config) => ({ weight: () => truncatedNormal(config.std, config.cut), bias: () => zeros }),
});

initializations.register({
	schema: z
		.strictObject({
			kind: z.literal('xavier-uniform'),
			gain: z.number().positive().default(1).describe('Factor on the bound.'),
		})
		.describe('Uniform with bound gain * sqrt(6 / (in + out)); tables normal with 1/sqrt(dim); biases 0.'),
	build: ({ gain }, { dim }) => ({
		weight: (use) => (isTable(use) || use === 'output' ? normal(dim ** -0.5) : xavierUniform(gain)),
		bias: () => zeros,
	}),
});

initializations.register({
	schema: z
		.strictObject({ kind: z.literal('kaiming-uniform') })
		.describe(
			'What torch.nn.Linear does: weights and biases uniform within 1/sqrt(in); tables normal with 1/sqrt(dim).',
		),
	build: (_, { dim }) => ({
		weight: (use) => (isTable(use) || use === 'output' ? normal(dim ** -0.5) : kaimingUniform),
		bias: (_use, fanIn) => uniform(1 / Math.sqrt(fanIn)),
	}),
});
