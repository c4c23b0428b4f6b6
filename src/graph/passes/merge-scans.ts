/** @file Differentiation repeats a loop with more outputs; where both are in the graph, only the longer one is kept. */
import type { ScanAttributes } from '../scan.ts';
import { GraphNode, type Tensor, topologicalOrder } from '../tensor.ts';

/** Outputs that every loop of a family has; a repetition adds its own after them. */
function commonOutputs(node: GraphNode): number {
	return (node.attributes as ScanAttributes).family.outputs;
}

/** For every loop of which the graph has several versions on equal inputs: the version with the most outputs. */
function longestVersions(order: readonly GraphNode[]): Map<GraphNode, GraphNode> {
	const keys = new Map<Tensor, string>();
	const versions = new Map<object, Map<string, GraphNode[]>>();
	for (const node of order) {
		let first = node;
		let common = 0;
		if (node.op.name === 'scan') {
			const { family } = node.attributes as ScanAttributes;
			const inputs = node.inputs.map((input) => keys.get(input)).join(',');
			const known = versions.get(family) ?? new Map<string, GraphNode[]>();
			versions.set(family, known);
			const equal = known.get(inputs) ?? [];
			known.set(inputs, equal);
			equal.push(node);
			first = equal[0] as GraphNode;
			common = commonOutputs(node);
		}
		// Outputs that all versions share count as one value, so that loops fed by them are seen to be equal too.
		node.outputs.forEach((output, i) => {
			keys.set(output, `${(i < common ? first : node).id}.${i}`);
		});
	}
	const longest = new Map<GraphNode, GraphNode>();
	for (const known of versions.values()) {
		for (const equal of known.values()) {
			if (equal.length < 2) continue;
			const best = equal.reduce((a, b) => (b.outputs.length > a.outputs.length ? b : a));
			for (const node of equal) longest.set(node, best);
		}
	}
	return longest;
}

export function mergeScans(outputs: readonly Tensor[]): Tensor[] {
	const order = topologicalOrder(outputs);
	const longest = longestVersions(order);
	if (longest.size === 0) return [...outputs];
	const mapped = new Map<Tensor, Tensor>();
	const replaced = (tensor: Tensor): Tensor => mapped.get(tensor) ?? tensor;
	const built = new Map<GraphNode, GraphNode>();
	const build = (node: GraphNode, given: readonly Tensor[]): GraphNode => {
		const known = built.get(node);
		if (known !== undefined) return known;
		const inputs = given.map(replaced);
		const changed = inputs.some((input, i) => input !== node.inputs[i]);
		const result = changed ? new GraphNode(node.op, inputs, node.attributes, node.outputs) : node;
		built.set(node, result);
		return result;
	};
	for (const node of order) {
		const best = longest.get(node) ?? node;
		const common = best === node ? node.outputs.length : commonOutputs(node);
		// All versions have the same inputs, so the longest one can be built where the first is met.
		const shared = build(best, node.inputs);
		const own = node.outputs.length > common ? build(node, node.inputs) : shared;
		node.outputs.forEach((output, i) => {
			mapped.set(output, (i < common ? shared : own).outputs[i] as Tensor);
		});
	}
	return outputs.map(replaced);
}
