/** @file What a training objective is: the graph from a model and a batch to a loss. Each is one file in objectives/. */
import type { z } from 'zod';
import type { Tensor } from '../graph/tensor.ts';
import type { CausalLanguageModel, ForwardContext, TextInputs } from '../models/language-model.ts';

/** One (micro-)batch of text with targets. */
export interface LabeledInputs extends TextInputs {
	/** Target of every position [batch, time], int32, already shifted; negative (-100) where there is none. */
	readonly labels: Tensor;
}

export interface ObjectiveResult {
	/** Sum over counted labels of what is minimised, float32 scalar. The trainer divides by the labels of the whole step. */
	readonly lossSum: Tensor;
	/** Sum over counted labels of the plain negative log-likelihood; the same tensor as `lossSum` where nothing is added. */
	readonly likelihoodSum: Tensor;
	/** Scalars that are added to the mean loss, already weighted (router balance ...); averaged over micro-batches. */
	readonly auxiliaryLosses: readonly Tensor[];
}

export interface Objective {
	loss(model: CausalLanguageModel, inputs: LabeledInputs, context: ForwardContext): ObjectiveResult;
}

export interface ObjectiveKind<Schema extends z.ZodObject = z.ZodObject> {
	readonly kind: string;
	readonly schema: Schema;
	create(config: z.output<Schema>): Objective;
}

export function defineObjective<Schema extends z.ZodObject>(kind: ObjectiveKind<Schema>): ObjectiveKind<Schema> {
	return kind;
}
