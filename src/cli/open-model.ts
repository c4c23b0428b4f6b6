/** @file A trained model for generate, chat, eval and export: a run folder or one of its checkpoints. */
import type { Command } from 'commander';
import { InvalidArgumentError, Option } from 'commander';
import type { DecoderSession } from '../generation/decoder-session.ts';
import type { LoadedRun } from '../generation/load-run.ts';
import { DEVICE_CHOICES, integer } from './arguments.ts';
import type { Cli } from './cli.ts';

export interface ModelOptions {
	readonly checkpoint?: 'best' | 'last' | number;
	readonly device?: (typeof DEVICE_CHOICES)[number];
	readonly threads?: number;
}

/** Adds the argument and the options that choose a model. */
export function addModelOptions(command: Command, { engine = true } = {}): Command {
	command
		.argument('<run>', 'the folder of a run, or of one of its checkpoints')
		.option(
			'--checkpoint <which>',
			'last, best (lowest validation loss), or the number of a step (default: last)',
			(text) => {
				if (text === 'best' || text === 'last') return text;
				if (!/^\d{1,12}$/.test(text)) throw new InvalidArgumentError('Expected last, best, or the number of a step.');
				return Number(text);
			},
		);
	if (!engine) return command;
	return command
		.addOption(new Option('--device <device>', 'where to compute (default: cpu)').choices([...DEVICE_CHOICES]))
		.option('--threads <n>', 'threads of one operation (default: as many as cores)', integer(1, 1024));
}

/** Reads a model. @throws InputError, FormatError naming what is missing or damaged */
export async function openModel(cli: Cli, path: string, { checkpoint }: ModelOptions): Promise<LoadedRun> {
	const { loadRun } = await import('../generation/load-run.ts');
	return loadRun(path, {
		...(checkpoint !== undefined && { checkpoint }),
		onWarning: (message) => cli.note(`${cli.colors.yellow('warning:')} ${message}`),
	});
}

/** Compiles a model that was read. @throws DeviceError where the device is missing */
export async function openSession(run: LoadedRun, { device, threads }: ModelOptions): Promise<DecoderSession> {
	const { createDecoderSession } = await import('../generation/decoder-session.ts');
	return createDecoderSession(run.model, run.weights, {
		...(device !== undefined && { device }),
		...(threads !== undefined && { threads }),
	});
}

/** What --json says about the model that answered. */
export function describeModel({ directory, checkpoint }: LoadedRun): Record<string, unknown> {
	return { run: directory, step: checkpoint.step ?? null, averaged: checkpoint.averaged };
}
