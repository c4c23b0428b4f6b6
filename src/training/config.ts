/** @file The configuration of a whole run: model, tokenizer, data, training. One schema; docs and editors read it too. */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { ConfigError } from '../base/errors.ts';
import { validate } from '../base/validate.ts';
import { dataConfig } from '../data/data-config.ts';
import { decoderConfig } from '../models/decoder.ts';
import { DEVICES } from '../runtime/device.ts';
import { bpeTrainingSchema } from '../tokenizers/train-bpe.ts';
import { objectiveConfig } from './objective-registry.ts';
import { optimizerConfig } from './optimizer-registry.ts';
import { scheduleConfig } from './schedule-registry.ts';

const steps = (what: string) => z.int().min(1).describe(what);

export const trainingConfig = z
	.strictObject({
		steps: steps('Length of the run in optimizer updates.').optional(),
		epochs: z.number().positive().optional().describe('Length of the run in passes over the data.'),
		tokens: steps('Length of the run in training tokens.').optional(),
		batchSize: z.int().min(1).default(8).describe('Rows of one forward and backward pass.'),
		accumulation: z.int().min(1).default(1).describe('Passes whose gradients make one update.'),
		objective: objectiveConfig.prefault({ kind: 'causal-lm' }),
		optimizer: optimizerConfig.prefault({ kind: 'adamw' }),
		schedule: scheduleConfig.prefault({ kind: 'cosine' }),
		clip: z
			.number()
			.positive()
			.nullable()
			.default(1)
			.describe('Largest global norm of the gradient; null does not clip.'),
		ema: z
			.strictObject({
				decay: z.number().gt(0).lt(1).default(0.999).describe('Share of the average kept at each update.'),
				validate: z.boolean().default(true).describe('Measure validation with the averaged parameters.'),
			})
			.optional()
			.describe('Keep an exponential moving average of the parameters.'),
		precision: z
			.enum(['float32', 'mixed'])
			.default('float32')
			.describe('mixed: matrix products in float16 with loss scaling; for webgpu and cuda.'),
		validation: z
			.strictObject({
				every: steps('Updates between two validations; one more at the end.').default(100),
				batches: z.int().min(1).optional().describe('Batches to measure; default: the whole validation split.'),
			})
			.prefault({})
			.describe('How often the validation split is measured.'),
		earlyStopping: z
			.strictObject({
				patience: steps('Validations in a row without an improvement after which the run ends.').default(5),
				minimumImprovement: z.number().min(0).default(0).describe('Smaller improvements of the loss do not count.'),
			})
			.optional()
			.describe('End the run when validation no longer improves.'),
		checkpoints: z
			.strictObject({
				every: steps('Updates between two checkpoints; one more at the end.').default(100),
				keep: z.int().min(1).default(2).describe('Checkpoints kept, the latest first.'),
				keepBest: z.boolean().default(true).describe('Also keep the one with the lowest validation loss.'),
			})
			.prefault({})
			.describe('How often the run is saved.'),
		sampling: z
			.strictObject({
				every: steps('Updates between two samples.').default(100),
				prompts: z.array(z.string()).min(1).default(['The ']).describe('Beginnings of text to continue.'),
				maxTokens: z.int().min(1).default(60).describe('Length of a sample.'),
				temperature: z.number().min(0).default(0.8).describe('0 always takes the likeliest token.'),
			})
			.optional()
			.describe('Let the model write now and then.'),
		tensorboard: z.boolean().default(false).describe('Also write TensorBoard event files into the run folder.'),
		seed: z
			.int()
			.min(0)
			.max(2 ** 32 - 1)
			.default(0)
			.describe('Decides initial weights, dropout and the order of the data.'),
		device: z.enum(DEVICES).default('cpu').describe('Where to compute.'),
		threads: z.int().min(1).max(1024).optional().describe('Threads of one operation; default: as many as cores.'),
	})
	.describe('How the model is trained.');

export type TrainingConfig = z.output<typeof trainingConfig>;

export const tokenizerConfig = z
	.discriminatedUnion('kind', [
		bpeTrainingSchema.extend({ kind: z.literal('bpe').describe('Train byte-level BPE on the data.') }),
		z.strictObject({
			kind: z.literal('file').describe('Use an existing tokenizer.json.'),
			path: z.string().min(1).describe('Path of tokenizer.json or of its folder, relative to the configuration.'),
		}),
	])
	.describe('How text becomes tokens.');

export const runConfig = z
	.strictObject({
		model: decoderConfig.extend({
			vocabSize: z.int().min(1).optional().describe('Number of token ids; default: those of the tokenizer.'),
		}),
		tokenizer: tokenizerConfig.prefault({ kind: 'bpe', vocabSize: 4096 }),
		data: dataConfig,
		training: trainingConfig.prefault({}),
	})
	.describe('A training run.');

