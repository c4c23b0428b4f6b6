/** @file The update of one parameter as graph code: scaling of the gradient (clipping), the optimizer's rule, moving average. */
import { add, mul } from '../graph/ops/arithmetic.ts';
import { input } from '../graph/ops/source.ts';
import type { Tensor } from '../graph/tensor.ts';
import type { Optimizer, UpdateRule } from './optimizer.ts';
import type { SlotPart } from './slots.ts';

/** Against division by zero in the clip factor; PyTorch's value. */
const CLIP_EPSILON = 1e-6;

/** Name of the graph input of a step's scalar. */
export function scalarName(name: string): string {
	return `scalar.${name}`;
}

/**
 * Factor of the gradient: undoes the loss scale and limits the global norm as torch.nn.utils.clip_grad_norm_ does.
 * @param norm of the gradient with the loss scale undone
 */
export function gradientScale(norm: number, clip: number | undefined, lossScale: number): number {
	return (clip === undefined ? 1 : Math.min(1, clip / (norm + CLIP_EPSILON))) / lossScale;
}

/**
 * Next values of every part but the gradient.
 * @param read gives the tensor of a part, all of one shape
 * @param shared scalar inputs made so far in the same graph
 */
export function updateExpression(
	optimizer: Optimizer,
	rule: UpdateRule,
	ema: boolean,
	read: (part: SlotPart) => Tensor,
	shared: Map<string, Tensor> = new Map(),
): Record<SlotPart, Tensor> {
	const scalar = (name: string): Tensor => {
		const known = shared.get(name) ?? input(scalarName(name), 'float32', []);
		shared.set(name, known);
		return known;
	};
	const names = Object.keys(optimizer.scalars({ step: 1, factor: 1 }));
	const result = rule.update({
		parameter: read('parameter'),
		gradient: mul(read('gradient'), scalar('gradientScale')),
		state: rule.slots.map(read),
		scalars: Object.fromEntries(names.map((name) => [name, scalar(name)])),
	});
	const next: Record<SlotPart, Tensor> = { parameter: result.parameter };
	rule.slots.forEach((part, i) => {
		next[part] = result.state[i] as Tensor;
	});
	if (ema) {
		next.ema = add(mul(read('ema'), scalar('emaDecay')), mul(result.parameter, scalar('emaShare')));
	}
	return next;
}
