/** @file Norms over the last axis: LayerNorm and RMSNorm. */
import { z } from 'zod';
import { layerNorm, rmsNorm } from '../../graph/ops/normalization.ts';
import { constantOf } from '../../graph/ops/source.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { ones, zeros } from '../initializers.ts';
import type { ParameterScope } from '../parameters.ts';
import { PartFamily } from '../part.ts';

/** [..., size] -> [..., size]. */
export type Norm = (x: Tensor) => Tensor;

/** build(config, scope, size): parameters `weight` (and `bias`) in `scope`. */
export const norms = new PartFamily<[ParameterScope, number], Norm>('norm');

const affine = z.boolean().default(true).describe('Whether the norm has a learned scale (and bias).');
const fixedOnes = (size: number): Tensor => constantOf(new Array<number>(size).fill(1), [size]);

norms.register({
	schema: z
		.strictObject({
			kind: z.literal('layer'),
			epsilon: z.number().positive().default(1e-5).describe('Added to the variance inside the root.'),
			affine,
			bias: z.boolean().default(true).describe('Whether an affine norm has a bias.'),
		})
		.describe('Layer normalisation (Ba et al. 2016).'),
	build: (config, scope, size) => {
		const weight = config.affine ? scope.parameter('weight', [size], ones) : fixedOnes(size);
		const bias = config.affine && config.bias ? scope.parameter('bias', [size], zeros) : undefined;
		return (x) => layerNorm(x, weight, bias, config.epsilon);
	},
});

norms.register({
	schema: z
		.strictObject({
			kind: z.literal('rms'),
			epsilon: z.number().positive().default(1e-6).describe('Added to the mean square inside the root.'),
			affine,
		})
		.describe('Root-mean-square normalisation (Zhang & Sennrich 2019).'),
	build: (config, scope, size) => {
		const weight = config.affine ? scope.parameter('weight', [size], ones) : fixedOnes(size);
		return (x) => rmsNorm(x, weight, config.epsilon);
	},
});
