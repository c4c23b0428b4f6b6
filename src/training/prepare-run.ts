/** @file From a configuration to everything a run needs: tokenizer, token shards, model, batches, the checkpoint to go on from. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { ConfigError, InputError } from '../base/errors.ts';
import { readJson, writeFileAtomic } from '../base/files.ts';
import { validate } from '../base/validate.ts';
import { BatchStream, sequentialBatches } from '../data/batches.ts';
import type { BuiltShards } from '../data/build-shards.ts';
import { createPacking } from '../data/packing-registry.ts';
import { prepareTokens } from '../data/prepare-tokens.ts';
import { openSource } from '../data/source-registry.ts';
import { openTokenDataset, type TokenDataset } from '../data/token-dataset.ts';
import { buildDecoder } from '../models/decoder.ts';
import type { CausalLanguageModel } from '../models/language-model.ts';
import { Tokenizer } from '../tokenizers/tokenizer.ts';
import { trainBpe } from '../tokenizers/train-bpe.ts';
import type { BatchShape, TrainingBatches } from './batch.ts';
import { latestCheckpoint, listCheckpoints } from './checkpoints.ts';
import { checkResume, configHash, type RunConfig, runConfig } from './config.ts';
import type { TrainingEvent } from './events.ts';
import type { ValidationData } from './trainer.ts';

export const CONFIG_FILE = 'config.json';
export const TOKENIZER_FILE = 'tokenizer.json';

export interface PrepareRunOptions {
	/** As resolveConfig gave it. */
	readonly config: RunConfig;
	/** Run folder; made where it is missing. */
	readonly directory: string;
	/** Where relative paths of the configuration start. Default: the working directory. */
	readonly baseDirectory?: string;
	readonly resume?: boolean;
	readonly onEvent?: (event: TrainingEvent) => void;
	readonly signal?: AbortSignal;
}

export interface PreparedRun {
	/** With the model's vocabulary filled in; also in config.json. */
	readonly config: RunConfig;
	readonly tokenizer: Tokenizer;
	readonly model: CausalLanguageModel;
	readonly batches: TrainingBatches;
	readonly rowsPerEpoch: number;
	readonly shape: BatchShape;
	readonly bytesPerToken: number | undefined;
	readonly validation: ValidationData | undefined;
	readonly configHash: string;
	readonly dataHash: string;
	readonly resumeFrom: string | undefined;
	close(): void;
}

/** The configuration of a run folder. @throws InputError, FormatError, ConfigError */
export function readRunConfig(directory: string): RunConfig {
	const path = join(directory, CONFIG_FILE);
	return validate(runConfig, readJson(path, 'the configuration of a run'), path);
}

/**
 * Prepares a run, or its resumption.
 * @throws InputError where the folder holds a run already (or none to resume); ConfigError where the configuration differs
 * from the run's; FormatError where every checkpoint is damaged; and all that data and tokenizers throw
 */
