/** @file Additive attention masks: 0 where a query may look, a large negative number where it may not. */
import { equal, logicalAnd, where } from '../graph/ops/compare.ts';
import { causalMask } from '../graph/ops/masks.ts';
import { expandDims } from '../graph/ops/movement.ts';
import { scalar } from '../graph/ops/source.ts';
import type { Tensor } from '../graph/tensor.ts';
import type { Pass } from './pass.ts';

/**
 * Finite on purpose: a row in which everything is masked gives an even softmax, not NaN. exp(-1e9) is exactly 0 in
 * float32, so masked keys have weight 0 in every other row.
 */
const MASKED = -1e9;

function additive(allowed: Tensor): Tensor {
	return where(allowed, scalar(0), scalar(MASKED));
}

/**
 * Mask of self-attention: causal, padding and document boundaries together, made once a pass.
 * Returns [1 or batch, 1, 1 or time, past + time], or undefined where every query sees every key.
 */
export function selfAttentionMask(pass: Pass, causal: boolean): Tensor | undefined {
	return pass.once(`self-attention-mask ${causal}`, () => {
		const { keyMask, segmentIds } = pass.options;
		const conditions: Tensor[] = [];
		// A single new token sees all there is.
		if (causal && pass.time !== 1) conditions.push(expandDims(causalMask(pass.time, pass.keys), [0, 1]));
		if (keyMask !== undefined) conditions.push(expandDims(keyMask, [1, 2]));
		if (segmentIds !== undefined) {
			conditions.push(equal(expandDims(segmentIds, [1, 3]), expandDims(segmentIds, [1, 2])));
		}
		const [first, ...rest] = conditions;
		return first && additive(rest.reduce(logicalAnd, first));
	});
}

/** Mask of cross-attention [batch, 1, 1, source], or undefined where the source has no padding. */
export function crossAttentionMask(pass: Pass): Tensor | undefined {
	return pass.once('cross-attention-mask', () => {
		const mask = pass.options.sourceMask;
		return mask && additive(expandDims(mask, [1, 2]));
	});
}
