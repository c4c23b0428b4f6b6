/** @file Turning a function over tensors into a subgraph: traces it on placeholders and finds what it captures. */
import { placeholder } from './ops/source.ts';
import { dependents, substitute } from './rewrite.ts';
import type { Subgraph, Tensor, TensorType } from './tensor.ts';
import { topologicalOrder } from './tensor.ts';

/** A traced function: its own arguments first, then one parameter for each tensor captured from outside. */
export interface TracedFunction extends Subgraph {
	/** The outer tensors that stand behind the last parameters. */
	readonly captured: readonly Tensor[];
}

/**
 * Runs `body` once on placeholders of the given types.
 * Outer tensors it uses become further parameters; constants are kept inside.
 */
export function trace(
	types: readonly TensorType[],
	body: (args: readonly Tensor[]) => readonly Tensor[],
): TracedFunction {
	const args = types.map(placeholder);
	return close(args, body(args));
}

/** Makes a subgraph self-contained: every outer tensor it reads becomes a parameter. */
export function close(args: readonly Tensor[], results: readonly Tensor[]): TracedFunction {
	const inside = dependents(results, args);
	const captured = new Map<Tensor, Tensor>();
	const capture = (tensor: Tensor): void => {
		if (inside.has(tensor) || isFree(tensor) || captured.has(tensor)) return;
		captured.set(tensor, placeholder(tensor));
	};
	for (const node of topologicalOrder(results, (n) => !n.outputs.some((output) => inside.has(output)))) {
		if (node.outputs.some((output) => inside.has(output))) for (const input of node.inputs) capture(input);
	}
	for (const result of results) capture(result);
	return {
		parameters: [...args, ...captured.values()],
		results: substitute(results, captured),
		captured: [...captured.keys()],
	};
}

/** Whether a tensor is made from constants alone and can be repeated inside a body at no cost. */
function isFree(tensor: Tensor): boolean {
	if (tensor.node.op.name === 'constant') return true;
	return tensor.node.op.name === 'expand' && isFree(tensor.node.inputs[0] as Tensor);
}

/** A copy of the body with arguments in place of its parameters. */
export function inline(body: Subgraph, args: readonly Tensor[]): Tensor[] {
	return substitute(body.results, new Map(body.parameters.map((parameter, i) => [parameter, args[i] as Tensor])));
}
