/** @file `modelsmith export RUN --format FORMAT --out DIR`. */
import { type Command, Option } from 'commander';
import { text } from '../arguments.ts';
import type { Cli, Outcome } from '../cli.ts';
import { addModelOptions, describeModel, type ModelOptions, openModel } from '../open-model.ts';
import type { Run } from '../registry.ts';

interface Options extends ModelOptions {
	readonly format: 'onnx' | 'safetensors' | 'gguf';
	readonly out: string;
	readonly force?: true;
}

export function configure(command: Command, run: Run): void {
	addModelOptions(
		command.description(
			'Write a model for other programs. onnx: model.onnx (input_ids -> logits), for ONNX Runtime in Node, Python or a browser. safetensors: model.safetensors and config.json, which modelsmith opens again. Both with tokenizer.json.',
		),
		{ engine: false },
	)
		.addOption(
			new Option('--format <format>', 'what to write').choices(['onnx', 'safetensors', 'gguf']).makeOptionMandatory(),
		)
		.requiredOption('--out <folder>', 'where to write it', text)
		.option('--force', 'write into a folder that is not empty')
		.action((path: string, options: Options) => run((cli) => exportModel(cli, path, options)));
}

async function exportModel(cli: Cli, path: string, options: Options): Promise<Outcome | undefined> {
	const { existsSync, mkdirSync, readdirSync, statSync } = await import('node:fs');
	const { join } = await import('node:path');
	const { InputError } = await import('../../base/errors.ts');
	const { format, out } = options;
	if (format === 'gguf') {
		throw new InputError('GGUF is not written yet', {
			where: '--format',
			expected: 'onnx or safetensors',
			found: 'gguf',
			fix: 'export safetensors and convert that',
		});
	}
	if (existsSync(out)) {
		if (!statSync(out).isDirectory())
			throw new InputError('is not a folder', { where: out, expected: 'a folder for the export' });
		if (readdirSync(out).length > 0 && options.force !== true) {
			throw new InputError('is not empty', { where: out, fix: 'choose another --out, or write into it with --force' });
		}
	}
	const { writeFileAtomic } = await import('../../base/files.ts');
	const model = await openModel(cli, path, options);
	mkdirSync(out, { recursive: true });
	const files: string[] = [];
	if (format === 'onnx') {
		const { exportOnnx } = await import('../../generation/export-onnx.ts');
		files.push(...exportOnnx(model.model, model.weights, out).files);
	} else {
		const { writeSafetensors } = await import('../../formats/safetensors.ts');
		const { unstackParameters } = await import('../../nn/parameters.ts');
		const { all } = model.model.parameters;
		writeSafetensors(join(out, 'model.safetensors'), unstackParameters(all, model.weights), { format: 'pt' });
		files.push('model.safetensors');
	}
	writeFileAtomic(
		join(out, 'config.json'),
		`${JSON.stringify({ model: model.config.model ?? model.config }, null, '\t')}\n`,
	);
	model.tokenizer.save(out);
	files.push('config.json', 'tokenizer.json');
	cli.result({ model: describeModel(model), format, directory: out, files });
	cli.print(`${out}: ${files.join(', ')}`);
	return undefined;
}
