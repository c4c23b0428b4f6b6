/**
 * @file Next-token prediction. Optional: label smoothing (Szegedy et al. 2016, section 7) and the z-loss that keeps the
 * softmax normaliser near 1 (Chowdhery et al. 2022, arXiv:2204.02311, section 5).
 */
import { z } from 'zod';
import { ConfigError } from '../../base/errors.ts';
import { type LossOptions, linearCrossEntropy, smoothedCrossEntropy } from '../../graph/ops/linear-cross-entropy.ts';
import { flattenRows, reshape } from '../../graph/ops/movement.ts';
import { sum } from '../../graph/ops/reduction.ts';
import type { Dim } from '../../graph/shape.ts';
import type { Tensor } from '../../graph/tensor.ts';
import type { CausalLanguageModel } from '../../models/language-model.ts';
import { defineObjective } from '../objective.ts';

export const causalLm = defineObjective({
	kind: 'causal-lm',
	schema: z.strictObject({
		kind: z.literal('causal-lm'),
		labelSmoothing: z
			.number()
			.min(0)
			.lt(1)
			.default(0)
			.describe('Share of the target spread evenly over the vocabulary.'),
		zLoss: z.number().min(0).default(0).describe('Weight of the squared log of the softmax normaliser.'),
		vocabularyChunk: z
			.int()
			.min(1)
			.optional()
			.describe(
				'Compute logits in pieces of this many vocabulary entries and never hold all of them: less memory, one more product.',
			),
	}),
	create: ({ labelSmoothing, zLoss, vocabularyChunk: chunk }) => ({
		loss: (model, { labels, ...inputs }, context) => {
			const { hidden, auxiliaryLosses } = model.hiddenStates(inputs, context);
			const rows = flattenRows(hidden);
			const flatLabels = reshape(labels, [rows.shape[0] as Dim]);
			const rowLoss = chunk === undefined ? whole(model, rows, flatLabels) : chunked(model, rows, flatLabels, chunk);
			const likelihoodSum = sum(rowLoss({}));
			if (labelSmoothing === 0 && zLoss === 0) return { lossSum: likelihoodSum, likelihoodSum, auxiliaryLosses };
			return { lossSum: sum(rowLoss({ labelSmoothing, zLoss })), likelihoodSum, auxiliaryLosses };
		},
	}),
});

type RowLoss = (options: LossOptions) => Tensor;

/** hidden [rows, dim], labels [rows] -> [rows]. */
function whole(model: CausalLanguageModel, hidden: Tensor, labels: Tensor): RowLoss {
	const logits = model.logits(hidden);
	return (options) => smoothedCrossEntropy(logits, labels, options);
}

function chunked({ outputWeight }: CausalLanguageModel, hidden: Tensor, labels: Tensor, chunk: number): RowLoss {
	if (outputWeight === undefined) {
		throw new ConfigError('needs a model whose output is one matrix', {
			where: 'training.objective.vocabularyChunk',
			fix: 'leave vocabularyChunk out',
		});
	}
	return (options) => linearCrossEntropy(hidden, outputWeight, labels, { ...options, chunk });
}
