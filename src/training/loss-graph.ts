/** @file Forward and backward of one micro-batch as a graph. */
import { gradients } from '../graph/gradients.ts';
import { add, addAll, div, mul } from '../graph/ops/arithmetic.ts';
import { sumSquare } from '../graph/ops/reduction.ts';
import { input, scalar } from '../graph/ops/source.ts';
import { sqrt } from '../graph/ops/unary.ts';
import type { Tensor } from '../graph/tensor.ts';
import type { CausalLanguageModel } from '../models/language-model.ts';
import type { ParameterSpec } from '../nn/parameters.ts';
import { autocast } from './autocast.ts';
import { type BatchShape, batchInputs } from './batch.ts';
import type { Objective } from './objective.ts';
import { nextName, type ParameterPlan, type Slot } from './slots.ts';
import { scalarName } from './update-expression.ts';

export interface LossOptions {
	readonly model: CausalLanguageModel;
	readonly objective: Objective;
	/** Shape of every micro-batch. */
	readonly batch: BatchShape;
	/** Micro-batches of one step, default 1. */
	readonly accumulation?: number;
	/** `mixed`: matrix products in float16 with loss scaling; not on the CPU. */
	readonly precision?: 'float32' | 'mixed';
}

export interface LossGraph {
	/** What is minimised: this micro-batch's share of the step's mean. */
	readonly loss: Tensor;
	/** Its share of the mean negative log-likelihood. */
	readonly likelihood: Tensor;
	/** With the loss scale, where there is one. */
	readonly gradients: readonly Tensor[];
	/** The input that scales them, with mixed precision. */
	readonly lossScale?: Tensor;
}

/**
 * Builds loss and gradients. Inputs beside the batch and the parameters: `labelCount` (labels of the whole step),
 * `microShare` (1 / micro-batches; only with auxiliary losses), `seed`, and `scalar.lossScale` with mixed precision.
 */
export function buildLoss(
	{ model, objective, batch, precision }: LossOptions,
	specs: readonly ParameterSpec[],
): LossGraph {
	const context = { training: true, seed: input('seed', 'int32', []) };
	const result = objective.loss(model, batchInputs(batch), context);
	const labelCount = input('labelCount', 'float32', []);
	let likelihood = div(result.likelihoodSum, labelCount);
	let loss = result.lossSum === result.likelihoodSum ? likelihood : div(result.lossSum, labelCount);
	if (result.auxiliaryLosses.length > 0) {
		loss = add(loss, mul(addAll(result.auxiliaryLosses), input('microShare', 'float32', [])));
	}
	const mixed = precision === 'mixed';
	if (mixed) [loss, likelihood] = autocast([loss, likelihood]) as [Tensor, Tensor];
	const tensors = specs.map(({ tensor }) => tensor);
	if (!mixed) return { loss, likelihood, gradients: gradients(loss, tensors) };
	const lossScale = input(scalarName('lossScale'), 'float32', []);
	return { loss, likelihood, gradients: gradients(mul(loss, lossScale), tensors), lossScale };
}

/**
 * Outputs of the gradient program: `loss`, `likelihood`, `gradientNorm` (global, of the gradient so far) and the next
 * value of every gradient slot. With accumulation the slots are inputs too and are added to.
 */
export function gradientOutputs(options: LossOptions, plans: readonly ParameterPlan[]): Record<string, Tensor> {
	const graph = buildLoss(
		options,
		plans.map(({ spec }) => spec),
	);
	const outputs: Record<string, Tensor> = { loss: graph.loss, likelihood: graph.likelihood };
	const totals = plans.map((plan, i) => {
		const slot = gradientSlot(plan);
		const found = graph.gradients[i] as Tensor;
		const total = (options.accumulation ?? 1) > 1 ? add(input(slot.name, 'float32', slot.shape), found) : found;
		outputs[nextName(slot)] = total;
		return total;
	});
	const norm = totals.length === 0 ? scalar(0) : globalNorm(totals);
	outputs.gradientNorm = graph.lossScale === undefined ? norm : div(norm, graph.lossScale);
	return outputs;
}

export function gradientSlot({ slots }: ParameterPlan): Slot {
	return slots[1] as Slot;
}

/** Root of the sum of squares over all tensors. */
function globalNorm(tensors: readonly Tensor[]): Tensor {
	// A reduction of a scalar over no axes is the scalar itself, so that one is squared by hand.
	return sqrt(addAll(tensors.map((tensor) => (tensor.rank === 0 ? mul(tensor, tensor) : sumSquare(tensor)))));
}
