/** @file The settings of sampling, their meaning and their checks. Names and meanings are those of Hugging Face transformers. */
import { z } from 'zod';
import { InputError } from '../../base/errors.ts';
import { validate } from '../../base/validate.ts';

const finite = z.number().refine(Number.isFinite);

/** Schema of SamplingOptions. Every key is optional; an absent key changes nothing. */
export const samplingSchema = z.strictObject({
	temperature: finite
		.min(0)
		.default(1)
		.describe('Divides the logits: below 1 sharpens, above 1 flattens; 0 takes the most likely token (greedy).'),
	topK: z.int().min(0).default(0).describe('Keep the k most likely tokens; ties at the k-th stay. 0: all.'),
	topP: finite
		.min(0)
		.max(1)
		.default(1)
		.describe('Nucleus: keep the most likely tokens until their probabilities reach p. 1: all.'),
	minP: finite
		.min(0)
		.max(1)
		.default(0)
		.describe('Keep tokens at least this fraction as likely as the most likely one. 0: all.'),
	typicalP: finite
		.gt(0)
		.max(1)
		.default(1)
		.describe('Locally typical: keep tokens whose surprise is nearest the entropy until they reach p. 1: all.'),
	repetitionPenalty: finite
		.gt(0)
		.default(1)
		.describe('Divides the positive and multiplies the negative logits of every token in the text, prompt included.'),
	frequencyPenalty: finite.default(0).describe('Subtracted once for every time a token was generated.'),
	presencePenalty: finite.default(0).describe('Subtracted from the logit of every token that was generated.'),
	logitBias: z
		.record(z.string().regex(/^\d+$/), finite)
		.default({})
		.describe('Token id to a number added to its logit; -1e9 and below bans the token.'),
});

/** What a caller may set. */
export type SamplingOptions = z.input<typeof samplingSchema>;
/** The same with every default filled in. */
export type ResolvedSampling = z.output<typeof samplingSchema>;

/**
 * Checks sampling settings and fills in the defaults.
 * @throws InputError naming the first setting that is unknown or out of range
 */
export function resolveSampling(options: SamplingOptions = {}, vocabSize?: number): ResolvedSampling {
	const resolved = validate(samplingSchema, options, 'sampling');
	for (const id of Object.keys(resolved.logitBias)) {
		if (vocabSize !== undefined && Number(id) >= vocabSize) {
			throw new InputError('is not a token of the vocabulary', {
				where: `sampling.logitBias.${id}`,
				expected: `an id below ${vocabSize}`,
			});
		}
	}
	return resolved;
}
