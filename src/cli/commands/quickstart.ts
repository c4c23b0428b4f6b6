/** @file `modelsmith quickstart`, which `npm start` runs: a small GPT learns Moby Dick and writes. */
import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import { integer, text } from '../arguments.ts';
import type { Cli, Outcome } from '../cli.ts';
import type { Run } from '../registry.ts';

interface Options {
	readonly steps?: number;
	readonly out?: string;
}

const PROMPT = 'The whale';
const SAMPLE_TOKENS = 120;

export function configure(command: Command, run: Run): void {
	command
		.description(
			'Train a small GPT on Moby Dick with the configuration that `modelsmith init` writes, show how it learns, and let it write. Takes a few minutes on two CPU cores. Every call makes a new run folder; nothing is overwritten.',
		)
		.option('--steps <n>', 'train shorter or longer', integer(1, 10_000_000))
		.option('--out <folder>', 'run folder (default: the first free of runs/moby-dick, runs/moby-dick-2, ...)', text)
		.action((options: Options) => run((cli) => quickstart(cli, options)));
}

async function quickstart(cli: Cli, options: Options): Promise<Outcome | undefined> {
	const { join, relative } = await import('node:path');
	const { parse } = await import('yaml');
	const { generate } = await import('../../generation/generate.ts');
	const { resolveConfig } = await import('../../training/config.ts');
	const { drawLossCurve } = await import('../loss-curve.ts');
	const { openModel, openSession } = await import('../open-model.ts');
	const { starterConfig } = await import('../starter-config.ts');
	const { formatCount, formatDuration, formatLoss } = await import('../terminal/format.ts');
	const { wantsAscii } = await import('../terminal/plot.ts');
	const { safeText } = await import('../terminal/safe-text.ts');
	const { nextCommand } = await import('../next-command.ts');
	const { trainRun } = await import('../train-run.ts');
	const { SCHEMA_URL } = await import('../config/schema.ts');
	const started = performance.now();
	const raw = parse(starterConfig(SCHEMA_URL)) as { training: { steps: number; schedule: { warmup: number } } };
	if (options.steps !== undefined) {
		raw.training.steps = options.steps;
		raw.training.schedule.warmup = Math.min(raw.training.schedule.warmup, options.steps - 1);
	}
	const { config, problems } = resolveConfig(raw);
	if (config === undefined) throw problems[0];
	const directory = options.out ?? freeFolder(join('runs', 'moby-dick'));
	cli.note(
		`A small GPT learns to write from Moby Dick (${config.training.steps} steps). Ctrl-C stops it and keeps what it has learnt.`,
	);
	const { summary, view, curve } = await trainRun(cli, {
		config,
		directory,
		baseDirectory: process.cwd(),
		resume: false,
	}).catch((error: unknown) => {
		cli.note(`To go on with it later:  ${nextCommand(cli, 'train', directory, '--resume')}`);
		throw error;
	});
	const model = await openModel(cli, directory, {});
	const session = await openSession(model, {});
	const sample = await generate({
		session,
		tokenizer: model.tokenizer,
		prompt: PROMPT,
		maxTokens: SAMPLE_TOKENS,
		sampling: { temperature: 0.8, topP: 0.95 },
		overflow: 'slide',
		seed: 1,
	});
	await session.dispose();
	const seconds = (performance.now() - started) / 1000;
	const text = `${PROMPT}${sample.text}`;
	cli.result({
		run: directory,
		...summary,
		parameters: view.parameters,
		tokensPerSecond: view.tokensPerSecond,
		...(view.validation !== undefined && { validation: view.validation }),
		sample: text,
		totalSeconds: seconds,
	});
	if (cli.json) return undefined;
	const { colors } = cli;
	cli.print(`\n${drawLossCurve(curve, cli.host.stdout.columns, wantsAscii(cli.host.env))}`);
	cli.print(`\n${colors.bold('What it writes now:')}\n${safeText(text)}\n`);
	const validation =
		view.validation === undefined
			? ''
			: `, validation loss ${formatLoss(view.validation.loss)}${view.validation.bitsPerByte === undefined ? '' : ` (${formatLoss(view.validation.bitsPerByte)} bits a byte)`}`;
	cli.print(
		`${formatCount(view.parameters)} parameters, ${summary.step} steps, ${formatCount(view.tokensPerSecond ?? 0)} tokens/s, ${formatDuration(seconds)} in all${validation}`,
	);
	const place = relative(process.cwd(), directory) || directory;
	cli.print(`Saved in ${place}\n\n${colors.bold('What to try next:')}`);
	for (const [args, what] of [
		[['generate', place, '--prompt', 'Call me', '--temperature', '0.7'], 'more text'],
		[['chat', place], 'write together with it'],
		[['eval', place], 'perplexity and bits per byte'],
		[['export', place, '--format', 'onnx', '--out', 'exported'], 'ONNX for Node, Python, browsers'],
		[['init', 'my.yaml'], 'a config to train on your own text'],
	] as const) {
		cli.print(`  ${nextCommand(cli, ...args).padEnd(84)} ${colors.dim(what)}`);
	}
	return undefined;
}

/** The first of NAME, NAME-2, NAME-3 ... that is not there. */
function freeFolder(name: string): string {
	for (let number = 1; ; number++) {
		const folder = number === 1 ? name : `${name}-${number}`;
		if (!existsSync(folder)) return folder;
	}
}
