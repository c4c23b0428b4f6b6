/** @file The passes every graph goes through before it is lowered, in order. Dead code falls away by reachability. */

import { rewrite } from '../rewrite.ts';
import type { ScanAttributes } from '../scan.ts';
import { GraphNode, type Tensor } from '../tensor.ts';
import { shareCommonSubexpressions } from './common-subexpressions.ts';
import { foldConstants } from './fold-constants.ts';
import { inlineCheckpoints } from './inline-checkpoints.ts';
import { mergeScans } from './merge-scans.ts';

export type Pass = (outputs: readonly Tensor[]) => Tensor[];

/** Needed for lowering at all. */
const REQUIRED: readonly Pass[] = [inlineCheckpoints, mergeScans];
/** Optional: results are unchanged up to rounding. */
export const OPTIONAL_PASSES: Readonly<Record<string, Pass>> = {
	'fold-constants': foldConstants,
	'common-subexpressions': shareCommonSubexpressions,
};

/** Applies all passes to a graph and to the bodies of its loops. Names in `skip` are left out (for tests and benchmarks). */
export function optimize(outputs: readonly Tensor[], skip: ReadonlySet<string> = new Set()): Tensor[] {
	const passes = [
		...REQUIRED,
		...Object.entries(OPTIONAL_PASSES).flatMap(([name, pass]) => (skip.has(name) ? [] : [pass])),
	];
	const result = passes.reduce<Tensor[]>((current, pass) => pass(current), [...outputs]);
	return rewrite(result, (node) => {
		if (node.op.name !== 'scan') return undefined;
		const attributes = node.attributes as ScanAttributes;
		const { parameters, results } = attributes.body;
		const body = { parameters, results: optimize(results, skip) };
		return new GraphNode(node.op, node.inputs, { ...attributes, body }, node.outputs).outputs;
	});
}
