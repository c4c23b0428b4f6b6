/** @file The configuration of a run, from a file and the flags of a command. */
import { existsSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { ConfigError } from '../../base/errors.ts';
import { buildModel, type Model, type ModelConfig } from '../../models/model.ts';
import { Tokenizer } from '../../tokenizers/tokenizer.ts';
import { contradictions, type RunConfig, runConfig } from '../../training/config.ts';
import { checkConfig } from './check.ts';
import { loadConfig, type RawConfig } from './load.ts';
import { applyOverrides, formatPath, type Override, parseOverride } from './overrides.ts';

export interface LoadedRunConfig {
	readonly config: RunConfig;
	/** The file it came from. */
	readonly path: string;
	/** Where relative paths in it start. */
	readonly directory: string;
	/** The model it describes, with the vocabulary the run will have; a trained one may come out smaller. */
	readonly model: Model;
}

/**
 * Reads, changes and checks the configuration of a run.
 * @param path a configuration file, or the folder of a run (its config.json)
 * @param sets `path=value` of every --set
 * @throws ConfigError with every problem found
 */
export async function loadRunConfig(path: string, sets: readonly string[]): Promise<LoadedRunConfig> {
	const saved = join(path, 'config.json');
	const file = isFolder(path) && existsSync(saved) ? saved : path;
	const overrides = sets.map(parseOverride);
	const raw = await loadConfig(file);
	const config = checkConfig(runConfig, raw, applyOverrides(raw.value, overrides), overrides);
	const problems = contradictions(config);
	if (problems.length > 0) throw locate(problems, raw, overrides);
	const directory = dirname(resolve(file));
	try {
		// built here as well, so that parts that do not fit are found before any work is done
		return { config, path: file, directory, model: buildModel(withVocabulary(config, directory)) };
	} catch (error) {
		if (error instanceof ConfigError && error.details.where?.startsWith('model')) throw locate([error], raw, overrides);
		throw error;
	}
}

function withVocabulary({ model, tokenizer }: RunConfig, directory: string): ModelConfig {
	const vocabSize =
		model.vocabSize ??
		(tokenizer.kind === 'bpe' ? tokenizer.vocabSize : Tokenizer.fromFile(resolve(directory, tokenizer.path)).vocabSize);
	return { ...model, vocabSize };
}

function isFolder(path: string): boolean {
	return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

/** Contradictions between keys know the key; the file and the line are added here. */
function locate(problems: readonly ConfigError[], raw: RawConfig, overrides: readonly Override[]): ConfigError {
	const located = problems.map(({ message, details }) => {
		const { where = '', expected, found, fix } = details;
		const keys = where.split('.');
		const override = overrides.findLast(({ path }) => formatPath(path) === where);
		const position = raw.locate(keys);
		const file = position === undefined ? raw.path : `${raw.path}:${position.line}:${position.column}`;
		const place = override === undefined ? `${file}: ${where}` : `--set ${override.text}: ${where}`;
		const summary = (message.split('\n')[0] as string).replace(`${where}: `, '');
		return new ConfigError(summary, {
			where: place,
			...(expected !== undefined && { expected }),
			...(found !== undefined && { found }),
			...(fix !== undefined && { fix }),
		});
	});
	const [only] = located;
	if (located.length === 1 && only !== undefined) return only;
	const lines = located.map(({ message }) => `  ${message.replaceAll('\n', '\n  ')}`);
	return new ConfigError(`${located.length} problems\n${lines.join('\n')}`, { where: raw.path });
}
