/** @file Linear projections as exchangeable parts: every matrix of a model is made by the configured kind. */
import { z } from 'zod';
import { linear } from '../graph/ops/matmul.ts';
import type { Tensor } from '../graph/tensor.ts';
import type { Initializer, ParameterScope } from './parameters.ts';
import { PartFamily } from './part.ts';

/** Sizes and initial values of one projection. */
export interface LinearShape {
	readonly inputs: number;
	readonly outputs: number;
	readonly bias: boolean;
	readonly weightInit: Initializer;
	readonly biasInit: Initializer;
}

export interface Linear {
	/** [..., inputs] -> [..., outputs]. */
	readonly apply: (x: Tensor) => Tensor;
	/** Floating-point operations for one row (multiply-add = 2). */
	readonly flops: number;
}

/** build(config, scope, shape): parameters `weight` [outputs, inputs] and `bias` [outputs] in `scope`. */
export const linears = new PartFamily<[ParameterScope, LinearShape], Linear>('linear');

linears.register({
	schema: z.strictObject({ kind: z.literal('dense') }).describe('A full matrix, `x W^T + b`.'),
	build: (_, scope, { inputs, outputs, bias, weightInit, biasInit }) => {
		const weight = scope.parameter('weight', [outputs, inputs], weightInit);
		const offset = bias ? scope.parameter('bias', [outputs], biasInit) : undefined;
		return { apply: (x) => linear(x, weight, offset), flops: 2 * inputs * outputs };
	},
});
