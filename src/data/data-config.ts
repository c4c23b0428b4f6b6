/** @file The `data` section of a configuration. */
import { z } from 'zod';
import { packingConfig } from './packing-registry.ts';
import { sourceConfig } from './source-registry.ts';

const DEFAULT_VALIDATION_FRACTION = 0.05;

/** Everything that decides which tokens a model sees, and in which order. */
export const dataConfig = z
	.strictObject({
		source: sourceConfig,
		validationSource: sourceConfig
			.optional()
			.describe('Documents for validation alone. Without it a part of `source` is kept for validation.'),
		validationFraction: z
			.number()
			.min(0)
			.lt(1)
			.optional()
			.describe(
				`Share of the documents kept for validation, chosen by a hash of their content; whole documents, at least one. ` +
					`0 keeps none. Default ${DEFAULT_VALIDATION_FRACTION}, or 0 when validationSource is given.`,
			),
		sequenceLength: z
			.int()
			.min(1)
			.max(1 << 24)
			.default(256)
			.describe('Tokens of one training row.'),
		packing: packingConfig.default({ kind: 'stream' }),
		shuffle: z.boolean().default(true).describe('Visit the rows in a new random order every epoch.'),
		seed: z
			.int()
			.min(0)
			.max(2 ** 32 - 1)
			.default(0)
			.describe('Decides the order of the rows and which documents are for validation.'),
		cacheDirectory: z
			.string()
			.min(1)
			.default('.modelsmith/tokens')
			.describe('Folder for token shards, which later runs over the same data reuse.'),
	})
	.refine((config) => config.validationSource === undefined || !config.validationFraction, {
		path: ['validationFraction'],
		error: 'must be 0 or left out when validationSource is given',
	})
	.describe('The text to learn from and how it is cut into rows.');

export type DataConfig = z.output<typeof dataConfig>;

/** The share of documents for validation that a configuration asks for. */
export function validationFractionOf({ validationFraction, validationSource }: DataConfig): number {
	return validationFraction ?? (validationSource === undefined ? DEFAULT_VALIDATION_FRACTION : 0);
}
