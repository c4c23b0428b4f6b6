/** @file Mixers move information between tokens: attention and what can stand in its place. */
import type { Tensor } from '../../graph/tensor.ts';
import type { LayerContext, LayerState } from '../layer-context.ts';
import type { ParameterScope } from '../parameters.ts';
import { PartFamily } from '../part.ts';
import type { Pass } from '../pass.ts';

export interface Mixed {
	/** [batch, time, dim]. */
	readonly output: Tensor;
	/** In the order of `states`; empty in a full pass. */
	readonly state: readonly Tensor[];
	/** What attention looked at [batch, heads, time, past + time], for inspection; mixers without such weights have none. */
	readonly weights?: Tensor;
}

export interface Mixer {
	/** Name of the part in parameter names, such as `self_attn`; its norm is `<name>_layer_norm`. */
	readonly name: string;
	/** What decoding carries from token to token. */
	readonly states: readonly LayerState[];
	/** x [batch, time, dim]; `state` is given when decoding step by step. */
	readonly apply: (x: Tensor, pass: Pass, state: readonly Tensor[] | undefined) => Mixed;
	/** Floating-point operations for one token that sees `contextLength` tokens. */
	readonly flops: (contextLength: number) => number;
}

/** build(config, scope of the layer, context). */
export const mixers = new PartFamily<[ParameterScope, LayerContext], Mixer>('mixer');
