/** @file `modelsmith summary`: what a model consists of and costs. */
import type { Command } from 'commander';
import { integer, repeated, text } from '../arguments.ts';
import type { Run } from '../registry.ts';

export function configure(command: Command, run: Run): void {
	command
		.description(
			'Print the parameters of a model, their shapes and number, and floating-point operations per token. Nothing is trained or loaded.',
		)
		.argument('<config>', 'a configuration, or the folder of a run')
		.option('--set <path=value>', 'change a setting; may be repeated', repeated(text))
		.option('--context <n>', 'text length to count operations for', integer(1))
		.action((path: string, options: { set?: string[]; context?: number }) =>
			run(async (cli) => {
				const { loadRunConfig } = await import('../config/run-config.ts');
				const { formatSummary, modelSummary } = await import('../../models/summary.ts');
				const { model } = await loadRunConfig(path, options.set ?? []);
				const summary = modelSummary(model, options.context);
				cli.result(summary);
				cli.print(formatSummary(summary));
				return undefined;
			}),
		);
}
