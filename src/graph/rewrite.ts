/** @file Rebuilding a graph with some tensors replaced. Untouched parts are shared, never copied. */
import type { AnyOp } from './op.ts';
import { GraphNode, type Tensor, topologicalOrder } from './tensor.ts';

/**
 * Copies `outputs` with every tensor in `replacements` exchanged. Types must agree with what they replace.
 * Nodes that do not depend on a replaced tensor are reused as they are.
 */
export function substitute(outputs: readonly Tensor[], replacements: ReadonlyMap<Tensor, Tensor>): Tensor[] {
	const mapped = new Map(replacements);
	const replaced = (tensor: Tensor): Tensor => mapped.get(tensor) ?? tensor;
	for (const node of topologicalOrder(outputs)) {
		if (node.outputs.every((output) => mapped.has(output))) continue;
		const inputs = node.inputs.map(replaced);
		if (inputs.every((input, i) => input === node.inputs[i])) continue;
		const copy = new GraphNode(node.op, inputs, node.attributes, node.outputs);
		node.outputs.forEach((output, i) => {
			if (!mapped.has(output)) mapped.set(output, copy.outputs[i] as Tensor);
		});
	}
	return outputs.map(replaced);
}

/** What a rewriting pass does with a node whose inputs are already rewritten: new outputs, or undefined to keep it. */
export type RewriteRule = (node: GraphNode) => readonly Tensor[] | undefined;

/** Applies `rule` to every node in topological order and returns the new outputs. */
export function rewrite(outputs: readonly Tensor[], rule: RewriteRule): Tensor[] {
	const mapped = new Map<Tensor, Tensor>();
	const replaced = (tensor: Tensor): Tensor => mapped.get(tensor) ?? tensor;
	for (const node of topologicalOrder(outputs)) {
		const inputs = node.inputs.map(replaced);
		const changed = inputs.some((input, i) => input !== node.inputs[i]);
		const current = changed ? new GraphNode(node.op as AnyOp, inputs, node.attributes, node.outputs) : node;
		const next = rule(current) ?? current.outputs;
		node.outputs.forEach((output, i) => {
			if (next[i] !== output) mapped.set(output, next[i] as Tensor);
		});
	}
	return outputs.map(replaced);
}

/** Tensors that depend on any of `sources` (the sources included) among those reachable from `outputs`. */
export function dependents(outputs: Iterable<Tensor>, sources: Iterable<Tensor>): Set<Tensor> {
	const result = new Set<Tensor>(sources);
	for (const node of topologicalOrder(outputs)) {
		if (node.inputs.some((input) => result.has(input))) for (const output of node.outputs) result.add(output);
	}
	return result;
}
