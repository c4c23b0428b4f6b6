/** @file Parameter and operation counts against published numbers and formulas. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { buildModel } from './model.ts';
import { formatSummary, modelSummary } from './summary.ts';

const gpt2 = { architecture: 'decoder', vocabSize: 50257, dim: 768, layers: 12, heads: 12, maxLength: 1024 } as const;

test('GPT-2 small has 124,439,808 parameters, in a chain and in a loop', () => {
	for (const layerMode of ['unroll', 'scan'] as const) {
		const summary = modelSummary(buildModel({ ...gpt2, layerMode }));
		assert.equal(summary.parameters, 124_439_808);
		assert.equal(summary.nonEmbeddingParameters, 124_439_808 - 50257 * 768 - 1024 * 768);
		const fc1 = summary.rows.find(({ name }) => name === 'layers.*.ffn.fc1.weight');
		assert.deepEqual([fc1?.shape, fc1?.count, fc1?.parameters], [[3072, 768], 12, 12 * 3072 * 768]);
		assert.equal(summary.rows.length, 20);
	}
});

test('operations per token: 2 for every weight of a matrix, 4 * dim * context for attention in every layer', () => {
	const { forwardFlopsPerToken, trainingFlopsPerToken, contextLength } = modelSummary(buildModel(gpt2));
	assert.equal(contextLength, 1024);
	assert.equal(forwardFlopsPerToken, 2 * (12 * 12 * 768 ** 2 + 50257 * 768) + 12 * 4 * 768 * 1024);
	assert.equal(trainingFlopsPerToken, 3 * forwardFlopsPerToken);
	const grouped = buildModel({
		...gpt2,
		mixer: { kind: 'attention', kvHeads: 3, bias: false },
		feedForward: { kind: 'glu', hidden: 100 },
		embedding: { tied: false },
	});
	const perLayer = 2 * (768 * 768 * 2 + 768 * 192 * 2 + 3 * 768 * 100) + 4 * 768 * 64;
	assert.equal(modelSummary(grouped, 64).forwardFlopsPerToken, 12 * perLayer + 2 * 50257 * 768);
});

test('every architecture has a summary that can be printed', () => {
	const side = { dim: 16, layers: 2, heads: 2, maxLength: 8 };
	const both = buildModel({ architecture: 'encoder-decoder', vocabSize: 20, encoder: side, decoder: side });
	const text = formatSummary(modelSummary(both));
	assert.match(text, /decoder\.layers\.\*\.encoder_attn\.q_proj\.weight +\[16, 16\] +x 2 +512\n/);
	const encoder = modelSummary(buildModel({ architecture: 'encoder', vocabSize: 20, ...side }));
	assert.equal(encoder.architecture, 'encoder');
	assert.equal(
		encoder.parameters,
		encoder.rows.reduce((total, row) => total + row.parameters, 0),
	);
});
