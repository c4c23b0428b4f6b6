/** @file Opens what training left behind: a run folder, or one checkpoint folder, as a model ready to generate. */
import { existsSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { z } from 'zod';
import { FormatError, InputError } from '../base/errors.ts';
import { readJson, sha256File, unreadable } from '../base/files.ts';
import type { HostTensor } from '../base/host-tensor.ts';
import { validate } from '../base/validate.ts';
import { openSafetensors } from '../formats/safetensors.ts';
import type { CausalLanguageModel } from '../models/language-model.ts';
import { buildModel, modelConfig } from '../models/model.ts';
import { savedNames, stackParameters } from '../nn/parameters.ts';
import { Tokenizer } from '../tokenizers/tokenizer.ts';
import { EMA_FILE, MANIFEST_FILE, MODEL_FILE, manifest, STATE_FILE } from '../training/checkpoint-format.ts';
import { type FoundCheckpoint, listCheckpoints, readState } from '../training/checkpoints.ts';
import { ChatTemplate } from './chat-template.ts';

const FILES = {
	config: 'config.json',
	tokenizer: 'tokenizer.json',
	tokenizerConfig: 'tokenizer_config.json',
} as const;

export interface LoadRunOptions {
	/** `last` (default), `best` (lowest validation loss), or the number of a step. Not for a checkpoint folder. */
	readonly checkpoint?: 'best' | 'last' | number;
	/** Take the moving average of the weights. Default: where the checkpoint has one. */
	readonly averaged?: boolean;
	/** Told of damaged checkpoints that are passed over. */
	readonly onWarning?: (message: string) => void;
}

export interface LoadedRun {
	readonly model: CausalLanguageModel;
	/** By graph input name, for createDecoderSession and startWorkerSession. */
	readonly weights: ReadonlyMap<string, HostTensor>;
	readonly tokenizer: Tokenizer;
	readonly chatTemplate: ChatTemplate | undefined;
	/** Content of config.json. */
	readonly config: Readonly<Record<string, unknown>>;
	/** The run folder, or the checkpoint folder where that stands alone. */
	readonly directory: string;
	/** `step` is undefined for a folder that is not named step-N. */
	readonly checkpoint: { readonly step: number | undefined; readonly path: string; readonly averaged: boolean };
}

/** A run's configuration holds the model's under `model`; a saved model has it at the top. */
const savedConfig = z.record(z.string(), z.unknown());
/**
 * Loads a trained model.
 * @param path a run folder (config.json, tokenizer.json, checkpoints/step-N/), one of its checkpoints, or a folder that
 * holds config.json, tokenizer.json and model.safetensors side by side
 * @throws InputError saying which file is missing; FormatError for a damaged one; ConfigError where the configuration is
 * not valid or does not fit the weights
 */
export async function loadRun(path: string, options: LoadRunOptions = {}): Promise<LoadedRun> {
	const place = resolve(path);
	requireFolder(place, path);
	const single = existsSync(join(place, MODEL_FILE));
	if (single && options.checkpoint !== undefined) {
		throw new InputError('is one checkpoint: there is none to choose', {
			where: path,
			expected: 'a run folder, or no choice of a checkpoint',
		});
	}
	const directory = single ? homeOf(place, path) : place;
	const config = validate(
		savedConfig,
		readRequired(directory, FILES.config, 'the configuration of a run'),
		FILES.config,
	);
	const model = buildCausal(config, join(directory, FILES.config));
	const tokenizer = loadTokenizer(directory);
	const folder = single ? place : await chooseCheckpoint(directory, options);
	if (single) await requireSound(folder);
	const averaged = options.averaged ?? existsSync(join(folder, EMA_FILE));
	const weights = readWeights(join(folder, averaged ? EMA_FILE : MODEL_FILE), model);
	if (tokenizer.vocabSize > model.vocabSize) {
		throw new FormatError('the tokenizer has more tokens than the model', {
			where: directory,
			expected: `at most ${model.vocabSize}`,
			found: `${tokenizer.vocabSize}`,
			fix: 'use the tokenizer.json that the model was trained with',
		});
	}
	const templateFile = join(directory, FILES.tokenizerConfig);
	const chatTemplate = existsSync(templateFile)
		? ChatTemplate.fromTokenizerConfig(readJson(templateFile, 'the settings of a tokenizer'), templateFile)
		: undefined;
	const checkpoint = { step: stepOf(folder), path: folder, averaged };
	return { model, weights, tokenizer, chatTemplate, config, directory, checkpoint };
}

function requireFolder(place: string, path: string): void {
	let isFolder: boolean;
	try {
		isFolder = statSync(place).isDirectory();
	} catch (error) {
		throw unreadable(path, 'the folder of a run', error);
	}
	if (!isFolder) {
		throw new InputError('is not a folder', {
			where: path,
			expected: 'the folder of a run (with config.json and checkpoints/) or of a checkpoint',
		});
	}
}

/** Where config.json and tokenizer.json of a checkpoint are: beside the weights, or in the run it belongs to. */
function homeOf(checkpoint: string, path: string): string {
	const run = dirname(dirname(checkpoint));
	const home = [checkpoint, run].find((folder) => existsSync(join(folder, FILES.config)));
	if (home !== undefined) return home;
	throw new InputError(`has weights but no ${FILES.config}`, {
		where: path,
		expected: `${FILES.config} beside them, or in ${run}`,
		fix: 'give the run folder, or copy config.json and tokenizer.json beside the weights',
	});
}

function readRequired(directory: string, file: string, what: string): unknown {
	if (existsSync(join(directory, file))) return readJson(join(directory, file), what);
	throw new InputError(`has no ${file}`, {
		where: directory,
		expected: `a run folder: ${FILES.config}, ${FILES.tokenizer}, checkpoints/step-N/${MODEL_FILE}`,
		fix: 'give the folder that modelsmith train wrote',
	});
}

function buildCausal(config: Readonly<Record<string, unknown>>, where: string): CausalLanguageModel {
	const settings = validate(modelConfig, config.model ?? config, `${where}: model`);
	const model = buildModel(settings);
	if (!('step' in model) || model.kind !== 'causal') {
		throw new InputError('the model does not write text', {
			where,
			expected: 'model.architecture decoder',
			found: settings.architecture,
		});
	}
	return model;
}

function loadTokenizer(directory: string): Tokenizer {
	if (existsSync(join(directory, FILES.tokenizer))) return Tokenizer.fromFile(directory);
	throw new InputError(`has no ${FILES.tokenizer}`, {
		where: directory,
		expected: `${FILES.tokenizer} beside ${FILES.config}`,
		fix: 'copy the tokenizer.json that the model was trained with into the folder',
	});
}

/** The folder of the wanted checkpoint; of `last`, the latest sound one. */
async function chooseCheckpoint(run: string, { checkpoint = 'last', onWarning }: LoadRunOptions): Promise<string> {
	const found = listCheckpoints(run);
	const steps = found.map(({ step }) => step).join(', ');
	if (found.length === 0) {
		throw new InputError('has no checkpoint', {
			where: run,
			expected: `checkpoints/step-N/${MODEL_FILE}`,
			fix: 'train first, or wait for the first checkpoint of the run',
		});
	}
	if (checkpoint === 'last') {
		const problems: string[] = [];
		for (const { path } of found) {
			const problem = await damage(path);
			if (problem === undefined) return path;
			problems.push(`${basename(path)}: ${problem}`);
			onWarning?.(`${path} is damaged (${problem}); looking at the one before`);
		}
		throw new FormatError('every checkpoint is damaged', { where: run, found: problems.join('; ') });
	}
	const step = checkpoint === 'best' ? bestStep(found, run) : checkpoint;
	const chosen = found.find((one) => one.step === step);
	if (chosen === undefined) {
		throw new InputError(`has no checkpoint of step ${step}`, { where: run, expected: `one of ${steps}` });
	}
	await requireSound(chosen.path);
	return chosen.path;
}

function stepOf(path: string): number | undefined {
	const match = /^step-(\d{1,15})$/.exec(basename(path));
	return match === null ? undefined : Number(match[1]);
}

/** The latest checkpoint's state knows which one was best. */
function bestStep(found: readonly FoundCheckpoint[], run: string): number {
	for (const { path } of found) {
		const best = existsSync(join(path, STATE_FILE)) ? readState(path).best : null;
		if (best !== null) return best.step;
	}
	throw new InputError('does not say which checkpoint is best', {
		where: run,
		expected: 'a run with validation',
		fix: 'choose "last" or the number of a step',
	});
}

async function requireSound(path: string): Promise<void> {
	const problem = await damage(path);
	if (problem === undefined) return;
	throw new FormatError('the checkpoint is damaged', {
		where: path,
		found: problem,
		fix: 'choose another checkpoint of the run',
	});
}

/** What is wrong with the weights of a checkpoint, by its manifest; undefined when nothing is, or it has none. */
async function damage(path: string): Promise<string | undefined> {
	if (!existsSync(join(path, MODEL_FILE))) return `${MODEL_FILE} is missing`;
	const file = join(path, MANIFEST_FILE);
	if (!existsSync(file)) return undefined;
	let contents: unknown;
	try {
		contents = readJson(file, 'the manifest of a checkpoint');
	} catch {
		return `${MANIFEST_FILE} cannot be read`;
	}
	const parsed = manifest.safeParse(contents);
	if (!parsed.success) return `${MANIFEST_FILE} is not a manifest`;
	for (const name of [MODEL_FILE, EMA_FILE]) {
		const expected = parsed.data.files[name];
		if (expected === undefined) continue;
		if (!existsSync(join(path, name))) return `${name} is missing`;
		if (statSync(join(path, name)).size !== expected.byteLength)
			return `${name} has another size than the manifest says`;
		if ((await sha256File(join(path, name))) !== expected.sha256) return `${name} does not match its checksum`;
	}
	return undefined;
}

/** Reads tensor by tensor; names that only the file has are refused, as they mean another model. */
function readWeights(path: string, model: CausalLanguageModel): Map<string, HostTensor> {
	const file = openSafetensors(path);
	try {
		const specs = model.parameters.all;
		const known = new Set(specs.flatMap(savedNames));
		const strange = file.names.find((name) => !known.has(name));
		if (strange !== undefined) {
			throw new FormatError('has a tensor that the model does not have', {
				where: path,
				found: strange,
				fix: 'the weights belong to another configuration',
			});
		}
		return stackParameters(specs, { get: (name) => (file.has(name) ? file.read(name) : undefined) });
	} finally {
		file.close();
	}
}
