/** @file Fixed sines and cosines of falling frequency, added to the token embeddings (Vaswani et al. 2017, section 3.5). */
import { z } from 'zod';
import { ConfigError } from '../../base/errors.ts';
import { mul } from '../../graph/ops/arithmetic.ts';
import { cast } from '../../graph/ops/cast.ts';
import { expandDims, reshape } from '../../graph/ops/movement.ts';
import { stack } from '../../graph/ops/slicing.ts';
import { constantOf } from '../../graph/ops/source.ts';
import { cos, sin } from '../../graph/ops/unary.ts';
import { positions } from './position.ts';

positions.register({
	schema: z
		.strictObject({
			kind: z.literal('sinusoidal'),
			theta: z.number().positive().default(10000).describe('Base of the frequencies theta^(-2i/dim).'),
		})
		.describe('Feature 2i is sin(p theta^(-2i/dim)), feature 2i+1 the cosine.'),
	build: ({ theta }, _scope, { dim }) => {
		if (dim % 2 !== 0) {
			throw new ConfigError('sinusoidal positions pair the features', {
				where: 'model.dim',
				expected: 'an even number',
				found: `${dim}`,
			});
		}
		const frequencies = Array.from({ length: dim / 2 }, (_, i) => theta ** ((-2 * i) / dim));
		return {
			limited: false,
			embed: (pass) => {
				const at = cast(pass.positions(), 'float32');
				const angles = mul(expandDims(at, -1), constantOf(frequencies, [dim / 2]));
				return reshape(stack([sin(angles), cos(angles)], angles.rank), [...at.shape, dim]);
			},
		};
	},
});
