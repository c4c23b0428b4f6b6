/** @file Scaled dot-product attention (Vaswani et al. 2017) over heads, with grouped queries (Ainslie et al. 2023). */
import { ShapeError } from '../base/errors.ts';
import { add } from '../graph/ops/arithmetic.ts';
import { matmul } from '../graph/ops/matmul.ts';
import { reshape, transpose } from '../graph/ops/movement.ts';
import { softmax } from '../graph/ops/normalization.ts';
import { type Dim, multiplyDims, type Shape, staticDim } from '../graph/shape.ts';
import type { Tensor } from '../graph/tensor.ts';

export interface AttendOptions {
	/** Factor on the scores; default 1/sqrt(headDim). */
	readonly scale?: number;
	/** Added to the scores, broadcast to [batch, heads, queries, keys]. */
	readonly bias?: readonly (Tensor | undefined)[];
	/** Applied to the probabilities (dropout). */
	readonly onWeights?: (weights: Tensor) => Tensor;
}

export interface AttendResult {
	/** [batch, heads, queries, valueDim]. */
	readonly output: Tensor;
	/** Probabilities [batch, heads, queries, keys]. */
	readonly weights: Tensor;
}

/**
 * q [batch, heads, queries, headDim], k [batch, kvHeads, keys, headDim], v [batch, kvHeads, keys, valueDim].
 * Query head a reads key head floor(a / (heads / kvHeads)). Queries of a group are rows of one product, so keys and values
 * are never repeated.
 * @throws ShapeError when kvHeads does not divide heads
 */
export function attend(q: Tensor, k: Tensor, v: Tensor, options: AttendOptions = {}): AttendResult {
	const [batch, heads, queries, headDim] = q.shape as [Dim, number, Dim, number];
	const kvHeads = staticDim(k.shape[1] as Dim, 'attention heads');
	if (heads % kvHeads !== 0) {
		throw new ShapeError('query heads cannot be shared out over key heads', {
			expected: `a multiple of ${kvHeads}`,
			found: `${heads}`,
		});
	}
	const grouped: Shape = [batch, kvHeads, multiplyDims(heads / kvHeads, queries)];
	const keys = k.shape[2] as Dim;
	const alpha = options.scale ?? 1 / Math.sqrt(headDim);
	const raw = matmul(reshape(q, [...grouped, headDim]), k, { transposeB: true, alpha });
	let scores = reshape(raw, [batch, heads, queries, keys]);
	for (const bias of options.bias ?? []) if (bias !== undefined) scores = add(scores, bias);
	const weights = softmax(scores);
	const used = options.onWeights?.(weights) ?? weights;
	const mixed = matmul(reshape(used, [...grouped, keys]), v);
	return { output: reshape(mixed, [batch, heads, queries, v.shape[3] as Dim]), weights };
}

/** [batch, time, heads * headDim] -> [batch, heads, time, headDim]. */
export function splitHeads(x: Tensor, heads: number): Tensor {
	const [batch, time, width] = x.shape as [Dim, Dim, number];
	return transpose(reshape(x, [batch, time, heads, width / heads]), [0, 2, 1, 3]);
}

/** [batch, heads, time, headDim] -> [batch, time, heads * headDim]. */
export function mergeHeads(x: Tensor): Tensor {
	const [batch, heads, time, headDim] = x.shape as [Dim, Dim, Dim, Dim];
	return reshape(transpose(x, [0, 2, 1, 3]), [batch, time, multiplyDims(heads, headDim)]);
}
