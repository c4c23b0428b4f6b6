/** @file Attention of a decoder to the output of an encoder. */

import type { Dim } from '../graph/shape.ts';
import type { Tensor } from '../graph/tensor.ts';
import { type AttendResult, attend, mergeHeads, splitHeads } from './attention.ts';
import { dropout } from './dropout.ts';
import type { LayerContext } from './layer-context.ts';
import { crossAttentionMask } from './masks.ts';
import { attentionProjections, headSize } from './mixer/attention.ts';
import type { ParameterScope } from './parameters.ts';
import type { Pass } from './pass.ts';

export interface CrossAttention {
	/** Keys and values [batch, heads, source, headDim] of an encoder output [batch, source, dim]. */
	readonly memory: (hidden: Tensor) => readonly [Tensor, Tensor];
	/** x [batch, time, dim] -> output [batch, time, dim] and weights [batch, heads, time, source]. */
	readonly apply: (x: Tensor, pass: Pass, memory: readonly [Tensor, Tensor]) => AttendResult;
	/** For one token of the decoder, without the keys and values of the source. */
	readonly flops: (sourceLength: number) => number;
	readonly heads: number;
	readonly headDim: number;
}

/** Parameters `encoder_attn.{q,k,v,out}_proj` in the layer's scope. */
export function crossAttention(layer: ParameterScope, context: LayerContext): CrossAttention {
	const { heads, dim, position } = context;
	const headDim = headSize(dim, heads, undefined);
	const projections = attentionProjections(layer, 'encoder_attn', context, {
		heads,
		kvHeads: heads,
		headDim,
		bias: true,
	});
	return {
		heads,
		headDim,
		memory: (hidden) => [
			splitHeads(projections.k.apply(hidden), heads),
			splitHeads(projections.v.apply(hidden), heads),
		],
		apply: (x, pass, [keys, values]) => {
			const { output, weights } = attend(splitHeads(projections.q.apply(x), heads), keys, values, {
				bias: [position.crossBias?.(pass, keys.shape[2] as Dim), crossAttentionMask(pass)],
				onWeights: (probabilities) => dropout(probabilities, context.dropout.attention, pass, 'encoder_attn.weights'),
			});
			return { output: projections.out.apply(mergeHeads(output)), weights };
		},
		flops: (sourceLength) => projections.q.flops + projections.out.flops + 4 * heads * headDim * sourceLength,
	};
}
