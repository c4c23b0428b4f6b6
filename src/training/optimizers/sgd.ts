/**
 * @file Stochastic gradient descent with PyTorch's conventions: weight decay is added to the gradient, momentum keeps the
 * plain sum (no dampening), Nesterov looks one step ahead (Sutskever et al. 2013).
 */
import { z } from 'zod';
import { add, mul, sub } from '../../graph/ops/arithmetic.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { decayGroup, defineOptimizer, isDecayed, learningRate } from '../optimizer.ts';

export const sgd = defineOptimizer({
	kind: 'sgd',
	schema: z.strictObject({
		kind: z.literal('sgd'),
		learningRate: learningRate(0.1),
		momentum: z.number().min(0).lt(1).default(0.9).describe('Share of the last update that is kept; 0 for none.'),
		nesterov: z.boolean().default(false).describe('Nesterov momentum: apply the momentum once more in advance.'),
		weightDecay: z
			.number()
			.min(0)
			.default(0)
			.describe('L2 penalty: this times the parameter is added to its gradient.'),
		decay: decayGroup,
	}),
	create: ({ momentum, nesterov, ...config }) => ({
		rule: (spec) => {
			const decay = isDecayed(spec, config.decay) ? config.weightDecay : 0;
			return {
				key: String(decay > 0),
				slots: momentum > 0 ? ['momentum_buffer'] : [],
				elementwise: true,
				update: ({ parameter, gradient, state: [buffer], scalars }) => {
					const stepSize = scalars.stepSize as Tensor;
					const total = decay > 0 ? add(gradient, mul(parameter, decay)) : gradient;
					if (buffer === undefined) return { parameter: sub(parameter, mul(total, stepSize)), state: [] };
					// A buffer of zeros before the first step gives PyTorch's first buffer, the gradient itself.
					const moved = add(mul(buffer, momentum), total);
					const direction = nesterov ? add(total, mul(moved, momentum)) : moved;
					return { parameter: sub(parameter, mul(direction, stepSize)), state: [moved] };
				},
			};
		},
		scalars: ({ factor }) => ({ stepSize: config.learningRate * factor }),
		learningRate: ({ factor }) => config.learningRate * factor,
	}),
});
