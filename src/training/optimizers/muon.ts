/**
 * @file Muon (Keller Jordan, 2024, https://kellerjordan.github.io/posts/muon): Nesterov momentum on hidden matrices,
 * orthogonalised by five steps of a quintic Newton-Schulz iteration. Everything else is updated by AdamW.
 */
import { z } from 'zod';
import { add, div, mul, sub } from '../../graph/ops/arithmetic.ts';
import { matmul } from '../../graph/ops/matmul.ts';
import { swapAxes } from '../../graph/ops/movement.ts';
import { sumSquare } from '../../graph/ops/reduction.ts';
import { sqrt } from '../../graph/ops/unary.ts';
import { staticDim } from '../../graph/shape.ts';
import type { Tensor } from '../../graph/tensor.ts';
import type { ParameterSpec } from '../../nn/parameters.ts';
import { betas, decayGroup, defineOptimizer, isDecayed, learningRate, weightDecay } from '../optimizer.ts';
import { adamRule, adamScalars } from './adamw.ts';

/** Coefficients of the iteration: chosen for a steep slope at zero, so that small singular values grow fast. */
const [A, B, C] = [3.4445, -4.775, 2.0315];

export const muon = defineOptimizer({
	kind: 'muon',
	schema: z.strictObject({
		kind: z.literal('muon'),
		learningRate: learningRate(0.02),
		momentum: z.number().min(0).lt(1).default(0.95).describe('Decay rate of the running mean of the gradient.'),
		nesterov: z.boolean().default(true).describe('Mix the new mean with the gradient before orthogonalising.'),
		newtonSchulzSteps: z.int().min(1).max(20).default(5).describe('Steps of the orthogonalising iteration.'),
		weightDecay: weightDecay(0),
		decay: decayGroup,
		adamw: z
			.strictObject({
				learningRate: learningRate(3e-4),
				betas: betas(0.9, 0.95, 'Decay rates of the running means of the gradient and of its square.'),
				epsilon: z.number().positive().default(1e-10).describe('Added to the root of the mean square.'),
				weightDecay: weightDecay(0),
			})
			.prefault({})
			.describe('AdamW for vectors, embeddings and the output head; follows the same schedule.'),
	}),
	create: (config) => ({
		rule: (spec) => {
			const decayed = isDecayed(spec, config.decay);
			if (!isHiddenMatrix(spec)) return adamRule(config.adamw, decayed && config.adamw.weightDecay > 0, 'adam.');
			return {
				key: spec.name,
				slots: ['momentum_buffer'],
				elementwise: false,
				update: ({ parameter, gradient, state: [buffer], scalars }) => {
					const { momentum } = config;
					const mean = add(mul(buffer as Tensor, momentum), mul(gradient, 1 - momentum));
					const direction = config.nesterov ? add(mul(gradient, 1 - momentum), mul(mean, momentum)) : mean;
					const [rows, columns] = spec.shape as [number, number];
					const scale = Math.sqrt(Math.max(1, rows / columns));
					const change = mul(
						orthogonalize(direction, config.newtonSchulzSteps),
						mul(scalars.stepSize as Tensor, scale),
					);
					const kept = decayed && config.weightDecay > 0 ? mul(parameter, scalars.keep as Tensor) : parameter;
					return { parameter: sub(kept, change), state: [mean] };
				},
			};
		},
		scalars: (place) => ({
			stepSize: config.learningRate * place.factor,
			keep: 1 - config.learningRate * place.factor * config.weightDecay,
			...adamScalars(config.adamw, place, 'adam.'),
		}),
		learningRate: ({ factor }) => config.learningRate * factor,
	}),
});

export function isHiddenMatrix({ role, shape }: ParameterSpec): boolean {
	return role === 'matrix' && shape.length === 2;
}

/**
 * Approximately the nearest semi-orthogonal matrix (singular values near 1) to each matrix of x [..., rows, columns].
 * The iteration works on the smaller Gram matrix, so a tall matrix is turned on its side.
 */
export function orthogonalize(x: Tensor, steps: number): Tensor {
	const rows = staticDim(x.shape.at(-2) ?? 1, 'muon');
	const columns = staticDim(x.shape.at(-1) ?? 1, 'muon');
	const tall = rows > columns;
	const wide = tall ? swapAxes(x, -2, -1) : x;
	const norm = sqrt(sumSquare(wide, { axis: [-2, -1], keepDims: true }));
	let current = div(wide, add(norm, 1e-7));
	for (let step = 0; step < steps; step++) {
		const gram = matmul(current, current, { transposeB: true });
		const polynomial = add(mul(gram, B), mul(matmul(gram, gram), C));
		current = add(mul(current, A), matmul(polynomial, current));
	}
	return tall ? swapAxes(current, -2, -1) : current;
}
