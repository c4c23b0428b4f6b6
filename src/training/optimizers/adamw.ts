/**
 * @file AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101, algorithm 2) with PyTorch's conventions: decay before the step,
 * bias correction, epsilon outside the square root.
 */
import { z } from 'zod';
import { add, div, mul, sub } from '../../graph/ops/arithmetic.ts';
import { sqrt } from '../../graph/ops/unary.ts';
import type { Tensor } from '../../graph/tensor.ts';
import {
	betas,
	decayGroup,
	defineOptimizer,
	isDecayed,
	learningRate,
	type StepPlace,
	type UpdateInputs,
	type UpdateRule,
	weightDecay,
} from '../optimizer.ts';

export const adamw = defineOptimizer({
	kind: 'adamw',
	schema: z.strictObject({
		kind: z.literal('adamw'),
		learningRate: learningRate(1e-3),
		betas: betas(0.9, 0.95, 'Decay rates of the running means of the gradient and of its square.'),
		epsilon: z
			.number()
			.positive()
			.default(1e-8)
			.describe('Added to the root of the mean square, against division by 0.'),
		weightDecay: weightDecay(0.1),
		decay: decayGroup,
	}),
	create: (config) => ({
		rule: (spec) => adamRule(config, config.weightDecay > 0 && isDecayed(spec, config.decay)),
		scalars: (place) => adamScalars(config, place),
		learningRate: ({ factor }) => config.learningRate * factor,
	}),
});

export interface AdamSettings {
	readonly learningRate: number;
	readonly betas: readonly [number, number];
	readonly epsilon: number;
	readonly weightDecay: number;
}

/**
 * Scalars of an Adam step, `prefix` before each name. The two bias corrections are folded into the step size and epsilon:
 * lr * (m / c1) / (sqrt(v / c2) + eps) = (lr * sqrt(c2) / c1) * m / (sqrt(v) + eps * sqrt(c2)).
 */
export function adamScalars(
	{ learningRate: rate, betas: [beta1, beta2], epsilon, weightDecay: decay }: AdamSettings,
	{ step, factor }: StepPlace,
	prefix = '',
): Record<string, number> {
	const correction1 = 1 - beta1 ** step;
	const correction2 = Math.sqrt(1 - beta2 ** step);
	return {
		[`${prefix}stepSize`]: (rate * factor * correction2) / correction1,
		[`${prefix}epsilon`]: epsilon * correction2,
		[`${prefix}keep`]: 1 - rate * factor * decay,
	};
}

/** The rule on its own: other optimizers use it for parameters they do not cover. */
export function adamRule({ betas: [beta1, beta2] }: AdamSettings, decayed: boolean, prefix = ''): UpdateRule {
	return {
		key: `${prefix}${decayed}`,
		slots: ['exp_avg', 'exp_avg_sq'],
		elementwise: true,
		update: ({ parameter, gradient, state, scalars }: UpdateInputs) => {
			const [oldMean, oldSquare] = state as [Tensor, Tensor];
			const [stepSize, epsilon, keep] = ['stepSize', 'epsilon', 'keep'].map((name) => scalars[`${prefix}${name}`]) as [
				Tensor,
				Tensor,
				Tensor,
			];
			const mean = add(mul(oldMean, beta1), mul(gradient, 1 - beta1));
			const square = add(mul(oldSquare, beta2), mul(mul(gradient, gradient), 1 - beta2));
			const change = mul(div(mean, add(sqrt(square), epsilon)), stepSize);
			return { parameter: sub(decayed ? mul(parameter, keep) : parameter, change), state: [mean, square] };
		},
	};
}
