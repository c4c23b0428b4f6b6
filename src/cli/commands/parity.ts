/** @file `modelsmith parity DIR`: golden cases, value by value. */
import type { Command } from 'commander';
import type { Run } from '../registry.ts';

export function configure(command: Command, run: Run): void {
	command
		.description(
			'Compare every golden case below a folder (numbers of official implementations) with what modelsmith computes, value by value.',
		)
		.argument('<dir>', 'folder with cases: NAME.json beside NAME.safetensors')
		.option('--scan', 'run stacked layers as a loop instead of one after the other')
		.addHelpText(
			'after',
			'\nExit code 1 when a case misses its tolerance. A kind that is not known yet is reported as unknown, never as passed.',
		)
		.action((directory: string, options: { scan?: true }) =>
			run(async (cli) => {
				const { runParity } = await import('../../evaluation/parity.ts');
				const report = await runParity(directory, {
					layerMode: options.scan === true ? 'scan' : 'unroll',
					log: (line) => (cli.json ? cli.note(line) : cli.print(line)),
				});
				cli.result(report);
				const { passed, failed, unknown, unknownKinds } = report;
				if (!cli.json) {
					if (unknownKinds.length > 0) cli.print(`\nunknown: ${unknownKinds.join(', ')}`);
					cli.print(`\n${passed} passed, ${failed} failed, ${unknown} unknown`);
				}
				return failed > 0 ? 1 : undefined;
			}),
		);
}
