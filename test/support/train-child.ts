/** @file A process that trains a tiny model and tells its events on stdout; tests kill it. Arguments: folder, steps, resume. */
import { writeSync } from 'node:fs';
import { join } from 'node:path';
import { ModelsmithError } from '../../src/base/errors.ts';
import { runTraining } from '../../src/training/run-training.ts';
import { tinyRun } from './tiny-run.ts';

const [folder = '', steps = '10', resume] = process.argv.slice(2);
const controller = new AbortController();
process.on('SIGINT', () => {
	if (controller.signal.aborted) process.exit(130);
	controller.abort();
});
try {
	await runTraining({
		config: tinyRun(Number(steps)),
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
