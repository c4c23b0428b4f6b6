/** @file Writes what is made from the schemas and the commands: schema/config.schema.json, docs/configuration.md, docs/cli.md. */
import { fileURLToPath } from 'node:url';
import { writeFileAtomic } from '../src/base/files.ts';
import { configJsonSchema } from '../src/cli/config/schema.ts';
import { cliManual } from './cli-manual.ts';
import { configReference, type Schema } from './config-reference.ts';

const INTRODUCTION = `# Configuration

This page is made from the schemas in the source: \`npm run generate\`.

A configuration is YAML, JSON, or a TypeScript or JavaScript module that exports \`config\`. A module is code and is run: use only modules you trust. \`modelsmith init\` writes one with comments; \`modelsmith schema\` prints the JSON Schema, from which editors complete and check the keys. \`modelsmith train config.yaml --set training.steps=1000\` changes a value from the command line: the path has dots, the value is read as YAML.

A part with a \`kind\` (a norm, a mixer, an optimizer ...) takes the settings of its kind and no others; an unknown key is an error. Relative paths start at the folder of the configuration.`;

/** Path from the root of the repository to content. */
export async function generatedFiles(): Promise<ReadonlyMap<string, string>> {
	const schema = configJsonSchema();
	return new Map([
		['schema/config.schema.json', `${JSON.stringify(schema, null, '\t')}\n`],
		['docs/configuration.md', configReference(schema as Schema, INTRODUCTION)],
		['docs/cli.md', await cliManual()],
	]);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
	for (const [path, content] of await generatedFiles()) {
		writeFileAtomic(fileURLToPath(new URL(`../${path}`, import.meta.url)), content);
		console.log(path);
	}
}
