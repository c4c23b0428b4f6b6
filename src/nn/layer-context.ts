/** @file What a part of a layer (mixer, feed-forward, residual) may know of the model around it. */
import type { WeightUse } from './initialization.ts';
import type { Linear } from './linear.ts';
import type { Norm } from './norm/norm.ts';
import type { ParameterScope } from './parameters.ts';
import type { Position } from './position/position.ts';

export interface LayerContext {
	readonly dim: number;
	/** Attention heads of the model; a mixer may have its own number. */
	readonly heads: number;
	readonly causal: boolean;
	readonly position: Position;
	/** Rates of dropout while training. */
	readonly dropout: { readonly hidden: number; readonly attention: number; readonly activation: number };
	/** A further norm inside mixer and feed-forward, before their last projection (Sub-LN). */
	readonly innerNorm: boolean;
	/** Makes the model's kind of projection in `scope`, initialised for its use. */
	readonly linear: (
		scope: ParameterScope,
		shape: { readonly inputs: number; readonly outputs: number; readonly bias: boolean; readonly use: WeightUse },
	) => Linear;
	/** Makes the model's kind of norm over `size` features in `scope`. */
	readonly norm: (scope: ParameterScope, size: number) => Norm;
}

/** One tensor that a layer carries from token to token while decoding, without the layer axis. */
export interface LayerState {
	readonly name: string;
	/** Sizes may be `batch` and `past`. */
	readonly shape: readonly (number | 'batch' | 'past')[];
	/** Axis that grows by the new tokens at every step. */
	readonly growsAlong?: number;
}
