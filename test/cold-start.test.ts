/** @file Help is quick because it loads nothing: measured, and by a list of what was loaded. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { COMMANDS } from '../src/cli/registry.ts';

const bin = fileURLToPath(new URL('../bin/modelsmith.js', import.meta.url));

function run(...args: string[]): { milliseconds: number; stdout: string; stderr: string; status: number | null } {
	const start = performance.now();
	const { stdout, stderr, status } = spawnSync(process.execPath, [...args], { encoding: 'utf8' });
	return { milliseconds: performance.now() - start, stdout, stderr, status };
}

test('help takes less than 300 ms more than node itself', () => {
	const best = (...args: string[]) => Math.min(...Array.from({ length: 4 }, () => run(...args).milliseconds));
	const node = best('-e', '0');
	const help = best(bin, '--help');
	const commandHelp = best(bin, 'train', '--help');
	// the machine may be busy: what counts is what we add
	assert.ok(help - node < 300, `${help} ms, node alone ${node} ms`);
	assert.ok(commandHelp - node < 300, `${commandHelp} ms, node alone ${node} ms`);
});

test('help loads no package but commander and picocolors', () => {
	const main = new URL('../src/cli/main.ts', import.meta.url).href;
	const script = `
		import { registerHooks } from 'node:module';
		const seen = new Set();
		registerHooks({ load(url, context, next) {
			const found = /node_modules\\/((@[^/]+\\/)?[^/]+)/.exec(url);
			if (found) seen.add(found[1]);
			return next(url, context);
		} });
		const { main } = await import(${JSON.stringify(main)});
		const silent = { write() {} };
		for (const name of ${JSON.stringify(COMMANDS.map(({ name }) => name))}) {
			const code = await main([name, '--help'], { stdout: silent, stderr: silent, stdin: process.stdin, env: {} });
			if (code !== 0) throw new Error(name);
		}
		console.log([...seen].sort().join(' '));
		process.exit();
	`;
	const { stdout, stderr } = run('--input-type=module', '--eval', script);
	assert.equal(stdout, 'commander picocolors\n', stderr);
});
