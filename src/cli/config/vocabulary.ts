/** @file The model of a configuration before its tokenizer was trained. */
import { resolve } from 'node:path';
import type { ModelConfig } from '../../models/model.ts';
import { Tokenizer } from '../../tokenizers/tokenizer.ts';
import type { LoadedRunConfig } from './run-config.ts';

/**
 * The model with the vocabulary the run will have, filled in where the configuration leaves it open. A trained
 * vocabulary may come out smaller when the text is small.
 * @throws InputError when a tokenizer file is named and cannot be read
 */
export function modelOf({ config, directory }: LoadedRunConfig): ModelConfig {
	const { model, tokenizer } = config;
	const vocabSize =
		model.vocabSize ??
		(tokenizer.kind === 'bpe' ? tokenizer.vocabSize : Tokenizer.fromFile(resolve(directory, tokenizer.path)).vocabSize);
	return { ...model, vocabSize };
}
