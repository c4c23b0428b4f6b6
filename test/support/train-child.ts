/** @file A process that trains a tiny model and tells its events on stdout; tests kill it. Arguments: folder, steps, resume. */
import { writeSync } from 'node:fs';
import { join } from 'node:path';
import { ModelsmithError } from '../../src/base/errors.ts';
import { resolveConfig } from '../../src/training/config.ts';
import { runTraining } from '../../src/training/run-training.ts';

const [folder = '', steps = '10', resume] = process.argv.slice(2);
const { config, problems } = resolveConfig({
	model: { dim: 16, layers: 2, heads: 2, maxLength: 32 },
	tokenizer: { kind: 'bpe', vocabSize: 280 },
	data: {
		source: { kind: 'text', path: 'corpus.txt' },
		validationSource: { kind: 'text', path: 'held-out.txt' },
		sequenceLength: 16,
		cacheDirectory: 'tokens',
	},
	training: {
		steps: Number(steps),
		batchSize: 2,
		accumulation: 2,
		ema: { decay: 0.9 },
		validation: { every: 10 },
		checkpoints: { every: 7, keep: 3 },
		seed: 3,
		threads: 2,
	},
});
for (const problem of problems) process.stderr.write(`${problem.message}\n`);
if (config === undefined) process.exit(2);
const controller = new AbortController();
process.on('SIGINT', () => {
	if (controller.signal.aborted) process.exit(130);
	controller.abort();
});
try {
	await runTraining({
		config,
		directory: join(folder, 'run'),
		baseDirectory: folder,
		resume: resume === 'resume',
		signal: controller.signal,
		onEvent: (event) => void writeSync(1, `${JSON.stringify(event)}\n`),
	});
} catch (error) {
	if (!(error instanceof ModelsmithError)) throw error;
	process.stderr.write(`${error.code}: ${error.message}\n`);
	process.exitCode = error.exitCode;
}
