/** @file A decoder-only language model (GPT and its descendants), composed of the parts its config names. */
import { z } from 'zod';
import { validate } from '../base/validate.ts';
import { ParameterScope, ParameterTree } from '../nn/parameters.ts';
import type { CausalLanguageModel, StateSpec } from './language-model.ts';
import { stackShape } from './stack-config.ts';
import { fullPass, stepPass } from './text-pass.ts';
import { outputLayer, outputLogits, type TextStack, textStack } from './text-stack.ts';

export const decoderConfig = z
	.strictObject({
		architecture: z.literal('decoder').default('decoder').describe('Predicts the next token.'),
		vocabSize: z.int().min(1).max(100_000_000).describe('Number of token ids.'),
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
