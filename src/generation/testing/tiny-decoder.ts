/** @file A two-layer attention decoder with learned positions, small enough for tests that need a model but no particular one. */
import { add, mul } from '../../graph/ops/arithmetic.ts';
import { cast } from '../../graph/ops/cast.ts';
import { greaterEqual, where } from '../../graph/ops/compare.ts';
import { embedding } from '../../graph/ops/indexing.ts';
import { linear, matmul } from '../../graph/ops/matmul.ts';
import { arange, concat, expandDims, reshape, transpose } from '../../graph/ops/movement.ts';
import { rmsNorm, softmax } from '../../graph/ops/normalization.ts';
import { silu } from '../../graph/ops/unary.ts';
import { addDims, type Dim, dim } from '../../graph/shape.ts';
import type { Tensor } from '../../graph/tensor.ts';
import type { CausalLanguageModel, StateSpec } from '../../models/language-model.ts';
import { ParameterScope, ParameterTree } from '../../nn/parameters.ts';

export interface TinyOptions {
	readonly vocabSize?: number;
	readonly maxLength?: number;
	readonly dim?: number;
	readonly heads?: number;
	readonly layers?: number;
}

/** A model without weights; `model.parameters.initialize(seed)` makes some. */
export function tinyDecoder(options: TinyOptions = {}): CausalLanguageModel {
	const { vocabSize = 64, maxLength = 64, dim: width = 16, heads = 2, layers = 2 } = options;
	const headDim = width / heads;
	const parameters = new ParameterTree();
	const scope = ParameterScope.of(parameters);
	const normal = (scale: number) => (dims: readonly number[], random: { normal(): number }) =>
		Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, () => scale * random.normal());
	const ones = (dims: readonly number[]) => new Float32Array(dims.reduce((a, b) => a * b, 1)).fill(1);
	const table = scope.parameter('tokens.weight', [vocabSize, width], normal(1), { role: 'embedding' });
	const positionTable = scope.parameter('positions.weight', [maxLength, width], normal(0.5), { role: 'embedding' });
	const head = scope.parameter('head.weight', [vocabSize, width], normal(0.7), { role: 'output' });
	const blocks = Array.from({ length: layers }, (_, layer) => {
		const own = scope.child(`layers.${layer}`);
		const matrix = (name: string, rows: number, columns: number): Tensor =>
			own.parameter(name, [rows, columns], normal(1.5 / Math.sqrt(columns)));
		return {
			norm: own.parameter('norm.weight', [width], ones),
			query: matrix('query.weight', width, width),
			key: matrix('key.weight', width, width),
			value: matrix('value.weight', width, width),
			output: matrix('output.weight', width, width),
			up: matrix('up.weight', 2 * width, width),
			down: matrix('down.weight', width, 2 * width),
		};
	});
	const [batch, past] = [dim('batch'), dim('past')];
	const stateSpecs: StateSpec[] = blocks.flatMap((_, layer) =>
		['key', 'value'].map((name) => ({
			name: `layers.${layer}.${name}`,
			dtype: 'float32' as const,
			shape: [batch, heads, past, headDim],
			growsAlong: 2,
		})),
	);
	const forward = (
		tokens: Tensor,
		positions: Tensor,
		state: readonly Tensor[],
		mask: Tensor | undefined,
		cached: Dim,
	): { hidden: Tensor; state: Tensor[] } => {
		const [rows, time] = tokens.shape as [Dim, Dim];
		const total = addDims(cached, time);
		const columns = expandDims(arange(0, total), 0);
		const queries = expandDims(arange(cached, total), 1);
		let visible: Tensor = reshape(cast(greaterEqual(queries, columns), 'float32'), [1, 1, time, total]);
		if (mask !== undefined) visible = mul(visible, reshape(cast(mask, 'float32'), [rows, 1, 1, total]));
		const hides = greaterEqual(0.5, visible);
		const split = (x: Tensor): Tensor => transpose(reshape(x, [rows, time, heads, headDim]), [0, 2, 1, 3]);
		let x = add(embedding(table, tokens), embedding(positionTable, positions));
		const next: Tensor[] = [];
		blocks.forEach((block, layer) => {
			const h = rmsNorm(x, block.norm);
			const keys = concat([...state.slice(2 * layer, 2 * layer + 1), split(linear(h, block.key))], 2);
			const values = concat([...state.slice(2 * layer + 1, 2 * layer + 2), split(linear(h, block.value))], 2);
			next.push(keys, values);
			const scores = mul(matmul(split(linear(h, block.query)), transpose(keys, [0, 1, 3, 2])), headDim ** -0.5);
			const mixed = matmul(softmax(where(hides, -1e9, scores)), values);
			x = add(x, linear(reshape(transpose(mixed, [0, 2, 1, 3]), [rows, time, width]), block.output));
			x = add(x, linear(silu(linear(x, block.up)), block.down));
		});
		return { hidden: x, state: next };
	};
	return {
		kind: 'causal',
		vocabSize,
		maxLength,
		parameters,
		stateSpecs,
		outputWeight: head,
		hiddenStates: ({ tokens, positions }) => {
			const [rows, time] = tokens.shape as [Dim, Dim];
			const order = positions ?? mul(expandDims(arange(0, time, 'int32'), 0), onesLike(tokens, rows, time));
			return { hidden: forward(tokens, order, [], undefined, 0).hidden, auxiliaryLosses: [] };
		},
		logits: (hidden) => linear(hidden, head),
		step: ({ tokens, positions, state, attentionMask }) => forward(tokens, positions, state, attentionMask, past),
		forwardFlopsPerToken: (context) => 2 * parameters.count + 4 * layers * width * context,
	};
}

/** int32 ones in the shape of `tokens` [rows, time]. */
function onesLike(tokens: Tensor, rows: Dim, time: Dim): Tensor {
	return reshape(cast(greaterEqual(tokens, 0), 'int32'), [rows, time]);
}
