/** @file `position.rotary`. */
import { z } from 'zod';
import { ShapeError } from '../../base/errors.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { kaimingUniform } from '../../nn/initializers.ts';
import { ParameterTree } from '../../nn/parameters.ts';
import { Pass } from '../../nn/pass.ts';
import { type Position, positions } from '../../nn/position/position.ts';
import { caseInputs, moduleScope } from './module-scope.ts';
import { defineParityKind } from './parity-kind.ts';

defineParityKind({
	kind: 'position.rotary',
	config: z.looseObject({
		variant: z.enum(['half', 'interleaved']),
		frequencies: z.enum(['standard', 'linspace']),
		rope_theta: z.number().positive(),
		head_dim: z.int().min(2).max(1_000_000),
		offset: z.int().min(0).max(100_000_000),
	}),
	build: ({ variant, frequencies, rope_theta, offset, head_dim }, golden) => {
		const parameters = new ParameterTree();
		const inputs = caseInputs(golden);
		const { rotary } = positions.build(
			{ kind: 'rope', variant, frequencies, theta: rope_theta },
			moduleScope(parameters),
			{
				dim: head_dim,
				heads: 1,
				maxLength: 1,
				side: 'decoder',
				crossAttention: false,
				init: { weight: () => kaimingUniform, bias: () => kaimingUniform },
			},
		) as Required<Pick<Position, 'rotary'>>;
		const rotated = (apply: (x: Tensor, pass: Pass) => Tensor, x: Tensor): Tensor => {
			if (x.rank !== 4 || x.shape[3] !== head_dim) {
				throw new ShapeError('queries and keys have another shape', {
					expected: `[batch, heads, time, ${head_dim}]`,
					found: String(x),
				});
			}
			const pass = new Pass({ batch: x.shape[0] as number, time: x.shape[2] as number, past: offset });
			return apply(x, pass);
		};
		const { q, k } = inputs;
		return {
			inputs,
			parameters,
			outputs: { ...(q && { q: rotated(rotary.query, q) }), ...(k && { k: rotated(rotary.key, k) }) },
		};
	},
});
