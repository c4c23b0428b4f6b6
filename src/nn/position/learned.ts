/** @file A learned vector for every position, added to the token embeddings. */
import { z } from 'zod';
import { ShapeError } from '../../base/errors.ts';
import { add } from '../../graph/ops/arithmetic.ts';
import { gather } from '../../graph/ops/indexing.ts';
import { slice } from '../../graph/ops/slicing.ts';
import { addDims } from '../../graph/shape.ts';
import { positions } from './position.ts';

positions.register({
	schema: z
		.strictObject({
			kind: z.literal('learned'),
			offset: z
				.int()
				.min(0)
				.default(0)
				.describe('First row used; the table has maxLength + offset rows. TorchScale and fairseq weights: 2.'),
		})
		.describe('A learned table `embed_positions.weight` [maxLength + offset, dim].'),
	build: ({ offset }, scope, { dim, maxLength, init }) => {
		const weight = scope
			.child('embed_positions')
			.parameter('weight', [maxLength + offset, dim], init.weight('position'), {
				role: 'embedding',
			});
		return {
			limited: true,
			embed: (pass) => {
				if (typeof pass.keys === 'number' && pass.keys > maxLength) {
					throw new ShapeError('the text is longer than the learned positions', {
						expected: `at most ${maxLength} tokens (maxLength)`,
						found: `${pass.keys}`,
					});
				}
				const { positions: given } = pass.options;
				if (given !== undefined) return gather(weight, add(given, offset), 0);
				// Consecutive rows are a slice, whose gradient needs no scatter.
				return slice(weight, 0, addDims(pass.past, offset), addDims(pass.keys, offset));
			},
		};
	},
});
