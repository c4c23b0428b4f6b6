/** @file Differentiation repeats a loop with more outputs; where both are in the graph, only the longer one is kept. */
import { substitute } from '../rewrite.ts';
import type { ScanAttributes } from '../scan.ts';
import { type GraphNode, type Tensor, topologicalOrder } from '../tensor.ts';

export function mergeScans(outputs: readonly Tensor[]): Tensor[] {
	const replacements = new Map<Tensor, Tensor>();
	const order = topologicalOrder(outputs);
	const present = new Set(order);
	for (const node of order) {
		if (node.op.name !== 'scan') continue;
		const original = (node.attributes as ScanAttributes).extends as GraphNode | undefined;
		if (original === undefined || !present.has(original)) continue;
		original.outputs.forEach((output, i) => {
			if (!replacements.has(output)) replacements.set(output, node.outputs[i] as Tensor);
		});
	}
	return replacements.size === 0 ? [...outputs] : substitute(outputs, replacements);
}
