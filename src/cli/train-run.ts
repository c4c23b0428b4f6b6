/** @file What `train` and `quickstart` share: run a configuration in a worker, show it, say how it ended. */
import { existsSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { z } from 'zod';
import { InputError } from '../base/errors.ts';
import { readJson, writeFileAtomic } from '../base/files.ts';
import type { RunConfig } from '../training/config.ts';
import type { TrainingSummary } from '../training/events.ts';
import { runTraining } from '../training/run-training.ts';
import type { Cli } from './cli.ts';
import { interruptible } from './interrupt.ts';
import { readLossCurve } from './loss-curve.ts';
import type { Point } from './terminal/plot.ts';
import { TrainingView } from './training-view.ts';

export interface TrainOptions {
	readonly config: RunConfig;
	/** Run folder. */
	readonly directory: string;
	/** Where relative paths of the configuration start. */
	readonly baseDirectory: string;
	readonly resume: boolean;
	/** Record where the time of the first steps goes. */
	readonly profile?: boolean;
}

export interface TrainOutcome {
	readonly summary: TrainingSummary;
	readonly view: TrainingView;
	readonly curve: readonly Point[];
}

/**
 * Trains and shows it.
 * @throws InterruptedError after Ctrl-C, when the checkpoint is written; all that runTraining throws
 */
export async function trainRun(cli: Cli, options: TrainOptions): Promise<TrainOutcome> {
	const { directory, baseDirectory } = options;
	const view = new TrainingView(cli);
	try {
		const summary = await interruptible(cli, 'finishing the step and writing a checkpoint', (signal) =>
			runTraining({
				...options,
				signal,
				samplerModule: new URL(
					import.meta.url.endsWith('.ts') ? './training-sampler.ts' : './training-sampler.js',
					import.meta.url,
				).href,
				onEvent(event) {
					if (event.type === 'start' && !options.resume) writeOrigin(directory, baseDirectory);
					view.show(event);
				},
			}),
		);
		view.finish();
		return { summary, view, curve: await readLossCurve(directory) };
	} catch (error) {
		view.abandon();
		throw error;
	}
}

const ORIGIN_FILE = 'origin.json';
const origin = z.object({ baseDirectory: z.string() });

/** Remembers, relative to the run, where the paths of its configuration start. */
function writeOrigin(directory: string, baseDirectory: string): void {
	const content = { baseDirectory: relative(directory, baseDirectory) || '.' };
	writeFileAtomic(join(directory, ORIGIN_FILE), `${JSON.stringify(content)}\n`);
}

/** Where relative paths in a run's config.json start. @throws InputError when origin.json is damaged */
export function originOf(run: string): string {
	const path = join(run, ORIGIN_FILE);
	if (!existsSync(path)) return process.cwd();
	const parsed = origin.safeParse(readJson(path, 'where a run was started'));
	if (!parsed.success) {
		throw new InputError('is damaged', {
			where: path,
			expected: '{ "baseDirectory": "..." }',
			fix: 'delete it; relative paths of the configuration then start at the working directory',
		});
	}
	return resolve(run, parsed.data.baseDirectory);
}
