/** @file Multi-head self-attention with grouped queries, rotary positions, score bias, and a key/value cache. */
import { z } from 'zod';
import { ConfigError } from '../../base/errors.ts';
import { concat } from '../../graph/ops/slicing.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { attend, mergeHeads, splitHeads } from '../attention.ts';
import { dropout } from '../dropout.ts';
import type { LayerContext } from '../layer-context.ts';
import { selfAttentionMask } from '../masks.ts';
import type { Norm } from '../norm/norm.ts';
import type { ParameterScope } from '../parameters.ts';
import { mixers } from './mixer.ts';

/**
 * Size of a head.
 * @throws ConfigError when the heads do not fit the model
 */
export function headSize(dim: number, heads: number, headDim: number | undefined): number {
	if (headDim !== undefined) return headDim;
	if (dim % heads !== 0) {
		throw new ConfigError('the heads do not divide the model dimension', {
			where: 'model.heads',
			expected: `a divisor of dim = ${dim}, or a headDim`,
			found: `${heads}`,
		});
	}
	return dim / heads;
}

/** q, k, v and output projections of an attention named `name` in the layer, and its norms. */
export function attentionProjections(
	layer: ParameterScope,
	name: string,
	context: LayerContext,
	sizes: { readonly heads: number; readonly kvHeads: number; readonly headDim: number; readonly bias: boolean },
) {
	const scope = layer.child(name);
	const { dim, linear } = context;
	const { heads, kvHeads, headDim, bias } = sizes;
	return {
		q: linear(scope.child('q_proj'), { inputs: dim, outputs: heads * headDim, bias, use: 'query' }),
		k: linear(scope.child('k_proj'), { inputs: dim, outputs: kvHeads * headDim, bias, use: 'key' }),
		v: linear(scope.child('v_proj'), { inputs: dim, outputs: kvHeads * headDim, bias, use: 'value' }),
		out: linear(scope.child('out_proj'), { inputs: heads * headDim, outputs: dim, bias, use: 'attention-output' }),
	};
}

mixers.register({
	schema: z
		.strictObject({
			kind: z.literal('attention'),
			heads: z.int().min(1).max(1_000_000).optional().describe("Query heads; default: the model's."),
			kvHeads: z
				.int()
				.min(1)
				.max(1_000_000)
				.optional()
				.describe('Key and value heads, a divisor of heads; default: as many as heads.'),
			headDim: z.int().min(1).max(1_000_000).optional().describe('Size of a head; default dim / heads.'),
			bias: z.boolean().default(true).describe('Biases on the four projections.'),
			qkNorm: z
				.boolean()
				.default(false)
				.describe("Norm of every query and key head before the scores (the model's norm)."),
		})
		.describe('Softmax attention over all earlier tokens (all tokens in an encoder).'),
	build: (config, layer, context) => {
		const heads = config.heads ?? context.heads;
		const kvHeads = config.kvHeads ?? heads;
		if (heads % kvHeads !== 0) {
			throw new ConfigError('the query heads cannot be shared out over the key heads', {
				where: 'model.mixer.kvHeads',
				expected: `a divisor of ${heads}`,
				found: `${kvHeads}`,
			});
		}
		const headDim = headSize(context.dim, heads, config.headDim);
		const projections = attentionProjections(layer, 'self_attn', context, {
			heads,
			kvHeads,
			headDim,
			bias: config.bias,
		});
		const scope = layer.child('self_attn');
		const perHead = (name: string): Norm => (config.qkNorm ? context.norm(scope.child(name), headDim) : (x) => x);
		const [queryNorm, keyNorm] = [perHead('q_norm'), perHead('k_norm')];
		const inner: Norm = context.innerNorm ? context.norm(scope.child('inner_attn_ln'), heads * headDim) : (x) => x;
		const { rotary, bias } = context.position;
		if (bias !== undefined && heads !== context.heads) {
			throw new ConfigError('a position bias is made for the heads of the model', {
				where: 'model.mixer.heads',
				expected: `${context.heads}, as model.heads`,
				found: `${heads}`,
			});
		}
		const cache = { shape: ['batch', kvHeads, 'past', headDim] as const, growsAlong: 2 };
		return {
			name: 'self_attn',
			states: context.causal
				? [
						{ name: 'self_attn.key', ...cache },
						{ name: 'self_attn.value', ...cache },
					]
				: [],
			apply: (x, pass, state) => {
				const q = queryNorm(splitHeads(projections.q.apply(x), heads));
				const newKeys = keyNorm(splitHeads(projections.k.apply(x), kvHeads));
				const newValues = splitHeads(projections.v.apply(x), kvHeads);
				const raw = rotary?.keysCachedRaw === true;
				const turned = rotary === undefined || raw ? newKeys : rotary.key(newKeys, pass);
				const [keys, values] =
					state === undefined
						? [turned, newValues]
						: [concat([state[0] as Tensor, turned], 2), concat([state[1] as Tensor, newValues], 2)];
				const { output, weights } = attend(
					rotary === undefined ? q : rotary.query(q, pass),
					raw ? (rotary as NonNullable<typeof rotary>).key(keys, pass) : keys,
					values,
					{
						bias: [bias?.(pass), selfAttentionMask(pass, context.causal)],
						onWeights: (probabilities) => dropout(probabilities, context.dropout.attention, pass, 'self_attn.weights'),
					},
				);
				return {
					output: projections.out.apply(inner(mergeHeads(output))),
					state: state === undefined ? [] : [keys, values],
					weights,
				};
			},
			flops: (contextLength) =>
				projections.q.flops +
				projections.k.flops +
				projections.v.flops +
				projections.out.flops +
				4 * heads * headDim * contextLength,
		};
	},
});
