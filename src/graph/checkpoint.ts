/** @file Gradient checkpointing (Chen et al. 2016): keep a function's inputs, recompute its inside in the backward pass. */
import { barrier } from './alias.ts';
import { vectorJacobian } from './gradients.ts';
import { apply, defineOp } from './op.ts';
import { inline, trace } from './subgraph.ts';
import { isFloat, type Subgraph, type Tensor } from './tensor.ts';

interface CheckpointAttributes {
	readonly body: Subgraph;
}

const checkpointOp = defineOp<CheckpointAttributes>({
	name: 'checkpoint',
	infer: (_, { body }) => body.results,
	gradient: ({ inputs, attributes: { body }, needs }, outputGradients) => {
		const after = outputGradients.find((gradient) => gradient !== undefined) as Tensor;
		// The recomputation starts when the first output gradient is known, not together with the forward pass.
		const again = inputs.map((input) => (isFloat(input.dtype) ? barrier(input, after) : input));
		const results = inline(body, again);
		const wanted = inputs.map((input, i) => isFloat(input.dtype) && needs(i));
		const sources = again.filter((_, i) => wanted[i]);
		const found = vectorJacobian(results, outputGradients, sources);
		let next = 0;
		return inputs.map((_, i) => (wanted[i] ? found[next++] : undefined));
	},
	lower: () => {
		throw new Error('checkpoints are inlined before lowering');
	},
	reference: () => {
		throw new Error('checkpoints are inlined before evaluation');
	},
	samples: [],
	testedBy: 'src/graph/checkpoint.test.ts',
});

/**
 * `body(...inputs)` whose intermediate values are not kept for the backward pass but computed again there.
 * Tensors that `body` captures from outside get their gradients too.
 */
export function checkpoint(
	inputs: readonly Tensor[],
	body: (...inputs: Tensor[]) => readonly Tensor[],
): readonly Tensor[] {
	const traced = trace(inputs, (args) => body(...args));
	return apply(checkpointOp, [...inputs, ...traced.captured], { body: traced });
}
