/** @file Any model from a config: one schema over all architectures, one builder. */
import { z } from 'zod';
import { validate } from '../base/validate.ts';
import { buildDecoder, type Decoder, decoderConfig } from './decoder.ts';
import { buildEncoder, type Encoder, encoderConfig } from './encoder.ts';
import { buildEncoderDecoder, type EncoderDecoder, encoderDecoderConfig } from './encoder-decoder.ts';

/** Settings of a model; `architecture` says which. */
export const modelConfig = z
	.discriminatedUnion('architecture', [decoderConfig, encoderConfig, encoderDecoderConfig])
	.describe('The model: its architecture and parts.');

export type ModelConfig = z.input<typeof modelConfig>;
export type ResolvedModelConfig = z.output<typeof modelConfig>;
export type Model = Decoder | Encoder | EncoderDecoder;

/**
 * Builds the model a config names.
 * @throws ConfigError naming the key that is wrong
 */
export function buildModel(config: ModelConfig): Model {
	const resolved = validate(modelConfig, config, 'model');
	switch (resolved.architecture) {
		case 'decoder':
			return buildDecoder(resolved);
		case 'encoder':
			return buildEncoder(resolved);
		case 'encoder-decoder':
			return buildEncoderDecoder(resolved);
	}
}
