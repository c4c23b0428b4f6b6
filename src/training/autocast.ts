/**
 * @file Mixed precision (Micikevicius et al. 2018, arXiv:1710.03740): matrix products of a forward graph in float16, all
 * else and the parameters themselves in float32. Differentiate the result; gradients pass through the casts.
 */
import { apply1, type OpDefinition } from '../graph/op.ts';
import { cast } from '../graph/ops/cast.ts';
import { rewrite } from '../graph/rewrite.ts';
import { GraphNode, type Subgraph, type Tensor } from '../graph/tensor.ts';

const HALF = new Set(['matmul', 'linear']);

/** The same outputs (and types) with matrix products computed in float16, loops and checkpoints included. */
export function autocast(outputs: readonly Tensor[]): Tensor[] {
	return rewrite(outputs, (node) => {
		if (HALF.has(node.op.name)) {
			if (node.outputs[0]?.dtype !== 'float32') return undefined;
			const inputs = node.inputs.map((input) => cast(input, 'float16'));
			return [cast(apply1(node.op as OpDefinition<unknown>, inputs, node.attributes), 'float32')];
		}
		const attributes = node.attributes as { readonly body?: Subgraph } | null;
		if (attributes?.body === undefined) return undefined;
		const { parameters, results } = attributes.body;
		const body = { parameters, results: autocast(results) };
		return new GraphNode(node.op, node.inputs, { ...attributes, body }, node.outputs).outputs;
	});
}
