/** @file `modelsmith eval RUN`: perplexity and bits per byte. */
import { type Command, Option } from 'commander';
import type { LoadedRun } from '../../generation/load-run.ts';
import { integer, text } from '../arguments.ts';
import type { Cli, Outcome } from '../cli.ts';
import { addModelOptions, describeModel, type ModelOptions, openModel, openSession } from '../open-model.ts';
import type { Run } from '../registry.ts';

const TASKS = ['perplexity', 'bits-per-byte'] as const;

interface Options extends ModelOptions {
	readonly task: string[];
	readonly data?: string[];
	readonly field?: string;
	readonly context?: number;
	readonly stride?: number;
	readonly maxTokens: number;
}

export function configure(command: Command, run: Run): void {
	addModelOptions(
		command.description(
			'Measure how well a model predicts text: perplexity of its tokens, and bits per byte, which is comparable between tokenizers.',
		),
	)
		.addOption(new Option('--task <name...>', 'what to measure').choices([...TASKS]).default([...TASKS], 'all'))
		.option(
			'--data <path...>',
			"text, .jsonl or .parquet files, folders or globs; or moby-dick (default: the run's validation split)",
		)
		.option('--field <name>', 'field (JSONL) or column (Parquet) with the text', text)
		.option('--context <n>', 'tokens the model reads at once (default: the length it was trained at)', integer(1))
		.option('--stride <n>', 'tokens scored in each window; smaller gives more context and takes longer', integer(1))
		.option('--max-tokens <n>', 'stop after this many tokens', integer(2), 1_000_000)
		.action((path: string, options: Options) => run((cli) => evaluate(cli, path, options)));
}

/** Validation during training used this window, so the numbers agree. */
function trainedLength({ config: { data }, model: { maxLength } }: LoadedRun): number | undefined {
	const length = (data as { readonly sequenceLength?: unknown } | undefined)?.sequenceLength;
	return typeof length === 'number' ? Math.min(length, maxLength ?? length) : undefined;
}

async function evaluate(cli: Cli, path: string, options: Options): Promise<Outcome | undefined> {
	const { measurePerplexity } = await import('../../generation/perplexity.ts');
	const { readEvaluationText } = await import('../evaluation-text.ts');
	const { interruptible } = await import('../interrupt.ts');
	const { formatCount } = await import('../terminal/format.ts');
	const { Progress } = await import('../terminal/progress.ts');
	const model = await openModel(cli, path, options);
	const window = options.context ?? trainedLength(model);
	const measured = await interruptible(cli, 'ending without a result', async (signal) => {
		const { tokens, bytes, source, cut } = await readEvaluationText(model, options, signal);
		if (cut) cli.note(`only the first ${formatCount(tokens.length)} tokens are measured (--max-tokens)`);
		const session = await openSession(model, options);
		const progress = new Progress(cli.host.stderr, { label: 'scoring', total: tokens.length - 1, unit: 'tokens' });
		try {
			const result = await measurePerplexity(tokens, {
				session,
				bytes,
				signal,
				onProgress: ({ scored }) => progress.update(scored),
				...(window !== undefined && { window }),
				...(options.stride !== undefined && { stride: options.stride }),
			});
			progress.finish();
			return { ...result, bytes, source };
		} finally {
			progress.abandon();
			await session.dispose();
		}
	});
	const { loss, perplexity, bitsPerByte, tokens, bytes, source } = measured;
	const tasks: Record<string, number | undefined> = { perplexity, 'bits-per-byte': bitsPerByte };
	const results = Object.fromEntries(options.task.map((name) => [name, tasks[name]]));
	cli.result({ model: describeModel(model), data: source, tokens, bytes, loss, results });
	cli.print(`${source}: ${formatCount(tokens)} tokens, ${formatCount(bytes)} bytes`);
	for (const [name, value] of Object.entries(results))
		cli.print(`${name.padEnd(14)} ${value?.toFixed(4) ?? 'unknown'}`);
	return undefined;
}
