/** @file `modelsmith train CONFIG`. */
import { type Command, Option } from 'commander';
import { DEVICE_CHOICES, integer, repeated, text } from '../arguments.ts';
import type { Cli, Outcome } from '../cli.ts';
import type { Run } from '../registry.ts';

interface Options {
	readonly set?: string[];
	readonly out?: string;
	readonly resume?: true;
	readonly device?: string;
	readonly threads?: number;
	readonly profile?: true;
}

export function configure(command: Command, run: Run): void {
	command
		.description(
			'Train the model a configuration describes. The run is a folder with config.json, tokenizer.json, metrics.jsonl, samples.jsonl and checkpoints.',
		)
		.argument('<config>', 'a configuration (.yaml, .json, .ts, .js); with --resume also the folder of a run')
		.option('--out <folder>', 'run folder (default: runs/<name of the config>)', text)
		.option('--set <path=value>', 'change a setting, e.g. --set training.steps=1000; may be repeated', repeated(text))
		.option('--resume', 'go on from the last checkpoint of the run folder')
		.addOption(new Option('--device <device>', 'where to compute').choices([...DEVICE_CHOICES]))
		.option('--threads <n>', 'threads of one operation (default: as many as cores)', integer(1, 1024))
		.option(
			'--profile',
			'show where the time of the first steps goes; writes profile.json (a Chrome trace) into the run',
		)
		.addHelpText(
			'after',
			`
Ctrl-C finishes the step, writes a checkpoint and exits with 130; a second Ctrl-C exits at once.

Examples:
  modelsmith init my.yaml
  modelsmith train my.yaml --set model.layers=6 --set training.optimizer.learningRate=1e-3
  modelsmith train runs/my --resume`,
		)
		.action((config: string, options: Options) => run((cli) => train(cli, config, options)));
}

async function train(cli: Cli, path: string, options: Options): Promise<Outcome | undefined> {
	const { existsSync } = await import('node:fs');
	const { basename, extname, join, resolve } = await import('node:path');
	const { loadRunConfig } = await import('../config/run-config.ts');
	const { drawLossCurve } = await import('../loss-curve.ts');
	const { nextCommand } = await import('../next-command.ts');
	const { originOf, trainRun } = await import('../train-run.ts');
	const { formatDuration, formatLoss, formatCount } = await import('../terminal/format.ts');
	const { wantsAscii } = await import('../terminal/plot.ts');
	const sets = [
		...(options.set ?? []),
		...(options.device === undefined ? [] : [`training.device=${options.device}`]),
		...(options.threads === undefined ? [] : [`training.threads=${options.threads}`]),
	];
	const { config, path: file, directory: configDirectory } = await loadRunConfig(path, sets);
	const isRun = basename(file) === 'config.json' && existsSync(join(configDirectory, 'checkpoints'));
	const directory = resolve(
		options.out ?? (isRun && options.resume === true ? configDirectory : join('runs', basename(file, extname(file)))),
	);
	const { summary, view, curve } = await trainRun(cli, {
		config,
		directory,
		baseDirectory: isRun ? originOf(configDirectory) : configDirectory,
		resume: options.resume === true,
		profile: options.profile === true,
	});
	cli.result({
		run: directory,
		...summary,
		parameters: view.parameters,
		tokensPerSecond: view.tokensPerSecond,
		...(view.validation !== undefined && { validation: view.validation }),
	});
	if (cli.json) return undefined;
	if (curve.length > 1) cli.print(`\n${drawLossCurve(curve, cli.host.stdout.columns, wantsAscii(cli.host.env))}\n`);
	const speed = view.tokensPerSecond === undefined ? '' : `, ${formatCount(view.tokensPerSecond)} tokens/s`;
	const loss = summary.loss === undefined ? '' : `, loss ${formatLoss(summary.loss)}`;
	cli.print(
		`${summary.reason === 'early-stop' ? 'stopped early' : 'finished'} after ${summary.step} steps in ${formatDuration(summary.seconds)}${loss}${speed}`,
	);
	if (summary.best !== undefined) {
		cli.print(`best validation loss ${formatLoss(summary.best.loss)} at step ${summary.best.step}`);
	}
	cli.print(
		`saved in ${directory}\n\nTry it:\n  ${nextCommand(cli, 'generate', options.out ?? directory, '--prompt', '...')}`,
	);
	return undefined;
}
