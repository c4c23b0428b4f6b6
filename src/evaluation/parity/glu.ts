/** @file `feed-forward.glu`. */
import { z } from 'zod';
import { feedForwards } from '../../nn/feed-forward/feed-forward.ts';
import { ParameterTree } from '../../nn/parameters.ts';
import { caseInputs, moduleContext, moduleScope, passOver } from './module-scope.ts';
import { defineParityKind } from './parity-kind.ts';

const ACTIVATION = { gelu: 'gelu', relu: 'relu', swish: 'silu', silu: 'silu' } as const;
const size = z.int().min(1).max(1_000_000);

defineParityKind({
	kind: 'feed-forward.glu',
	config: z.looseObject({ embed_dim: size, ffn_dim: size, activation_fn: z.enum(['gelu', 'relu', 'swish', 'silu']) }),
	build: (config, golden) => {
		const parameters = new ParameterTree();
		const glu = feedForwards.build(
			{
				kind: 'glu',
				hidden: config.ffn_dim,
				activation: ACTIVATION[config.activation_fn],
				bias: golden.params.has('fc1.bias'),
			},
			moduleScope(parameters, 'ffn.'),
			moduleContext({ dim: config.embed_dim, heads: 1, causal: false }),
		);
		const inputs = caseInputs(golden);
		const { x } = inputs;
		return { inputs, parameters, outputs: x === undefined ? {} : { y: glu.apply(x, passOver(x)).output } };
	},
});
