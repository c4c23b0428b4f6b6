/** @file Several position schemes at once, such as learned vectors together with a relative bias. */
import { z } from 'zod';
import { ConfigError } from '../../base/errors.ts';
import { addAll } from '../../graph/ops/arithmetic.ts';
import { type Position, positions } from './position.ts';

positions.register({
	schema: z
		.strictObject({
			kind: z.literal('combined'),
			parts: z.array(positions.schema).min(1).describe('The schemes; at most one of them may rotate.'),
		})
		.describe('Several schemes at once: embeddings and biases add up.'),
	build: ({ parts }, scope, context): Position => {
		const built = parts.map((part) => positions.build(part, scope, context));
		const rotaries = built.flatMap(({ rotary }) => (rotary === undefined ? [] : [rotary]));
		if (rotaries.length > 1) {
			throw new ConfigError('queries and keys can be rotated by one scheme only', {
				where: 'model.position.parts',
				found: `${rotaries.length} rotating schemes`,
			});
		}
		const embeds = built.flatMap(({ embed }) => (embed === undefined ? [] : [embed]));
		const biases = built.flatMap(({ bias }) => (bias === undefined ? [] : [bias]));
		const crossBiases = built.flatMap(({ crossBias }) => (crossBias === undefined ? [] : [crossBias]));
		const [rotary] = rotaries;
		return {
			limited: built.some(({ limited }) => limited),
			...(rotary !== undefined && { rotary }),
			...(embeds.length > 0 && { embed: (pass) => addAll(embeds.map((embed) => embed(pass))) }),
			...(biases.length > 0 && { bias: (pass) => addAll(biases.map((bias) => bias(pass))) }),
			...(crossBiases.length > 0 && {
				crossBias: (pass, source) => addAll(crossBiases.map((bias) => bias(pass, source))),
			}),
		};
	},
});
