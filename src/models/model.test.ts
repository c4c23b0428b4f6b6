/** @file Configurations: what is refused and how the message reads; JSON Schema; TorchScale's keys. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { z } from 'zod';
import { ConfigError, InputError } from '../base/errors.ts';
import { buildModel, type ModelConfig, modelConfig } from './model.ts';
import { torchscaleConfig, torchscaleStack, unsupportedTorchscale } from './torchscale-config.ts';

const base = { architecture: 'decoder', vocabSize: 10, dim: 8, layers: 1, heads: 2 };

function messageOf(config: unknown): string {
	try {
		buildModel(config as ModelConfig);
	} catch (error) {
		assert.ok(error instanceof ConfigError, String(error));
		return error.message;
	}
	return 'accepted';
}

const REFUSED: readonly [unknown, ...RegExp[]][] = [
	[{ ...base, mixr: {} }, /^model: unknown key "mixr"/, /did you mean "mixer"/],
	[{ ...base, architecture: 'decodr' }, /^model\.architecture/, /did you mean "decoder"/],
	[{ ...base, architecture: undefined }, /model\.architecture: is missing/, /decoder, encoder, encoder-decoder/],
	[{ ...base, mixer: { kind: 'atention' } }, /^model\.mixer\.kind/, /did you mean "attention"/],
	[{ ...base, mixer: {} }, /^model\.mixer\.kind: is missing/, /expected: attention/],
	[
		{ ...base, mixer: { kind: 'attention', kvHead: 2 } },
		/^model\.mixer: unknown key "kvHead"/,
		/did you mean "kvHeads"/,
	],
	[{ ...base, mixer: { kind: 'attention', kvHeads: 0 } }, /^model\.mixer\.kvHeads/, />= 1/, /found: +0/],
	[{ ...base, mixer: 'attention' }, /^model\.mixer/, /expected: object/],
	[{ ...base, feedForward: { kind: 'mlp', activation: 'gello' } }, /activation/, /did you mean "gelu"/],
	[
		{ ...base, layerOverrides: [{ layers: { every: 2, form: 1 } }] },
		/layerOverrides\.0\.layers/,
		/did you mean "from"/,
	],
	[{ ...base, embedding: { scale: 'sqrt' } }, /embedding\.scale/, /sqrt-dim or number/],
	[{ ...base, position: { kind: 'relative-bias', buckets: 5 } }, /even/],
	[
		{ ...base, position: { kind: 'combined', parts: [{ kind: 'learnt' }] } },
		/parts\.0\.kind/,
		/did you mean "learned"/,
	],
	[{ ...base, dim: '8' }, /^model\.dim/, /expected: number|int/, /found: +"8"/],
	[{ ...base, dropout: 1 }, /^model\.dropout/, /< 1/],
	[{ ...base, layers: 1e9 }, /^model\.layers/],
	[null, /^model/],
	[[], /^model/],
];

test('what is wrong is named with its key, what is expected and what may be meant', () => {
	for (const [config, ...patterns] of REFUSED) {
		const message = messageOf(config);
		for (const pattern of patterns) assert.match(message, pattern, JSON.stringify(config));
	}
	assert.equal(messageOf(base), 'accepted');
});

test('any JSON is accepted or refused with an input error', () => {
	const value = fc.oneof(fc.jsonValue({ maxDepth: 2 }), fc.constantFrom(1, 2, 8, 'gelu'));
	const key = fc.constantFrom(...Object.keys(modelConfig.def.options[0]?.shape ?? {}), 'kind', 'oops');
	fc.assert(
		fc.property(fc.dictionary(key, value), (extra) => {
			try {
				buildModel({ ...base, ...extra } as unknown as ModelConfig);
			} catch (error) {
				assert.ok(error instanceof InputError, String(error));
			}
		}),
		{ numRuns: process.env.MODELSMITH_LONG === '1' ? 100_000 : 500 },
	);
});

test('the JSON Schema describes every key', () => {
	const undescribed: string[] = [];
	const walk = (node: unknown, path: string): void => {
		if (node === null || typeof node !== 'object') return;
		for (const [key, child] of Object.entries(node)) {
			const isProperties = key === 'properties';
			if (isProperties) {
				for (const [name, schema] of Object.entries(
					child as Record<string, { description?: string; const?: unknown }>,
				)) {
					if (schema.description === undefined && schema.const === undefined) undescribed.push(`${path}.${name}`);
				}
			}
			walk(child, `${path}.${key}`);
		}
	};
	walk(z.toJSONSchema(modelConfig, { io: 'input' }), '');
	assert.deepEqual(undescribed, []);
});

test('a resolved config builds the same model again', () => {
	const first = buildModel(base as ModelConfig);
	const again = buildModel(first.config);
	assert.deepEqual(again.config, first.config);
	assert.deepEqual(
		again.parameters.all.map(({ name, shape }) => [name, shape]),
		first.parameters.all.map(({ name, shape }) => [name, shape]),
	);
});

test("TorchScale's keys", () => {
	const official = torchscaleConfig.parse({
		decoder_embed_dim: 32,
		decoder_attention_heads: 4,
		decoder_ffn_embed_dim: 48,
		decoder_layers: 2,
		decoder_normalize_before: false,
		max_target_positions: 20,
		activation_fn: 'swish',
		no_scale_embedding: false,
		layernorm_embedding: true,
		share_decoder_input_output_embed: true,
		rel_pos_buckets: 16,
		max_rel_pos: 40,
		vocab_size: 9,
	});
	const stack = torchscaleStack(official, 'decoder');
	assert.deepEqual(stack.residual, { kind: 'post' });
	assert.deepEqual(stack.embedding, { scale: 'sqrt-dim', norm: true, tied: true });
	assert.deepEqual(stack.position, {
		kind: 'combined',
		parts: [
			{ kind: 'learned', offset: 2 },
			{ kind: 'relative-bias', buckets: 16, maxDistance: 40 },
		],
	});
	assert.deepEqual(stack.feedForward, { kind: 'mlp', hidden: 48, activation: 'silu' });
	assert.deepEqual(unsupportedTorchscale(official), []);
	const later = { deepnorm: true, moe_freq: 2, segment_length: [4] };
	assert.deepEqual(unsupportedTorchscale(torchscaleConfig.parse(later)), ['deepnorm', 'moe_freq', 'segment_length']);
});
