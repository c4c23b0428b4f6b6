/** @file Linear projections as exchangeable parts: every matrix of a model is made by the configured kind. */
import { z } from 'zod';
import { linear } from '../graph/ops/matmul.ts';
import { concat, split } from '../graph/ops/movement.ts';
import type { Dim } from '../graph/shape.ts';
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
	/** The plain matrix behind `apply`, where that is all there is to it; see projectTogether. */
	readonly dense?: { readonly weight: Tensor; readonly bias: Tensor | undefined };
}

/**
 * Several projections of one tensor: x [..., inputs] -> one [..., outputs] each. Plain matrices are put on top of each
 * other and multiplied at once, which is faster than one after the other, forward and backward.
 */
export function projectTogether(projections: readonly Linear[], x: Tensor): readonly Tensor[] {
	const matrices = projections.map(({ dense }) => dense).filter((dense) => dense !== undefined);
	const biases = matrices.map(({ bias }) => bias).filter((bias) => bias !== undefined);
	const alike = matrices.length === projections.length && (biases.length === 0 || biases.length === matrices.length);
	if (!alike || projections.length < 2) return projections.map(({ apply }) => apply(x));
	const weights = matrices.map(({ weight }) => weight);
	const together = linear(x, concat(weights, 0), biases.length === 0 ? undefined : concat(biases, 0));
	return split(
		together,
		weights.map(({ shape }) => shape[0] as Dim),
		-1,
	);
}

/** build(config, scope, shape): parameters `weight` [outputs, inputs] and `bias` [outputs] in `scope`. */
export const linears = new PartFamily<[ParameterScope, LinearShape], Linear>('linear');

linears.register({
	schema: z.strictObject({ kind: z.literal('dense') }).describe('A full matrix, `x W^T + b`.'),
	build: (_, scope, { inputs, outputs, bias, weightInit, biasInit }) => {
		const weight = scope.parameter('weight', [outputs, inputs], weightInit);
		const offset = bias ? scope.parameter('bias', [outputs], biasInit) : undefined;
		return {
			apply: (x) => linear(x, weight, offset),
			flops: 2 * inputs * outputs,
			dense: { weight, bias: offset },
		};
	},
});
