/** @file `modelsmith init`: a commented starter configuration. */
import type { Command } from 'commander';
import { text } from '../arguments.ts';
import { nextCommand } from '../next-command.ts';
import type { Run } from '../registry.ts';

export function configure(command: Command, run: Run): void {
	command
		.description(
			'Write a commented configuration that trains a small GPT on Moby Dick; change it to train on your text.',
		)
		.argument('[file]', 'where to write it', 'modelsmith.yaml')
		.option('--schema <url>', 'where editors find the JSON Schema (default: the published one)', text)
		.option('--force', 'replace a file that is there')
		.action((file: string, options: { schema?: string; force?: true }) =>
			run(async (cli) => {
				const { existsSync, statSync } = await import('node:fs');
				const { extname } = await import('node:path');
				const { InputError } = await import('../../base/errors.ts');
				const { writeFileAtomic } = await import('../../base/files.ts');
				const { SCHEMA_URL } = await import('../config/schema.ts');
				const { starterConfig } = await import('../starter-config.ts');
				if (!['.yaml', '.yml'].includes(extname(file).toLowerCase())) {
					throw new InputError('the starter configuration is YAML', {
						where: file,
						expected: 'a name that ends in .yaml or .yml',
						fix: 'modelsmith init modelsmith.yaml',
					});
				}
				if (existsSync(file) && (options.force !== true || statSync(file).isDirectory())) {
					throw new InputError('is already there', {
						where: file,
						fix: 'choose another name, or replace it with --force',
					});
				}
				writeFileAtomic(file, starterConfig(options.schema ?? SCHEMA_URL));
				cli.result({ path: file });
				cli.print(`${file} is written. Train it with:\n  ${nextCommand(cli, 'train', file)}`);
				return undefined;
			}),
		);
}
