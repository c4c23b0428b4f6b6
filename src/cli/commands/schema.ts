/** @file `modelsmith schema`: JSON Schema of a configuration. */
import type { Command } from 'commander';
import { text } from '../arguments.ts';
import type { Run } from '../registry.ts';

export function configure(command: Command, run: Run): void {
	command
		.description('Print the JSON Schema of a configuration, from which editors complete and check YAML and JSON files.')
		.option('--out <file>', 'write it to a file', text)
		.action((options: { out?: string }) =>
			run(async (cli) => {
				const { configJsonSchema } = await import('../config/schema.ts');
				const schema = configJsonSchema();
				if (options.out !== undefined) {
					const { writeFileAtomic } = await import('../../base/files.ts');
					writeFileAtomic(options.out, `${JSON.stringify(schema, null, '\t')}\n`);
					cli.note(`written: ${options.out}`);
					cli.result({ path: options.out });
					return undefined;
				}
				if (cli.json) cli.result(schema);
				else cli.print(JSON.stringify(schema, null, 2));
				return undefined;
			}),
		);
}
