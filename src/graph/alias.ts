/** @file Ops that compute nothing: they give a value another gradient (stop, straight-through, user-defined). */

import { ShapeError } from '../base/errors.ts';
import { apply, apply1, defineOp } from './op.ts';
import { formatShape, shapesEqual } from './shape.ts';
import { isFloat, type Tensor } from './tensor.ts';

const stopGradientOp = defineOp<null>({
	name: 'stopGradient',
	infer: ([x]) => [x!],
	lower: (_, inputs) => [inputs[0]!],
	reference: ([x]) => [x!],
	samples: [{ inputs: [{ dims: [3] }], attributes: null, differentiable: [] }],
});

/** `x`, through which no gradient passes. */
export function stopGradient(x: Tensor): Tensor {
	return apply1(stopGradientOp, [x], null);
}

const straightThroughOp = defineOp<null>({
	name: 'straightThrough',
	infer: ([value, gradientPath]) => {
		if (!shapesEqual(value!.shape, gradientPath!.shape) || value!.dtype !== gradientPath!.dtype) {
			throw new ShapeError('value and gradient path differ', {
				found: `${formatShape(value!.shape)} and ${formatShape(gradientPath!.shape)}`,
			});
		}
		return [value!];
	},
	gradient: (_, [dy]) => [undefined, dy],
	lower: (_, inputs) => [inputs[0]!],
	reference: ([value]) => [value!],
	samples: [],
	testedBy: 'src/graph/alias.test.ts',
});

/** Has the value of `value` and the gradient of `gradientPath` (straight-through estimator, Bengio et al. 2013). */
export function straightThrough(value: Tensor, gradientPath: Tensor): Tensor {
	return apply1(straightThroughOp, [value, gradientPath], null);
}

/** Gradient of a function given by hand: from its inputs, outputs and output gradients. */
export type CustomGradient = (
	inputs: readonly Tensor[],
	outputs: readonly Tensor[],
	outputGradients: readonly (Tensor | undefined)[],
) => readonly (Tensor | undefined)[];

interface CustomAttributes {
	readonly outputCount: number;
	readonly gradient: CustomGradient;
}

const customGradientOp = defineOp<CustomAttributes>({
	name: 'customGradient',
	infer: (inputs, { outputCount }) => inputs.slice(0, outputCount),
	gradient: ({ inputs, outputs, attributes: { outputCount, gradient } }, outputGradients) => [
		...new Array<undefined>(outputCount).fill(undefined),
		...gradient(inputs.slice(outputCount), outputs, outputGradients),
	],
	lower: (_, inputs, { attributes: { outputCount } }) => inputs.slice(0, outputCount),
	reference: (inputs, { outputCount }) => inputs.slice(0, outputCount),
	samples: [],
	testedBy: 'src/graph/alias.test.ts',
});

/** `forward(...inputs)` with a gradient of your own; tensors captured by `forward` get none. */
export function customGradient(
	inputs: readonly Tensor[],
	forward: (...inputs: Tensor[]) => readonly Tensor[],
	gradient: CustomGradient,
): readonly Tensor[] {
	const outputs = forward(...inputs);
	return apply(customGradientOp, [...outputs, ...inputs], { outputCount: outputs.length, gradient });
}

const barrierOp = defineOp<null>({
	name: 'barrier',
	infer: ([x]) => [x!],
	// A value that depends on `after` and adds nothing: keeps the engine from merging or hoisting what follows.
	lower: (emitter, [x, after], { inputs }) => {
		const [type, dependency] = inputs as [Tensor, Tensor];
		if (!isFloat(type.dtype)) return [x!];
		const flat = emitter.node('Reshape', [after!, emitter.integers([-1])]);
		const start = emitter.node('Slice', [flat, emitter.integers([0]), emitter.integers([1]), emitter.integers([0])]);
		// One element even where `after` has none (an empty batch).
		const first = emitter.node('ReduceSum', [start, emitter.integers([0])], { attributes: { keepdims: 1 } });
		const converted =
			dependency.dtype === type.dtype
				? first
				: emitter.node('Cast', [first], { attributes: { to: type.dtype === 'float32' ? 1 : 10 } });
		const nothing = emitter.node('Mul', [converted, emitter.scalar(type.dtype, 0)]);
		const zero = type.rank === 0 ? emitter.node('Reshape', [nothing, emitter.integers([])]) : nothing;
		return [emitter.node('Add', [x!, zero])];
	},
	reference: ([x]) => [x!],
	samples: [{ inputs: [{ dims: [2, 3] }, { dims: [4] }], attributes: null, differentiable: [] }],
});

/** `x`, computed only after `after` is known (recomputation in the backward pass). No gradient passes. */
export function barrier(x: Tensor, after: Tensor): Tensor {
	return apply1(barrierOp, [x, after], null);
}
