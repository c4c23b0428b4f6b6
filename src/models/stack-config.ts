/** @file Settings that every stack of layers has, whatever the architecture around it. */
import { z } from 'zod';
import '../nn/kinds.ts';
import { feedForwards } from '../nn/feed-forward/feed-forward.ts';
import { initializations } from '../nn/initialization.ts';
import { linears } from '../nn/linear.ts';
import { mixers } from '../nn/mixer/mixer.ts';
import { norms } from '../nn/norm/norm.ts';
import type { PartConfig, PartFamily } from '../nn/part.ts';
import { positions } from '../nn/position/position.ts';
import { residuals } from '../nn/residual/residual.ts';

type AnyFamily = Pick<PartFamily<never, unknown>, 'schema'>;

const part = (family: AnyFamily, standard: PartConfig, description: string) =>
	family.schema.prefault(standard).describe(description);

const rate = (description: string) => z.number().min(0).lt(1).default(0).describe(description);

const embeddingConfig = z
	.strictObject({
		scale: z
			.union([z.literal('sqrt-dim'), z.number().positive()])
			.default(1)
			.describe('Factor on token embeddings before positions are added: a number, or sqrt-dim.'),
		norm: z.boolean().default(false).describe('A norm after the embeddings and positions are added.'),
		tied: z.boolean().default(true).describe('The output layer uses the token embeddings as its matrix.'),
		dropout: rate('Dropout on the embeddings while training.'),
	})
	.describe('How token ids become vectors.');

const layerSelection = z
	.union([
		z.array(z.int().min(0)).min(1).describe('Layer numbers, counted from 0.'),
		z
			.strictObject({
				every: z.int().min(1).describe('Distance between the layers.'),
				from: z.int().min(0).default(0).describe('The first of them.'),
			})
			.describe('Every n-th layer.'),
	])
	.describe('Which layers an override is for.');

const layerOverride = z
	.strictObject({
		layers: layerSelection,
		mixer: mixers.schema.optional().describe('Instead of the mixer.'),
		feedForward: feedForwards.schema.optional().describe('Instead of the feedForward.'),
	})
	.describe('Other parts in some layers.');

/** Keys of a stack, to be spread into the schema of an architecture. */
export const stackShape = {
	dim: z.int().min(1).max(1_000_000).describe('Width of the residual stream (d_model).'),
	layers: z.int().min(1).max(10_000).describe('Number of layers.'),
	heads: z.int().min(1).max(1_000_000).describe('Attention heads.'),
	maxLength: z
		.int()
		.min(1)
		.max(100_000_000)
		.default(1024)
		.describe('Longest text in tokens; learned positions cover this many.'),
	layerMode: z
		.enum(['auto', 'unroll', 'scan'])
		.default('auto')
		.describe('Layers one after the other, or as one loop that keeps the graph small; auto: a loop from 24 layers up.'),
	checkpointing: z
		.enum(['none', 'layer'])
		.default('none')
		.describe('layer: keep only the input of every layer for the backward pass and compute the rest again.'),
	residual: part(residuals, { kind: 'pre' }, 'How sublayers join the residual stream.'),
	norm: part(norms, { kind: 'layer' }, 'Norm used throughout.'),
	position: part(positions, { kind: 'learned' }, 'How the model knows the order of tokens.'),
	mixer: part(mixers, { kind: 'attention' }, 'What moves information between tokens.'),
	feedForward: part(feedForwards, { kind: 'mlp' }, 'What every token goes through alone.'),
	linear: part(linears, { kind: 'dense' }, 'Kind of every projection inside the layers.'),
	embedding: embeddingConfig.prefault({}),
	dropout: rate('Dropout on the result of every sublayer while training.'),
	attentionDropout: rate('Dropout on attention probabilities while training.'),
	activationDropout: rate('Dropout after the activation of the feed-forward part while training.'),
	dropPath: rate(
		'Stochastic depth: rate of dropping a sublayer of the last layer; earlier layers proportionally less.',
	),
	init: part(initializations, { kind: 'gpt2' }, 'Initial values of the weights.'),
	layerOverrides: z.array(layerOverride).default([]).describe('Other parts in some layers; later entries win.'),
} as const;

export const stackConfig = z.strictObject(stackShape);
/** Settings of a stack as a user writes them. */
export type StackConfigInput = z.input<typeof stackConfig>;
/** Settings of a stack with all defaults filled in. */
export type StackConfig = z.output<typeof stackConfig>;

/** Whether an override is for the layer with this number. */
export function selectsLayer(selection: z.output<typeof layerSelection>, layer: number): boolean {
	if (Array.isArray(selection)) return selection.includes(layer);
	return layer >= selection.from && (layer - selection.from) % selection.every === 0;
}
