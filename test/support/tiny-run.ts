/** @file The run that tests of stopping and resuming train. */
import { type RunConfig, resolveConfig } from '../../src/training/config.ts';

/** A tiny model on corpus.txt with held-out.txt for validation, both relative to the base directory of the run. */
export function tinyRun(steps: number): RunConfig {
	const { config, problems } = resolveConfig({
		model: { dim: 16, layers: 2, heads: 2, maxLength: 32, dropout: 0.1 },
		tokenizer: { kind: 'bpe', vocabSize: 280 },
		data: {
			source: { kind: 'text', path: 'corpus.txt' },
			validationSource: { kind: 'text', path: 'held-out.txt' },
			sequenceLength: 16,
			cacheDirectory: 'tokens',
		},
		training: {
			steps: steps,
			batchSize: 2,
			accumulation: 2,
			ema: { decay: 0.9 },
			validation: { every: 10 },
			checkpoints: { every: 7, keep: 3 },
			seed: 3,
			threads: 2,
		},
	});
	if (config === undefined) throw problems[0];
	return config;
}
