/** @file An encoder-decoder for text to text (Vaswani et al. 2017), each side composed of the parts its config names. */
import { z } from 'zod';
import { ConfigError } from '../base/errors.ts';
import { validate } from '../base/validate.ts';
import { dim } from '../graph/shape.ts';
import type { Tensor } from '../graph/tensor.ts';
import { ParameterScope, ParameterTree } from '../nn/parameters.ts';
import type { ForwardContext, HiddenStates, StateSpec, StepInputs, StepResult, TextInputs } from './language-model.ts';
import { stackShape } from './stack-config.ts';
import { fullPass, stepPass } from './text-pass.ts';
import { outputLayer, outputLogits, type TextStack, textStack } from './text-stack.ts';

export const encoderDecoderConfig = z
	.strictObject({
		architecture: z.literal('encoder-decoder').describe('Reads one text and writes another.'),
		vocabSize: z.int().min(1).max(100_000_000).describe('Number of token ids, shared by both sides.'),
		sharedEmbeddings: z.boolean().default(false).describe('One table of token embeddings for both sides.'),
		encoder: z.strictObject(stackShape).describe('The side that reads.'),
		decoder: z.strictObject(stackShape).describe('The side that writes.'),
	})
	.describe('An encoder-decoder.');

export type EncoderDecoderConfig = z.input<typeof encoderDecoderConfig>;
export type ResolvedEncoderDecoderConfig = z.output<typeof encoderDecoderConfig>;

/** Encoder output that a decoder attends to. */
export interface SourceMemory {
	/** [batch, source, dim]. */
	readonly hidden: Tensor;
	/** True at real source tokens [batch, source], bool; absent: all real. */
	readonly mask?: Tensor;
}

/** New tokens on top of a state, with what is kept of the source. */
export interface SourceStepInputs extends StepInputs {
	/** In the order of `memorySpecs`. */
	readonly memory: readonly Tensor[];
	/** True at real source tokens [batch, source], bool. */
	readonly sourceMask?: Tensor;
}

/** A model that writes a text given another. */
export interface EncoderDecoder {
	readonly kind: 'encoder-decoder';
	readonly config: ResolvedEncoderDecoderConfig;
	readonly encoder: TextStack;
	readonly decoder: TextStack;
	readonly vocabSize: number;
	readonly parameters: ParameterTree;
	/** Encoder output [batch, source, dim]. */
	readonly encode: (source: TextInputs, context: ForwardContext) => HiddenStates;
	/** Decoder output [batch, time, dim] for the tokens before each target. */
	readonly decode: (target: TextInputs, source: SourceMemory, context: ForwardContext) => HiddenStates;
	readonly logits: (hidden: Tensor) => Tensor;
	/** The output matrix [vocab, dim]. */
	readonly outputWeight: Tensor;
	/** Keys and values of the source for every layer, made once a text from the encoder output [batch, source, dim]. */
	readonly memory: (hidden: Tensor) => readonly Tensor[];
	/** What `memory` gives; sizes `batch` and `source`. */
	readonly memorySpecs: readonly StateSpec[];
	/** What decoding carries from token to token. */
	readonly stateSpecs: readonly StateSpec[];
	readonly step: (inputs: SourceStepInputs) => StepResult;
	/** Floating-point operations of a forward pass: for one source token, and for one target token. */
	readonly forwardFlopsPerToken: (
		sourceLength: number,
		targetLength: number,
	) => { readonly source: number; readonly target: number };
}

/**
 * Builds an encoder-decoder.
 * @throws ConfigError when the config is not valid or the sides do not fit
 */
export function buildEncoderDecoder(config: EncoderDecoderConfig): EncoderDecoder {
	const resolved = validate(encoderDecoderConfig, config, 'model');
	const { vocabSize, sharedEmbeddings } = resolved;
	if (resolved.encoder.dim !== resolved.decoder.dim) {
		throw new ConfigError('the sides have different widths', {
			where: 'model.decoder.dim',
			expected: `${resolved.encoder.dim}, as model.encoder.dim`,
			found: `${resolved.decoder.dim}`,
		});
	}
	const tree = new ParameterTree();
	const root = ParameterScope.of(tree);
	const depth = { encoderLayers: resolved.encoder.layers, decoderLayers: resolved.decoder.layers };
	const encoder = textStack(resolved.encoder, {
		tree,
		scope: root.child('encoder'),
		side: 'encoder',
		causal: false,
		crossAttention: false,
		...depth,
		tokens: { vocabSize },
		zeroPadding: true,
	});
	const decoder = textStack(resolved.decoder, {
		tree,
		scope: root.child('decoder'),
		side: 'decoder',
		causal: true,
		crossAttention: true,
		...depth,
		tokens: sharedEmbeddings ? { weight: encoder.embedTokens as Tensor } : { vocabSize },
		zeroPadding: false,
	});
	const outputWeight = outputLayer(root.child('decoder'), decoder, vocabSize);
	return {
		kind: 'encoder-decoder',
		config: resolved,
		encoder,
		decoder,
		vocabSize,
		parameters: tree,
		encode: (source, context) => {
			const { x, auxiliaryLosses } = encoder.apply(source, fullPass(source, context));
			return { hidden: x, auxiliaryLosses };
		},
		decode: (target, source, context) => {
			const pass = fullPass(target, context, source);
			const { x, auxiliaryLosses } = decoder.apply(target, pass);
			return { hidden: x, auxiliaryLosses };
		},
		logits: (hidden) => outputLogits(hidden, outputWeight),
		outputWeight,
		memory: decoder.memory,
		memorySpecs: memorySpecs(decoder),
		stateSpecs: decoder.states.map((state): StateSpec => ({ dtype: 'float32', ...state })),
		step: (inputs) => {
			const pass = stepPass(inputs, decoder, inputs.sourceMask);
			const { x, state } = decoder.apply(inputs, pass, { state: inputs.state, memory: inputs.memory });
			return { hidden: x, state };
		},
		forwardFlopsPerToken: (sourceLength, targetLength) => ({
			source: encoder.flops(sourceLength),
			target: decoder.flops(targetLength, sourceLength) + 2 * resolved.decoder.dim * vocabSize,
		}),
	};
}

function memorySpecs({ config, mode }: TextStack): StateSpec[] {
	const { heads, layers } = config;
	const shape = [dim('batch'), heads, dim('source'), config.dim / heads];
	const both = (prefix: string, leading: readonly number[]): StateSpec[] =>
		['key', 'value'].map((name) => ({
			name: `${prefix}.encoder_attn.${name}`,
			dtype: 'float32',
			shape: [...leading, ...shape],
		}));
	if (mode === 'scan') return both('layers.*', [layers]);
	return Array.from({ length: layers }, (_, layer) => both(`layers.${layer}`, [])).flat();
}
