/**
 * @file Next-token prediction. Optional: label smoothing (Szegedy et al. 2016, section 7) and the z-loss that keeps the
 * softmax normaliser near 1 (Chowdhery et al. 2022, arXiv:2204.02311, section 5).
 */
import { z } from 'zod';
import { add, mul, sub } from '../../graph/ops/arithmetic.ts';
import { cast } from '../../graph/ops/cast.ts';
import { greaterEqual } from '../../graph/ops/compare.ts';
import { crossEntropy } from '../../graph/ops/cross-entropy.ts';
import { flattenRows, reshape } from '../../graph/ops/movement.ts';
import { logSumExp, mean, sum } from '../../graph/ops/reduction.ts';
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
	}),
	create: ({ labelSmoothing, zLoss }) => ({
		loss: (model, { labels, ...inputs }, context) => {
			const { hidden, auxiliaryLosses } = model.hiddenStates(inputs, context);
			const flatLabels = reshape(labels, [rowsOf(hidden)]);
			const { likelihood, logNormalizer, meanLogit } = rowTerms(model, flattenRows(hidden), flatLabels);
			const likelihoodSum = sum(likelihood);
			if (labelSmoothing === 0 && zLoss === 0) return { lossSum: likelihoodSum, likelihoodSum, auxiliaryLosses };
			const counted = cast(greaterEqual(flatLabels, 0), 'float32');
			const normalizer = logNormalizer();
			let total = likelihood;
			if (labelSmoothing > 0) {
				const uniform = mul(sub(normalizer, meanLogit()), counted);
				total = add(mul(likelihood, 1 - labelSmoothing), mul(uniform, labelSmoothing));
			}
			if (zLoss > 0) total = add(total, mul(mul(mul(normalizer, normalizer), counted), zLoss));
			return { lossSum: sum(total), likelihoodSum, auxiliaryLosses };
		},
	}),
});

interface RowTerms {
	/** Negative log-likelihood of each row's label, 0 where ignored [rows]. */
	readonly likelihood: Tensor;
	/** Log of the softmax normaliser [rows]. */
	readonly logNormalizer: () => Tensor;
	/** Mean over the vocabulary of the logits [rows]. */
	readonly meanLogit: () => Tensor;
}

/** hidden [rows, dim], labels [rows]. */
function rowTerms(model: CausalLanguageModel, hidden: Tensor, labels: Tensor): RowTerms {
	const logits = model.logits(hidden);
	return {
		likelihood: crossEntropy(logits, labels),
		logNormalizer: () => logSumExp(logits, { axis: -1 }),
		meanLogit: () => mean(logits, { axis: -1 }),
	};
}

function rowsOf(hidden: Tensor): Dim {
	return flattenRows(hidden).shape[0] as Dim;
}
