/** @file Causal language modelling with label smoothing and z-loss against plain formulas (torch.nn.functional.cross_entropy's). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tinyGpt } from '../../test/support/tiny-gpt.ts';
import { evaluate } from '../graph/evaluate.ts';
import { constantOf, input } from '../graph/ops/source.ts';
import { ndarray } from '../graph/reference.ts';
import { createObjective, objectiveConfig } from './objective-registry.ts';

const LOGITS = [
	[0.5, -1, 2, 0.25],
	[1, 1, -2, 0],
	[3, -3, 0.5, 0.1],
];
const LABELS = [2, -100, 0];

const IDENTITY = [0, 1, 2, 3].flatMap((i) => [0, 1, 2, 3].map((j) => (i === j ? 1 : 0)));

for (const [labelSmoothing, zLoss, vocabularyChunk] of [
	[0, 0, undefined],
	[0.1, 0, undefined],
	[0, 0.01, undefined],
	[0.3, 0.02, undefined],
	[0, 0, 3],
	[0.3, 0.02, 3],
] as const) {
	test(`label smoothing ${labelSmoothing}, z-loss ${zLoss}, chunk ${vocabularyChunk ?? 'none'}`, () => {
		const logits = input('logits', 'float32', [1, 3, 4]);
		const labels = input('labels', 'int32', [1, 3]);
		const tokens = input('tokens', 'int32', [1, 3]);
		const gpt = tinyGpt({ vocabSize: 4, dim: 2, heads: 1, layers: 1, hidden: 2, maxLength: 3 });
		const hiddenStates = () => ({ hidden: logits, auxiliaryLosses: [] });
		const model = { ...gpt, hiddenStates, logits: (x: typeof logits) => x, outputWeight: constantOf(IDENTITY, [4, 4]) };
		const objective = createObjective(
			objectiveConfig.parse({ kind: 'causal-lm', labelSmoothing, zLoss, vocabularyChunk }),
		);
		const result = objective.loss(model, { tokens, labels }, { training: true });
		const feeds = new Map([
			[logits, ndarray('float32', [1, 3, 4], LOGITS.flat())],
			[labels, ndarray('int32', [1, 3], LABELS)],
		]);
		const [loss, likelihood] = evaluate([result.lossSum, result.likelihoodSum], feeds);
		let [expectedLoss, expectedLikelihood] = [0, 0];
		LOGITS.forEach((row, i) => {
			const label = LABELS[i] as number;
			if (label < 0) return;
			const normalizer = Math.log(row.reduce((t, x) => t + Math.exp(x), 0));
			const nll = normalizer - (row[label] as number);
			const uniform = normalizer - row.reduce((t, x) => t + x, 0) / row.length;
			expectedLikelihood += nll;
			expectedLoss += (1 - labelSmoothing) * nll + labelSmoothing * uniform + zLoss * normalizer ** 2;
		});
		assert.ok(Math.abs(loss!.data[0]! - expectedLoss) < 1e-6, `${loss!.data[0]}, not ${expectedLoss}`);
		assert.ok(Math.abs(likelihood!.data[0]! - expectedLikelihood) < 1e-6);
		assert.equal(result.lossSum === result.likelihoodSum, labelSmoothing === 0 && zLoss === 0);
	});
}
