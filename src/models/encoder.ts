/** @file A bidirectional encoder (BERT and its descendants), composed of the parts its config names. */
import { z } from 'zod';
import { validate } from '../base/validate.ts';
import type { Tensor } from '../graph/tensor.ts';
import { ParameterScope, ParameterTree } from '../nn/parameters.ts';
import type { ForwardContext, HiddenStates, TextInputs } from './language-model.ts';
import { stackShape } from './stack-config.ts';
import { fullPass } from './text-pass.ts';
import { outputLayer, outputLogits, type TextStack, textStack } from './text-stack.ts';

export const encoderConfig = z
	.strictObject({
		architecture: z.literal('encoder').default('encoder').describe('Reads a whole text in both directions.'),
		vocabSize: z.int().min(1).max(100_000_000).describe('Number of token ids.'),
		...stackShape,
	})
	.describe('A bidirectional encoder.');

export type EncoderConfig = z.input<typeof encoderConfig>;
export type ResolvedEncoderConfig = z.output<typeof encoderConfig>;

/** A model that sees the whole text at once. */
export interface Encoder {
	readonly kind: 'encoder';
	readonly config: ResolvedEncoderConfig;
	readonly stack: TextStack;
	readonly vocabSize: number;
	/** Longest text the positions cover; undefined where there is no limit. */
	readonly maxLength: number | undefined;
	readonly parameters: ParameterTree;
	/** Padded tokens are hidden from all others. */
	readonly hiddenStates: (inputs: TextInputs, context: ForwardContext) => HiddenStates;
	/** Scores of the token at each place, for masked language modelling: [..., dim] -> [..., vocab]. */
	readonly logits: (hidden: Tensor) => Tensor;
	/** The output matrix [vocab, dim]. */
	readonly outputWeight: Tensor;
	/** Floating-point operations of a forward pass for one token of a text of the given length. */
	readonly forwardFlopsPerToken: (contextLength: number) => number;
}

/**
 * Builds an encoder.
 * @throws ConfigError when the config is not valid or contradicts itself
 */
export function buildEncoder(config: EncoderConfig): Encoder {
	const resolved = validate(encoderConfig, config, 'model');
	const { vocabSize } = resolved;
	const tree = new ParameterTree();
	const scope = ParameterScope.of(tree);
	const stack = textStack(resolved, {
		tree,
		scope,
		side: 'encoder',
		causal: false,
		crossAttention: false,
		encoderLayers: resolved.layers,
		decoderLayers: 0,
		tokens: { vocabSize },
		zeroPadding: true,
	});
	const outputWeight = outputLayer(scope, stack, vocabSize);
	return {
		kind: 'encoder',
		config: resolved,
		stack,
		vocabSize,
		maxLength: stack.maxLength,
		parameters: tree,
		hiddenStates: (inputs, context) => {
			const { x, auxiliaryLosses } = stack.apply(inputs, fullPass(inputs, context));
			return { hidden: x, auxiliaryLosses };
		},
		logits: (hidden) => outputLogits(hidden, outputWeight),
		outputWeight,
		forwardFlopsPerToken: (contextLength) => stack.flops(contextLength) + 2 * resolved.dim * vocabSize,
	};
}
