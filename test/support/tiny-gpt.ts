/** @file A small pre-LN GPT written out by hand, so that the training room is tested without the models room. */
import { add, mul } from '../../src/graph/ops/arithmetic.ts';
import { lessEqual, where } from '../../src/graph/ops/compare.ts';
import { embedding } from '../../src/graph/ops/indexing.ts';
import { linear, matmul } from '../../src/graph/ops/matmul.ts';
import { expandDims, reshape, transpose } from '../../src/graph/ops/movement.ts';
import { layerNorm, softmax } from '../../src/graph/ops/normalization.ts';
import { arange } from '../../src/graph/ops/ranges.ts';
import { slice } from '../../src/graph/ops/slicing.ts';
import { input } from '../../src/graph/ops/source.ts';
import { gelu } from '../../src/graph/ops/unary.ts';
import { scan } from '../../src/graph/scan.ts';
import type { Tensor } from '../../src/graph/tensor.ts';
import type { CausalLanguageModel } from '../../src/models/language-model.ts';
import { type Initializer, type ParameterRole, ParameterTree } from '../../src/nn/parameters.ts';

export interface TinyGptConfig {
	readonly vocabSize: number;
	readonly dim: number;
	readonly heads: number;
	readonly layers: number;
	readonly hidden: number;
	readonly maxLength: number;
	readonly tied?: boolean;
	/** `scan`: stacked parameters in one loop; `unroll`: one set of parameters a layer. */
	readonly mode?: 'scan' | 'unroll';
}

const normal: Initializer = (dims, random) =>
	Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, () => random.normal() * 0.05);
const filled =
	(value: number): Initializer =>
	(dims) =>
		new Float32Array(dims.reduce((a, b) => a * b, 1)).fill(value);

/** Names as fairseq writes them: embed_tokens, embed_positions, layers.N.self_attn.q_proj ..., output_projection. */
export function tinyGpt(config: TinyGptConfig): CausalLanguageModel {
	const { vocabSize, dim, heads, layers, hidden, maxLength, mode = 'unroll' } = config;
	const tree = new ParameterTree();
	const make = (
		name: string,
		shape: readonly number[],
		initializer: Initializer,
		role?: ParameterRole,
		stacked?: number,
	): Tensor => {
		const tensor = input(name, 'float32', stacked === undefined ? shape : [stacked, ...shape]);
		const kind = role ?? (shape.length > 1 ? 'matrix' : 'vector');
		tree.add({
			name,
			shape,
			initializer,
			role: kind,
			trainable: true,
			tensor,
			...(stacked !== undefined && { stacked }),
		});
		return tensor;
	};
	const table = make('embed_tokens.weight', [vocabSize, dim], normal, 'embedding');
	const positionTable = make('embed_positions.weight', [maxLength, dim], normal, 'embedding');
	const shapes: Record<string, readonly number[]> = {};
	for (const name of ['q_proj', 'k_proj', 'v_proj', 'out_proj']) {
		shapes[`self_attn.${name}.weight`] = [dim, dim];
		shapes[`self_attn.${name}.bias`] = [dim];
	}
	for (const name of ['self_attn_layer_norm', 'final_layer_norm']) {
		shapes[`${name}.weight`] = [dim];
		shapes[`${name}.bias`] = [dim];
	}
	Object.assign(shapes, { 'ffn.fc1.weight': [hidden, dim], 'ffn.fc1.bias': [hidden] });
	Object.assign(shapes, { 'ffn.fc2.weight': [dim, hidden], 'ffn.fc2.bias': [dim] });
	const names = Object.keys(shapes);
	const initializerOf = (name: string): Initializer =>
		name.endsWith('.bias') ? filled(0) : name.includes('norm') ? filled(1) : normal;
	const layerParameters = (layer: string, stacked?: number): Tensor[] =>
		names.map((name) =>
			make(`layers.${layer}.${name}`, shapes[name] as readonly number[], initializerOf(name), undefined, stacked),
		);
	const parameters =
		mode === 'scan'
			? layerParameters('*', layers)
			: Array.from({ length: layers }, (_, layer) => layerParameters(String(layer)));
	const finalWeight = make('layer_norm.weight', [dim], filled(1));
	const finalBias = make('layer_norm.bias', [dim], filled(0));
	const head = config.tied === true ? table : make('output_projection.weight', [vocabSize, dim], normal, 'output');

	const layer = (x: Tensor, values: readonly Tensor[]): Tensor => {
		const p = (name: string): Tensor => values[names.indexOf(name)] as Tensor;
		const dense = (h: Tensor, name: string): Tensor => linear(h, p(`${name}.weight`), p(`${name}.bias`));
		const norm = (h: Tensor, name: string): Tensor => layerNorm(h, p(`${name}.weight`), p(`${name}.bias`), 1e-5);
		const [batch, time] = x.shape as [number, number, number];
		const at = arange(0, time, 'int32');
		const causal = lessEqual(expandDims(at, 0), expandDims(at, 1));
		const split = (h: Tensor): Tensor => transpose(reshape(h, [batch, time, heads, dim / heads]), [0, 2, 1, 3]);
		const normed = norm(x, 'self_attn_layer_norm');
		const [q, k, v] = ['q', 'k', 'v'].map((name) => split(dense(normed, `self_attn.${name}_proj`))) as [
			Tensor,
			Tensor,
			Tensor,
		];
		const scores = where(causal, mul(matmul(q, k, { transposeB: true }), (dim / heads) ** -0.5), -1e9);
		const mixed = reshape(transpose(matmul(softmax(scores), v), [0, 2, 1, 3]), [batch, time, dim]);
		const h = add(x, dense(mixed, 'self_attn.out_proj'));
		return add(h, dense(gelu(dense(norm(h, 'final_layer_norm'), 'ffn.fc1')), 'ffn.fc2'));
	};

	return {
		kind: 'causal',
		vocabSize,
		maxLength,
		parameters: tree,
		hiddenStates: ({ tokens }) => {
			const positions = slice(positionTable, 0, 0, tokens.shape[1] as number);
			let x = add(embedding(table, tokens), positions);
			if (mode === 'scan') {
				const body = ([carry]: readonly Tensor[], values: readonly Tensor[]) => ({
					carry: [layer(carry as Tensor, values)],
				});
				x = scan([x], parameters as Tensor[], body).carry[0] as Tensor;
			} else for (const values of parameters as Tensor[][]) x = layer(x, values);
			return { hidden: layerNorm(x, finalWeight, finalBias, 1e-5), auxiliaryLosses: [] };
		},
		logits: (h) => linear(h, head),
		outputWeight: head,
		stateSpecs: [],
		step: () => {
			throw new Error('the test model does not decode');
		},
		forwardFlopsPerToken: () => 2 * tree.count,
	};
}
