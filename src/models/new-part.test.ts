/** @file New parts: registered from a file of their own, used through a config, with no change to any core file. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { z } from 'zod';
import {
	largestDifference,
	lossAndGradients,
	randomParameters,
	randomTokens,
} from '../../test/support/model-harness.ts';
import { ConfigError } from '../base/errors.ts';
import type { HostTensor } from '../base/host-tensor.ts';
import { mul } from '../graph/ops/arithmetic.ts';
import { mean } from '../graph/ops/reduction.ts';
import { input } from '../graph/ops/source.ts';
import { dim } from '../graph/shape.ts';
import { feedForwards } from '../nn/feed-forward/feed-forward.ts';
import { ones } from '../nn/initializers.ts';
import { mixers } from '../nn/mixer/mixer.ts';
import { stackParameters, unstackParameters } from '../nn/parameters.ts';
import { PartFamily } from '../nn/part.ts';
import { residuals } from '../nn/residual/residual.ts';
import { buildDecoder, type Decoder } from './decoder.ts';

// A mixer with a constant state, a feed-forward with a loss of its own, a residual with inner norms.
mixers.register({
	schema: z.strictObject({ kind: z.literal('test-gate'), start: z.number().default(1) }),
	build: ({ start }, layer, { dim: width }) => {
		const weight = layer.child('gate').parameter('weight', [width], ones);
		return {
			name: 'gate',
			states: [{ name: 'gate.sum', shape: ['batch', width] }],
			apply: (x, _pass, state) => ({ output: mul(mul(x, weight), start), state: state ?? [] }),
			flops: () => width,
		};
	},
});
feedForwards.register({
	schema: z.strictObject({ kind: z.literal('test-balanced') }),
	build: (_, layer, { dim: width }) => {
		const weight = layer.child('ffn').parameter('scale', [width], ones);
		return {
			apply: (x) => ({ output: mul(x, weight), auxiliaryLosses: [mean(mul(weight, weight))] }),
			flops: width,
		};
	},
});
residuals.register({
	schema: z.strictObject({ kind: z.literal('test-inner') }),
	build: (_, { decoderLayers }) => ({
		finalNorm: true,
		innerNorm: true,
		gain: (use) => (use === 'value' ? decoderLayers : 1),
		connect: (x, norm, branch) => branch(norm(x)),
	}),
});

const build = (layerMode: 'unroll' | 'scan'): Decoder =>
	buildDecoder({
		vocabSize: 7,
		dim: 8,
		layers: 3,
		heads: 2,
		layerMode,
		mixer: { kind: 'test-gate', start: 0.5 },
		feedForward: { kind: 'test-balanced' },
	});

test('a model of new parts trains, in a chain and in a loop', async () => {
	const [chain, loop] = [build('unroll'), build('scan')];
	assert.deepEqual(
		chain.stateSpecs.map(({ name }) => name),
		['layers.0.gate.sum', 'layers.1.gate.sum', 'layers.2.gate.sum'],
	);
	assert.deepEqual(loop.stateSpecs[0]?.shape, [3, dim('batch'), 8]);
	assert.ok(chain.parameters.get('layers.1.gate_layer_norm.weight') !== undefined);
	const parameters = randomParameters(chain.parameters);
	const stacked = stackParameters(loop.parameters.all, unstackParameters(chain.parameters.all, parameters));
	const text = { tokens: randomTokens(1, 2, 4, 7) };
	const [a, b] = [await lossAndGradients(chain, text, parameters), await lossAndGradients(loop, text, stacked)];
	assert.ok(Math.abs(a.loss - b.loss) < 1e-6);
	for (const [name, gradient] of a.gradients) {
		assert.ok(largestDifference(gradient, b.gradients.get(name) as HostTensor) < 1e-5, name);
	}
});

test('auxiliary losses of all layers come out: one each in a chain, their sum in a loop', () => {
	const tokens = input('tokens', 'int32', [1, 4]);
	const losses = (model: Decoder) => model.hiddenStates({ tokens }, { training: true }).auxiliaryLosses;
	assert.equal(losses(build('unroll')).length, 3);
	assert.deepEqual(
		losses(build('scan')).map(({ shape }) => shape),
		[[]],
	);
});

test('a residual may ask for inner norms and scale initial weights', () => {
	const settings = { vocabSize: 7, dim: 8, layers: 3, heads: 2, init: { kind: 'normal' } } as const;
	const [inner, plain] = [buildDecoder({ ...settings, residual: { kind: 'test-inner' } }), buildDecoder(settings)];
	assert.deepEqual(inner.parameters.get('layers.0.self_attn.inner_attn_ln.weight')?.shape, [8]);
	assert.deepEqual(inner.parameters.get('layers.0.ffn.ffn_layernorm.weight')?.shape, [32]);
	const value = (model: Decoder, name: string): number =>
		Number(model.parameters.initialize(1).get(`layers.0.self_attn.${name}.weight`)?.data[0]);
	assert.ok(Math.abs(value(inner, 'v_proj') - 3 * value(plain, 'v_proj')) < 1e-7);
	assert.equal(value(inner, 'q_proj'), value(plain, 'q_proj'));
});

test('kinds are unique, and registered before configs are read', () => {
	const family = new PartFamily<[], number>('thing');
	const part = (kind: string) => ({ schema: z.strictObject({ kind: z.literal(kind) }), build: () => 1 });
	family.register(part('a'));
	assert.throws(() => family.register(part('a')), /registered twice/);
	assert.equal(family.schema.safeParse({ kind: 'a' }).success, true);
	assert.throws(() => family.register(part('b')), /import its file earlier/);
	assert.throws(
		() => family.build({ kind: 'c' }),
		(error) => error instanceof ConfigError && /"c"/.test(error.message),
	);
});
