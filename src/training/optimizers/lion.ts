/** @file Lion (Chen et al. 2023, arXiv:2302.06675, algorithm 2): the sign of an interpolated momentum, decoupled decay. */
import { z } from 'zod';
import { add, mul, sub } from '../../graph/ops/arithmetic.ts';
import { sign } from '../../graph/ops/unary.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { betas, decayGroup, defineOptimizer, isDecayed, learningRate, weightDecay } from '../optimizer.ts';

export const lion = defineOptimizer({
	kind: 'lion',
	schema: z.strictObject({
		kind: z.literal('lion'),
		learningRate: learningRate(1e-4),
		betas: betas(0.9, 0.99, 'Weights of the momentum in the update, and in its own running mean.'),
		weightDecay: weightDecay(0.1),
		decay: decayGroup,
	}),
	create: (config) => {
		const [beta1, beta2] = config.betas;
		return {
			rule: (spec) => {
				const decayed = config.weightDecay > 0 && isDecayed(spec, config.decay);
				return {
					key: String(decayed),
					slots: ['exp_avg'],
					elementwise: true,
					update: ({ parameter, gradient, state: [momentum], scalars }) => {
						const direction = sign(add(mul(momentum as Tensor, beta1), mul(gradient, 1 - beta1)));
						const kept = decayed ? mul(parameter, scalars.keep as Tensor) : parameter;
						return {
							parameter: sub(kept, mul(direction, scalars.stepSize as Tensor)),
							state: [add(mul(momentum as Tensor, beta2), mul(gradient, 1 - beta2))],
						};
					},
				};
			},
			scalars: ({ factor }) => ({
				stepSize: config.learningRate * factor,
				keep: 1 - config.learningRate * factor * config.weightDecay,
			}),
			learningRate: ({ factor }) => config.learningRate * factor,
		};
	},
});
