/** @file From the tensors a model is given to a pass through its layers: sizes, masks, positions. */
import { ShapeError } from '../base/errors.ts';
import type { Dim } from '../graph/shape.ts';
import type { Tensor } from '../graph/tensor.ts';
import { Pass } from '../nn/pass.ts';
import type { ForwardContext, StepInputs, TextInputs } from './language-model.ts';
import type { TextStack } from './text-stack.ts';

/** The pass of a whole text; `source` is what cross-attention reads. */
export function fullPass(
	inputs: TextInputs,
	context: ForwardContext,
	source?: { readonly hidden: Tensor; readonly mask?: Tensor },
): Pass {
	const [batch, time] = textSize(inputs.tokens);
	return new Pass({
		batch,
		time,
		positions: inputs.positions,
		keyMask: inputs.paddingMask,
		segmentIds: inputs.segmentIds,
		memory: source?.hidden,
		sourceMask: source?.mask,
		training: context.training,
		seed: context.seed,
	});
}

/** The pass of new tokens on top of a state; `sourceMask` is of the text that cross-attention reads. */
export function stepPass(inputs: StepInputs, stack: TextStack, sourceMask?: Tensor): Pass {
	if (inputs.segmentIds !== undefined || inputs.paddingMask !== undefined) {
		throw new ShapeError('decoding step by step takes one document a row', {
			expected: 'attentionMask over past and new tokens',
			found: inputs.segmentIds === undefined ? 'paddingMask' : 'segmentIds',
		});
	}
	if (inputs.state.length !== stack.states.length) {
		throw new ShapeError('the decoding state does not fit the model', {
			expected: `${stack.states.length} tensors`,
			found: `${inputs.state.length}`,
		});
	}
	const [batch, time] = textSize(inputs.tokens);
	return new Pass({
		batch,
		time,
		past: pastLength(inputs, stack),
		positions: inputs.positions,
		keyMask: inputs.attentionMask,
		sourceMask,
	});
}

/** Tokens a state holds: the size of an axis that grows. Models with constant states count nothing. */
function pastLength({ state }: StepInputs, { states }: TextStack): Dim {
	const at = states.findIndex(({ growsAlong }) => growsAlong !== undefined);
	const axis = states[at]?.growsAlong;
	return axis === undefined ? 0 : (state[at]?.shape[axis] as Dim);
}

function textSize(tokens: Tensor): readonly [Dim, Dim] {
	if (tokens.rank !== 2) {
		throw new ShapeError('token ids have two axes', { expected: '[batch, time]', found: `${tokens}` });
	}
	return tokens.shape as readonly [Dim, Dim];
}
