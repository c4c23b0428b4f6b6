/** @file Gated linear unit (Shazeer 2020): with silu this is SwiGLU. */
import { z } from 'zod';
import { mul } from '../../graph/ops/arithmetic.ts';
import { activation, activationName } from '../activation.ts';
import { dropout } from '../dropout.ts';
import type { Norm } from '../norm/norm.ts';
import { feedForwards } from './feed-forward.ts';

/** 8/3 of the dimension, as many parameters as an mlp with 4 * dim, rounded up to a multiple of 8. */
export function defaultGluHidden(dim: number): number {
	return Math.ceil((8 * dim) / 3 / 8) * 8;
}

feedForwards.register({
	schema: z
		.strictObject({
			kind: z.literal('glu'),
			hidden: z
				.int()
				.min(1)
				.max(1_000_000)
				.optional()
				.describe('Width of gate and value; default 8/3 * dim, rounded up to a multiple of 8.'),
			activation: activationName.default('silu'),
			bias: z.boolean().default(false).describe('Biases on the three projections.'),
		})
		.describe('fc2(activation(fc1 x) * gate x).'),
	build: (config, layer, context) => {
		const { dim, linear, norm, innerNorm } = context;
		const scope = layer.child('ffn');
		const hidden = config.hidden ?? defaultGluHidden(dim);
		const { bias } = config;
		const into = linear(scope.child('fc1'), { inputs: dim, outputs: hidden, bias, use: 'feed-forward-in' });
		const out = linear(scope.child('fc2'), { inputs: hidden, outputs: dim, bias, use: 'feed-forward-out' });
		const gate = linear(scope.child('gate'), { inputs: dim, outputs: hidden, bias, use: 'feed-forward-gate' });
		const inner: Norm = innerNorm ? norm(scope.child('ffn_layernorm'), hidden) : (x) => x;
		const act = activation(config.activation);
		return {
			apply: (x, pass) => {
				const gated = mul(act(into.apply(x)), gate.apply(x));
				return { output: out.apply(inner(dropout(gated, context.dropout.activation, pass, 'ffn.activation'))) };
			},
			flops: into.flops + gate.flops + out.flops,
		};
	},
});
