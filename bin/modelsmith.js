#!/usr/bin/env node
// Starts the command: the TypeScript source in a checkout, the compiled program in an installed package.
import { existsSync } from 'node:fs';
import * as nodeModule from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 22 || (major === 22 && minor < 18)) {
	console.error(`modelsmith needs Node.js 22.18 or newer, and this is ${process.version}.
In a checkout, run it through npm, which brings its own Node.js: npm run modelsmith -- --help`);
	process.exit(2);
}
// Compiled code is kept between runs: a cold start is a third faster.
nodeModule.enableCompileCache?.();
const root = dirname(dirname(fileURLToPath(import.meta.url)));
const source = join(root, 'src', 'cli', 'main.ts');
const entry = existsSync(source) ? source : join(root, 'dist', 'cli', 'main.js');
const { main } = await import(pathToFileURL(entry).href);
process.exitCode = await main(process.argv.slice(2));
