/** @file A decoder-only language model (GPT and its descendants), composed of the parts its config names. */
import { z } from 'zod';
import { ShapeError } from '../base/errors.ts';
import { validate } from '../base/validate.ts';
import type { Dim } from '../graph/shape.ts';
import type { Tensor } from '../graph/tensor.ts';
import { ParameterScope, ParameterTree } from '../nn/parameters.ts';
import { Pass } from '../nn/pass.ts';
import type { CausalLanguageModel, StateSpec, StepInputs, TextInputs } from './language-model.ts';
import { stackShape } from './stack-config.ts';
import { outputLayer, outputLogits, type TextStack, textStack } from './text-stack.ts';

export const decoderConfig = z
	.strictObject({
		architecture: z.literal('decoder').default('decoder').describe('Predicts the next token.'),
		vocabSize: z.int().min(1).describe('Number of token ids.'),
		...stackShape,
	})
	.describe('A decoder-only language model.');

/** Settings as a user writes them; everything with a default may be left out. */
export type DecoderConfig = z.input<typeof decoderConfig>;
export type ResolvedDecoderConfig = z.output<typeof decoderConfig>;

export interface Decoder extends CausalLanguageModel {
	/** The settings with all defaults filled in. */
	readonly config: ResolvedDecoderConfig;
	readonly stack: TextStack;
}

/**
 * Builds a decoder.
 * @throws ConfigError when the config is not valid or contradicts itself
 */
export function buildDecoder(config: DecoderConfig): Decoder {
	const resolved = validate(decoderConfig, config, 'model');
	const { vocabSize } = resolved;
	const tree = new ParameterTree();
	const scope = ParameterScope.of(tree);
	const stack = textStack(resolved, {
		tree,
		scope,
		side: 'decoder',
		causal: true,
		crossAttention: false,
		encoderLayers: 0,
		decoderLayers: resolved.layers,
		tokens: { vocabSize },
		zeroPadding: false,
	});
	const outputWeight = outputLayer(scope, stack, vocabSize);
	return {
		kind: 'causal',
		config: resolved,
		stack,
		vocabSize,
		maxLength: stack.maxLength,
		parameters: tree,
		outputWeight,
		hiddenStates: (inputs, context) => {
			const { x, auxiliaryLosses } = stack.apply(inputs, fullPass(inputs, context));
			return { hidden: x, auxiliaryLosses };
		},
		logits: (hidden) => outputLogits(hidden, outputWeight),
		stateSpecs: stack.states.map((state): StateSpec => ({ dtype: 'float32', ...state })),
		step: (inputs) => {
			const { x, state } = stack.apply(inputs, stepPass(inputs, stack), { state: inputs.state });
			return { hidden: x, state };
		},
		forwardFlopsPerToken: (contextLength) => stack.flops(contextLength) + 2 * resolved.dim * vocabSize,
	};
}

/** The pass of a whole text. */
export function fullPass(inputs: TextInputs, context: { readonly training: boolean; readonly seed?: Tensor }): Pass {
	const [batch, time] = textSize(inputs.tokens);
	return new Pass({
		batch,
		time,
		positions: inputs.positions,
		keyMask: inputs.paddingMask,
		segmentIds: inputs.segmentIds,
		training: context.training,
		seed: context.seed,
	});
}

/** The pass of new tokens on top of a state. */
export function stepPass(inputs: StepInputs, stack: TextStack): Pass {
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