export async function prepareRun(options: PrepareRunOptions): Promise<PreparedRun> {
	const { directory, resume = false, onEvent = () => {}, signal } = options;
	const base = resolve(options.baseDirectory ?? '.');
	const exists = existsSync(join(directory, CONFIG_FILE));
	if (!resume && (exists || listCheckpoints(directory).length > 0)) {
		throw new InputError('holds a run already', {
			where: directory,
			expected: 'a folder without config.json and checkpoints',
			fix: 'continue it with --resume, or choose another folder',
		});
	}
	if (resume && !exists) {
		throw new InputError('holds no run that could go on', {
			where: directory,
			expected: `a folder with ${CONFIG_FILE}`,
			fix: 'leave --resume out to start a run',
		});
	}
	// Compared before anything expensive happens; the vocabulary, where left open, is that of the run.
	const saved = resume ? readRunConfig(directory) : undefined;
	if (saved !== undefined) checkResume(saved, withVocabulary(options.config, saved.model.vocabSize));

	const tokenizer = await prepareTokenizer(options.config, directory, base, options);
	const config = withVocabulary(options.config, tokenizer.vocabSize);
	const vocabSize = config.model.vocabSize as number;
	if (vocabSize < tokenizer.vocabSize) {
		throw new ConfigError('is smaller than the tokenizer needs', {
			where: 'model.vocabSize',
			expected: `at least ${tokenizer.vocabSize}`,
			found: String(vocabSize),
			fix: 'leave model.vocabSize out',
		});
	}
	const model = buildDecoder({ ...config.model, vocabSize });
	const { data, training } = config;
	if (model.maxLength !== undefined && data.sequenceLength > model.maxLength) {
		throw new ConfigError('is longer than the model can read', {
			where: 'data.sequenceLength',
			expected: `at most model.maxLength ${model.maxLength}`,
			found: String(data.sequenceLength),
		});
	}
	const built = await prepareTokens(data, {
		directory: base,
		encoder: tokenizer,
		encoderFingerprint: fingerprintOf(tokenizer),
		onProgress: ({ bytesDone, bytesTotal }) =>
			onEvent({ type: 'prepare', what: 'tokenize', done: bytesDone, total: bytesTotal }),
		onSkip: (reason) => onEvent({ type: 'warning', message: `skipped: ${reason.message}` }),
		...(signal !== undefined && { signal }),
	});
	const train = openTokenDataset(built.directory, 'train');
	const held =
		built.manifest.splits.validation.tokens > 1 ? openTokenDataset(built.directory, 'validation') : undefined;
	const packing = createPacking(data.packing, train, data.sequenceLength);
	const heldPacking = held && createPacking(data.packing, held, data.sequenceLength);
	const shape = { batchSize: training.batchSize, time: packing.time, segmented: packing.segmented };
	const resumeFrom = resume ? await checkpointToResume(directory, onEvent) : undefined;
	if (!resume) writeFileAtomic(join(directory, CONFIG_FILE), `${JSON.stringify(config, null, '\t')}\n`);
	return {
		config,
		tokenizer,
		model,
		batches: new BatchStream({ packing, batchSize: shape.batchSize, seed: training.seed, shuffle: data.shuffle }),
		rowsPerEpoch: packing.rowCount,
		shape,
		bytesPerToken: bytesPerToken(train),
		validation: heldPacking && {
			batches: () => sequentialBatches(heldPacking, shape.batchSize),
			bytesPerToken: held && bytesPerToken(held),
		},
		configHash: configHash(config),
		dataHash: dataHashOf(built.manifest),
		resumeFrom,
		close: () => {
			train.close();
			held?.close();
		},
	};
}

function withVocabulary(config: RunConfig, vocabSize: number | undefined): RunConfig {
	return config.model.vocabSize !== undefined || vocabSize === undefined
		? config
		: { ...config, model: { ...config.model, vocabSize } };
}

function bytesPerToken({ byteCount, tokenCount }: TokenDataset): number | undefined {
	return tokenCount === 0 ? undefined : byteCount / tokenCount;
}

/** Of the tokens themselves: copies of the corpus elsewhere, or with other times, are the same data. */
function dataHashOf({ splits }: BuiltShards['manifest']): string {
	const { shards, index } = splits.train;
	return createHash('sha256')
		.update([...shards, index].map(({ sha256 }) => sha256).join())
		.digest('hex');
}

function fingerprintOf(tokenizer: Tokenizer): string {
	return createHash('sha256').update(JSON.stringify(tokenizer.toJson())).digest('hex');
}

/** The run's own tokenizer.json if there is one, else the configured one, trained where asked for. */
async function prepareTokenizer(
	{ tokenizer: config, data }: RunConfig,
	directory: string,
	base: string,
	{ resume = false, onEvent = () => {}, signal }: PrepareRunOptions,
): Promise<Tokenizer> {
	const own = join(directory, TOKENIZER_FILE);
	if (resume && existsSync(own)) return Tokenizer.fromFile(own);
	let tokenizer: Tokenizer;
	if (config.kind === 'file') tokenizer = Tokenizer.fromFile(resolve(base, config.path));
	else {
		const { kind: _kind, ...settings } = config;
		const source = openSource(data.source, { directory: base });
		const texts = (async function* () {
			for await (const { text } of source.documents()) yield text;
		})();
		({ tokenizer } = await trainBpe(texts, settings, {
			onProgress: ({ phase, done, total }) =>
				onEvent({ type: 'prepare', what: `tokenizer: ${phase}`, done, ...(total !== undefined && { total }) }),
			...(signal !== undefined && { signal }),
		}));
	}
	tokenizer.save(directory);
	return tokenizer;
}

async function checkpointToResume(
	directory: string,
	onEvent: (event: TrainingEvent) => void,
): Promise<string | undefined> {
	const found = await latestCheckpoint(directory, ({ step, problems }) => {
		const message = `the checkpoint step-${step} is damaged (${problems.join('; ')}); going back to the one before`;
		onEvent({ type: 'warning', message });
	});
	if (found === undefined) {
		onEvent({ type: 'warning', message: 'the run has no checkpoint yet; starting from its beginning' });
	}
	return found?.path;
}

/** Version of this package. */
export function libraryVersion(): string {
	const path = new URL('../../package.json', import.meta.url);
	return String((JSON.parse(readFileSync(path, 'utf8')) as { version: unknown }).version);
}
