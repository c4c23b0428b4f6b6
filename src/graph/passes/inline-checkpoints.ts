/** @file Replaces every checkpoint by a copy of its body; bodies of loops are left to their own turn. */
import { rewrite } from '../rewrite.ts';
import { inline } from '../subgraph.ts';
import type { Subgraph, Tensor } from '../tensor.ts';

export function inlineCheckpoints(outputs: readonly Tensor[]): Tensor[] {
	return rewrite(outputs, (node) => {
		if (node.op.name !== 'checkpoint') return undefined;
		return inlineCheckpoints(inline((node.attributes as { body: Subgraph }).body, node.inputs));
	});
}
