/** @file Trains a tiny model on a few lines and lets it write: `npm run example -- examples/train-and-generate.ts`. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createDecoderSession } from 'modelsmith/generation/decoder-session';
import { generateStream } from 'modelsmith/generation/generate';
import { loadRun } from 'modelsmith/generation/load-run';
import { runConfig } from 'modelsmith/training/config';
import { runTraining } from 'modelsmith/training/run-training';

const folder = mkdtempSync(join(tmpdir(), 'modelsmith-example-'));
const steps = Number(process.env.EXAMPLE_STEPS ?? 120);
try {
	const line = 'The old house stood at the end of the lane, and the lane ended at the sea.\n';
	writeFileSync(join(folder, 'text.txt'), line.repeat(200));

	const summary = await runTraining({
		// the same keys as in a YAML file; everything left out has a default
		config: runConfig.parse({
			model: { architecture: 'decoder', dim: 32, layers: 2, heads: 2, maxLength: 64, norm: { kind: 'rms' } },
			tokenizer: { kind: 'bpe', vocabSize: 280 },
			data: { source: { kind: 'text', path: 'text.txt' }, sequenceLength: 32, validationFraction: 0 },
			training: {
				steps,
				batchSize: 8,
				optimizer: { kind: 'adamw', learningRate: 0.01 },
				schedule: { kind: 'cosine', warmup: 1 },
			},
		}),
		directory: join(folder, 'run'),
		baseDirectory: folder,
		onEvent: (event) => {
			if (event.type === 'step' && event.step % 20 === 0)
				console.log(`step ${event.step}: loss ${event.loss.toFixed(3)}`);
		},
	});
	console.log(`trained ${summary.step} steps`);

	const run = await loadRun(join(folder, 'run'));
	const session = await createDecoderSession(run.model, run.weights);
	process.stdout.write('The old');
	for await (const { text } of generateStream({
		session,
		tokenizer: run.tokenizer,
		prompt: 'The old',
		maxTokens: 40,
		sampling: { temperature: 0 },
	})) {
		process.stdout.write(text);
	}
	process.stdout.write('\n');
	await session.dispose();
} finally {
	rmSync(folder, { recursive: true });
}