/** A run's configuration with all defaults filled in; what config.json holds. */
export type RunConfig = z.output<typeof runConfig>;
export type RunConfigInput = z.input<typeof runConfig>;

/**
 * Checks a configuration and fills in defaults.
 * @returns the first problem of form, or all contradictions between keys; `config` only where there is none
 */
export function resolveConfig(raw: unknown): {
	readonly config?: RunConfig;
	readonly problems: readonly ConfigError[];
} {
	let config: RunConfig;
	try {
		config = validate(runConfig, raw, '');
	} catch (error) {
		if (error instanceof ConfigError) return { problems: [error] };
		throw error;
	}
	const problems = contradictions(config);
	return problems.length > 0 ? { problems } : { config, problems };
}

/** What no single key can see. */
export function contradictions({ model, data, training }: RunConfig): ConfigError[] {
	const problems: ConfigError[] = [];
	const problem = (where: string, summary: string, expected: string, found: string, fix?: string): void => {
		problems.push(new ConfigError(summary, { where, expected, found, ...(fix !== undefined && { fix }) }));
	};
	const lengths = (['steps', 'epochs', 'tokens'] as const).filter((key) => training[key] !== undefined);
	if (lengths.length !== 1) {
		problem(
			'training',
			lengths.length === 0 ? 'does not say how long to train' : 'says twice how long to train',
			'one of steps, epochs, tokens',
			lengths.length === 0 ? 'none' : lengths.join(' and '),
		);
	}
	if (model.position.kind === 'learned' && data.sequenceLength > model.maxLength) {
		const found = `${data.sequenceLength} and model.maxLength ${model.maxLength}`;
		problem('data.sequenceLength', 'is longer than the model can read', 'at most model.maxLength', found);
	}
	const { schedule, steps: total } = training;
	if (total !== undefined && schedule.warmup >= total) {
		problem('training.schedule.warmup', 'takes the whole run', `fewer than ${total} steps`, String(schedule.warmup));
	}
	if (schedule.kind === 'warmup-stable-decay' && schedule.shape === 'exponential' && schedule.minimum === 0) {
		problem('training.schedule.minimum', 'cannot be reached by equal factors', 'above 0', '0');
	}
	if (training.precision === 'mixed' && training.device === 'cpu') {
		problem(
			'training.precision',
			'does not pay on the CPU, which computes in float32',
			'float32, or the device webgpu or cuda',
			'mixed on cpu',
			'set training.precision to float32',
		);
	}
	if (training.earlyStopping !== undefined && data.validationFraction === 0 && data.validationSource === undefined) {
		problem('training.earlyStopping', 'needs validation data', 'data.validationFraction above 0', '0');
	}
	return problems;
}

/** Keys that may change between a run and its resumption: they do not touch the numbers. */
const FREE = ['training.checkpoints', 'training.sampling', 'training.tensorboard', 'data.cacheDirectory'];

/** The configuration without what may change on resuming. */
function decisive(config: RunConfig): Map<string, string> {
	const leaves = new Map<string, string>();
	const walk = (value: unknown, path: string): void => {
		if (FREE.includes(path) || value === undefined) return;
		if (value !== null && typeof value === 'object' && Object.keys(value).length > 0) {
			for (const [key, item] of Object.entries(value)) walk(item, path === '' ? key : `${path}.${key}`);
		} else leaves.set(path, JSON.stringify(value));
	};
	walk(config, '');
	return leaves;
}

/** SHA-256 of everything in a configuration that decides the numbers of a run. */
export function configHash(config: RunConfig): string {
	const entries = [...decisive(config)].sort(([a], [b]) => (a < b ? -1 : 1));
	return createHash('sha256').update(JSON.stringify(entries)).digest('hex');
}

/**
 * Checks that a run may go on with this configuration.
 * @param saved the run's config.json, parsed
 * @throws ConfigError listing every key that differs
 */
export function checkResume(saved: RunConfig, given: RunConfig): void {
	const [before, now] = [decisive(saved), decisive(given)];
	const different = [...new Set([...before.keys(), ...now.keys()])].filter((key) => before.get(key) !== now.get(key));
	if (different.length === 0) return;
	throw new ConfigError('the configuration differs from the one the run began with', {
		where: different.length === 1 ? (different[0] as string) : `${different.length} keys`,
		expected: different.map((key) => `${key} = ${before.get(key) ?? 'absent'}`).join('\n            '),
		found: different.map((key) => `${key} = ${now.get(key) ?? 'absent'}`).join('\n            '),
		fix: 'resume with the first configuration, or start a new run in another folder',
	});
}
