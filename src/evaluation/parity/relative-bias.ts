/** @file `position.relative-bias`. */
import { z } from 'zod';
import { cast } from '../../graph/ops/cast.ts';
import { expand, reshape } from '../../graph/ops/movement.ts';
import { normal } from '../../nn/initializers.ts';
import { ParameterTree } from '../../nn/parameters.ts';
import { relativeBias, relativeBuckets } from '../../nn/position/relative-bias.ts';
import { moduleScope } from './module-scope.ts';
import { defineParityKind } from './parity-kind.ts';

const size = z.int().min(1).max(100_000);

defineParityKind({
	kind: 'position.relative-bias',
	config: z.looseObject({
		bidirectional: z.boolean(),
		num_buckets: z.int().min(2).max(1_000_000),
		max_distance: z.int().min(1).max(1_000_000),
		n_heads: size,
		batch_size: size,
		qlen: size,
		klen: size,
		step: z.int().min(0).max(10_000_000).nullish(),
	}),
	build: (config) => {
		const parameters = new ParameterTree();
		const weight = moduleScope(parameters)
			.child('relative_attention_bias')
			.parameter('weight', [config.num_buckets, config.n_heads], normal(1));
		const { qlen, klen, n_heads: heads, batch_size: batch } = config;
		const buckets = relativeBuckets(qlen, klen, config.step ?? 0, {
			buckets: config.num_buckets,
			maxDistance: config.max_distance,
			bidirectional: config.bidirectional,
		});
		const bias = expand(relativeBias(weight, buckets), [batch, heads, qlen, klen]);
		return {
			inputs: {},
			parameters,
			outputs: { bias: reshape(bias, [batch * heads, qlen, klen]), buckets: cast(buckets, 'int64') },
		};
	},
});
