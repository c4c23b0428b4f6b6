/** @file T5's relative position bias (Raffel et al. 2020): a learned number per head and bucket of distance. */
import { z } from 'zod';
import { ConfigError } from '../../base/errors.ts';
import { add, clamp, sub } from '../../graph/ops/arithmetic.ts';
import { embedding, gather } from '../../graph/ops/indexing.ts';
import { expandDims, transpose } from '../../graph/ops/movement.ts';
import { arange } from '../../graph/ops/ranges.ts';
import { constantOf } from '../../graph/ops/source.ts';
import { addDims, type Dim } from '../../graph/shape.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { positions } from './position.ts';

export interface BucketOptions {
	readonly buckets: number;
	/** Distances from here on share the last bucket. */
	readonly maxDistance: number;
	/** Separate buckets for keys before and after the query; otherwise all keys after it count as distance 0. */
	readonly bidirectional: boolean;
}

/**
 * Bucket of key position - query position. Half of the buckets of a direction are exact, the rest grow logarithmically.
 * Rounded to float32 at every step, as the original computes it, so that borders fall on the same distances.
 */
export function relativeBucket(offset: number, { buckets, maxDistance, bidirectional }: BucketOptions): number {
	const perDirection = bidirectional ? buckets / 2 : buckets;
	const base = bidirectional && offset > 0 ? perDirection : 0;
	const distance = bidirectional ? Math.abs(offset) : Math.max(-offset, 0);
	const exact = Math.floor(perDirection / 2);
	if (distance < exact) return base + distance;
	const f = Math.fround;
	const grown = f(f(Math.log(f(distance / exact))) / f(Math.log(maxDistance / exact)));
	return base + Math.min(exact + Math.trunc(f(grown * (perDirection - exact))), perDirection - 1);
}

/** Buckets [queries, keys] int32 for query positions start, start+1, ... and key positions 0, 1, ... */
export function relativeBuckets(queries: Dim, keys: Dim, start: Dim, options: BucketOptions): Tensor {
	const { maxDistance } = options;
	// Further away than maxDistance everything is in the last bucket of its direction, so a table covers all offsets.
	const table = Array.from({ length: 2 * maxDistance + 1 }, (_, i) => relativeBucket(i - maxDistance, options));
	const query = arange(start, addDims(start, queries), 'int32');
	const offset = sub(expandDims(arange(0, keys, 'int32'), 0), expandDims(query, 1));
	return gather(constantOf(table, [table.length], 'int32'), add(clamp(offset, -maxDistance, maxDistance), maxDistance));
}

/** weight [buckets, heads], buckets [queries, keys] -> [1, heads, queries, keys]. */
export function relativeBias(weight: Tensor, buckets: Tensor): Tensor {
	return expandDims(transpose(embedding(weight, buckets), [2, 0, 1]), 0);
}

positions.register({
	schema: z
		.strictObject({
			kind: z.literal('relative-bias'),
			buckets: z.int().min(4).max(1_000_000).default(32).describe('Number of learned values per head.'),
			maxDistance: z.int().min(1).max(1_000_000).default(128).describe('Distances from here on share a bucket.'),
			bidirectional: z
				.boolean()
				.default(true)
				.describe('Separate buckets before and after the query. TorchScale weights: true even in decoders.'),
		})
		.refine(
			({ buckets, bidirectional }) => !bidirectional || buckets % 2 === 0,
			'buckets must be even to serve two directions',
		)
		.describe('T5-style bias on the scores; one table for all layers.'),
	build: (options, scope, { side, heads, crossAttention, init }) => {
		const exact = Math.floor((options.bidirectional ? options.buckets / 2 : options.buckets) / 2);
		if (options.maxDistance <= exact) {
			throw new ConfigError('the buckets already cover every distance exactly', {
				where: 'model.position.maxDistance',
				expected: `more than ${exact}`,
				found: `${options.maxDistance}`,
			});
		}
		const table = (name: string): Tensor =>
			scope
				.child(name)
				.child('relative_attention_bias')
				.parameter('weight', [options.buckets, heads], init.weight('relative-bias'), { role: 'embedding' });
		const self = table(side === 'encoder' ? 'relative_position' : 'self_attn_relative_position');
		const cross = crossAttention ? table('cross_attn_relative_position') : undefined;
		return {
			limited: false,
			bias: (pass) =>
				pass.once(self, () => relativeBias(self, relativeBuckets(pass.time, pass.keys, pass.past, options))),
			...(cross !== undefined && {
				crossBias: (pass, source) =>
					pass.once(cross, () => relativeBias(cross, relativeBuckets(pass.time, source, pass.past, options))),
			}),
		};
	},
});
