/** @file Feed-forward parts: what every token goes through alone. */
import type { Tensor } from '../../graph/tensor.ts';
import type { LayerContext } from '../layer-context.ts';
import type { ParameterScope } from '../parameters.ts';
import { PartFamily } from '../part.ts';
import type { Pass } from '../pass.ts';

export interface FeedForwardResult {
	/** [batch, time, dim]. */
	readonly output: Tensor;
	/** Scalars to add to the loss, already weighted. */
	readonly auxiliaryLosses?: readonly Tensor[];
}

export interface FeedForward {
	/** x [batch, time, dim]. */
	readonly apply: (x: Tensor, pass: Pass) => FeedForwardResult;
	/** Floating-point operations for one token. */
	readonly flops: number;
}

/** build(config, scope of the layer, context). */
export const feedForwards = new PartFamily<[ParameterScope, LayerContext], FeedForward>('feedForward');
