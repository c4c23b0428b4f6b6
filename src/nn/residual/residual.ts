/** @file How a sublayer joins the residual stream: where the norm stands, and what follows from that for the model. */
import { z } from 'zod';
import { add } from '../../graph/ops/arithmetic.ts';
import type { Tensor } from '../../graph/tensor.ts';
import type { WeightUse } from '../initialization.ts';
import type { Norm } from '../norm/norm.ts';
import { PartFamily } from '../part.ts';

/** Facts that depth-dependent schemes need. */
export interface ResidualContext {
	readonly side: 'encoder' | 'decoder';
	/** Layers of the encoder and of the decoder; 0 where the model has none. */
	readonly encoderLayers: number;
	readonly decoderLayers: number;
}

export interface Residual {
	/** Whether the last layer is followed by a norm. */
	readonly finalNorm: boolean;
	/** Whether mixer and feed-forward get a further norm before their last projection. */
	readonly innerNorm: boolean;
	/** Factor on the initial values of a matrix. */
	readonly gain: (use: WeightUse) => number;
	/** x and branch's result [batch, time, dim] -> [batch, time, dim]. */
	readonly connect: (x: Tensor, norm: Norm, branch: (x: Tensor) => Tensor) => Tensor;
}

export const residuals = new PartFamily<[ResidualContext], Residual>('residual');

const plain = { innerNorm: false, gain: () => 1 } as const;

residuals.register({
	schema: z
		.strictObject({
			kind: z.literal('pre'),
			finalNorm: z.boolean().default(true).describe('A norm after the last layer.'),
		})
		.describe('x + f(norm(x)) (Xiong et al. 2020).'),
	build: ({ finalNorm }) => ({ ...plain, finalNorm, connect: (x, norm, branch) => add(x, branch(norm(x))) }),
});

residuals.register({
	schema: z.strictObject({ kind: z.literal('post') }).describe('norm(x + f(x)), no final norm (Vaswani et al. 2017).'),
	build: () => ({ ...plain, finalNorm: false, connect: (x, norm, branch) => norm(add(x, branch(x))) }),
});
