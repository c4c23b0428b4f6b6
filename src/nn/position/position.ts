/** @file How a model knows the order of its tokens: added to embeddings, by rotating queries and keys, or by a bias. */
import { z } from 'zod';
import type { Dim } from '../../graph/shape.ts';
import type { Tensor } from '../../graph/tensor.ts';
import type { Initialization } from '../initialization.ts';
import type { ParameterScope } from '../parameters.ts';
import { PartFamily } from '../part.ts';
import type { Pass } from '../pass.ts';

export interface PositionContext {
	readonly dim: number;
	readonly heads: number;
	/** Longest text, in tokens. */
	readonly maxLength: number;
	readonly side: 'encoder' | 'decoder';
	/** Whether the layers also attend to an encoder. */
	readonly crossAttention: boolean;
	readonly init: Initialization;
}

/** Rotation of queries and keys; heads and their size are read off the tensors. */
export interface Rotary {
	/** [batch, heads, time, headDim] of the new tokens, rotated. */
	readonly query: (q: Tensor, pass: Pass) => Tensor;
	readonly key: (k: Tensor, pass: Pass) => Tensor;
	/** The rotation of a key depends on the whole length: caches hold raw keys and `key` gets all of them. */
	readonly keysCachedRaw?: boolean;
}

/** The hooks a position scheme uses; absent ones do nothing. */
export interface Position {
	/** Texts longer than the context's maxLength cannot be processed. */
	readonly limited: boolean;
	/** [time, dim] or [batch, time, dim], added to the token embeddings. */
	readonly embed?: (pass: Pass) => Tensor;
	readonly rotary?: Rotary;
	/** [1, heads, time, past + time], added to the scores of self-attention. */
	readonly bias?: (pass: Pass) => Tensor;
	/** [1, heads, time, source], added to the scores of cross-attention. */
	readonly crossBias?: (pass: Pass, source: Dim) => Tensor;
}

/** build(config, scope of the stack, context). */
export const positions = new PartFamily<[ParameterScope, PositionContext], Position>('position');

positions.register({
	schema: z
		.strictObject({ kind: z.literal('none') })
		.describe('No position information (a causal mask alone tells order).'),
	build: () => ({ limited: false }),
});
