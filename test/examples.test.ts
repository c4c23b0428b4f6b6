/** @file The examples run, and the configurations among them are valid. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { starterConfig } from '../src/cli/starter-config.ts';
import { runCli } from './support/run-cli.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

function example(name: string, env: Record<string, string> = {}): string {
	const { stdout, stderr, status } = spawnSync(
		process.execPath,
		['--conditions=modelsmith-source', `examples/${name}`],
		{ cwd: root, encoding: 'utf8', env: { ...process.env, ...env } },
	);
	assert.equal(status, 0, stderr);
	return stdout;
}

test('gradients.ts finds the weights that made the data', () => {
	assert.match(
		example('gradients.ts'),
		/step 60: loss 0\.0000\d+\nweight: (2\.0|1\.99)\d+, -(1\.0|0\.99)\d+, 0\.(50|49)\d+/,
	);
});

test('new-part.ts builds a model with a norm of its own', () => {
	assert.match(example('new-part.ts'), /layer_norm\.weight +\[64\]/);
});

test('train-and-generate.ts trains, loads and writes', () => {
	assert.match(
		example('train-and-generate.ts', { EXAMPLE_STEPS: '20' }),
		/step 20: loss [\d.]+\ntrained 20 steps\nThe old./,
	);
});

test('the program and the configuration of the README work', async () => {
	const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
	const block = (language: string): string =>
		new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``).exec(readme)?.[1] ?? '';
	const { stdout, stderr } = spawnSync(
		process.execPath,
		['--conditions=modelsmith-source', '--input-type=module-typescript', '--eval', block('ts')],
		{ cwd: root, encoding: 'utf8' },
	);
	assert.match(stdout, /Float32Array\(1\) \[ 4 \] Float32Array\(3\) \[ -4, -4, -4 \]/, stderr);
	const folder = mkdtempSync(join(tmpdir(), 'modelsmith-readme-'));
	try {
		writeFileSync(join(folder, 'my.yaml'), block('yaml'));
		const { code, stderr: problems } = await runCli('summary', join(folder, 'my.yaml'));
		assert.equal(code, 0, problems);
	} finally {
		rmSync(folder, { recursive: true });
	}
});

test('the configurations are valid and of the size they claim', async () => {
	for (const name of ['config.ts', 'moby-dick.yaml']) {
		const { code, stdout, stderr } = await runCli('summary', `${root}/examples/${name}`, '--json');
		assert.equal(code, 0, stderr);
		const { parameters } = JSON.parse(stdout) as { parameters: number };
		assert.ok(parameters > 1e6 && parameters < 5e6, `${name}: ${parameters}`);
	}
});

test('the starter configuration in examples is what init writes', () => {
	assert.equal(
		readFileSync(new URL('../examples/moby-dick.yaml', import.meta.url), 'utf8'),
		starterConfig('../schema/config.schema.json'),
	);
});
