/** @file The encoder: sees both directions, hides padding and other documents. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { largestDifference, logitsOf, randomParameters, randomTokens, rows } from '../../test/support/model-harness.ts';
import { type HostTensor, hostTensor } from '../base/host-tensor.ts';
import { buildEncoder, type Encoder, type EncoderConfig } from './encoder.ts';

const VOCAB = 17;
const small = (config: Partial<EncoderConfig> = {}): Encoder =>
	buildEncoder({ vocabSize: VOCAB, dim: 12, layers: 2, heads: 2, maxLength: 10, ...config });

/** Tokens start..end-1 of the logits of one row. */
function cut({ data, dims }: HostTensor, row: number, start: number, end: number): HostTensor {
	const time = dims[1] as number;
	const part = (data as Float32Array).slice((row * time + start) * VOCAB, (row * time + end) * VOCAB);
	return hostTensor('float32', [end - start, VOCAB], part);
}

test('a later token changes an earlier one', async () => {
	const model = small();
	const parameters = randomParameters(model.parameters);
	const [a, b] = [rows([[1, 2, 3, 4]]), rows([[1, 2, 3, 5]])];
	const [first, second] = [
		await logitsOf(model, { tokens: a }, parameters),
		await logitsOf(model, { tokens: b }, parameters),
	];
	assert.ok(largestDifference(cut(first, 0, 0, 1), cut(second, 0, 0, 1)) > 1e-4);
});

for (const config of [
	{},
	{ residual: { kind: 'post' }, position: { kind: 'relative-bias' } },
	{ position: { kind: 'rope' }, layerMode: 'scan' },
] as Partial<EncoderConfig>[]) {
	test(`padding changes nothing at real tokens ${JSON.stringify(config)}`, async () => {
		const model = small(config);
		const parameters = randomParameters(model.parameters);
		const tokens = randomTokens(1, 1, 5, VOCAB);
		const alone = await logitsOf(model, { tokens }, parameters);
		const padded = await logitsOf(
			model,
			{
				tokens: rows([[...tokens.data, 3, 3, 9].map(Number), [1, 2, 3, 4, 5, 6, 7, 8]]),
				paddingMask: rows(
					[
						[1, 1, 1, 1, 1, 0, 0, 0],
						[1, 1, 1, 1, 1, 1, 1, 1],
					],
					'bool',
				),
			},
			parameters,
		);
		assert.ok(largestDifference(cut(alone, 0, 0, 5), cut(padded, 0, 0, 5)) < 1e-5);
	});
}

test('packed documents do not see each other', async () => {
	const model = small({ position: { kind: 'rope' } });
	const parameters = randomParameters(model.parameters);
	const [first, second] = [randomTokens(2, 1, 3, VOCAB), randomTokens(3, 1, 4, VOCAB)];
	const packed = await logitsOf(
		model,
		{
			tokens: rows([[...first.data, ...second.data].map(Number)]),
			segmentIds: rows([[0, 0, 0, 1, 1, 1, 1]]),
		},
		parameters,
	);
	const alone = await logitsOf(model, { tokens: second }, parameters);
	assert.ok(largestDifference(cut(packed, 0, 3, 7), cut(alone, 0, 0, 4)) < 1e-5);
});
