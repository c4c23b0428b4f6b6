/** @file Two projections with an activation between (Vaswani et al. 2017, section 3.3). */
import { z } from 'zod';
import { activation, activationName } from '../activation.ts';
import { dropout } from '../dropout.ts';
import type { Norm } from '../norm/norm.ts';
import { feedForwards } from './feed-forward.ts';

feedForwards.register({
	schema: z
		.strictObject({
			kind: z.literal('mlp'),
			hidden: z.int().min(1).max(1_000_000).optional().describe('Width between the projections; default 4 * dim.'),
			activation: activationName.default('gelu'),
			bias: z.boolean().default(true).describe('Biases on both projections.'),
		})
		.describe('fc2(activation(fc1 x)).'),
	build: (config, layer, context) => {
		const { dim, linear, norm, innerNorm } = context;
		const scope = layer.child('ffn');
		const hidden = config.hidden ?? 4 * dim;
		const { bias } = config;
		const into = linear(scope.child('fc1'), { inputs: dim, outputs: hidden, bias, use: 'feed-forward-in' });
		const out = linear(scope.child('fc2'), { inputs: hidden, outputs: dim, bias, use: 'feed-forward-out' });
		const inner: Norm = innerNorm ? norm(scope.child('ffn_layernorm'), hidden) : (x) => x;
		const act = activation(config.activation);
		return {
			apply: (x, pass) => {
				const active = dropout(act(into.apply(x)), context.dropout.activation, pass, 'ffn.activation');
				return { output: out.apply(inner(active)) };
			},
			flops: into.flops + out.flops,
		};
	},
});
