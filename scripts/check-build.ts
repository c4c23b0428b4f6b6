/** @file Packs the built package, installs it into an empty folder, and trains and generates with it, worker threads included. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'modelsmith-package-'));

/** Runs Node.js in the folder; the output. */
function node(...args: string[]): string {
	const { stdout, stderr, status } = spawnSync(process.execPath, args, { cwd: folder, encoding: 'utf8' });
	assert.equal(status, 0, `${args.join(' ')}\n${stdout}${stderr}`);
	return stdout;
}

try {
	const packed = execFileSync('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', folder], {
		cwd: root,
		encoding: 'utf8',
		shell: process.platform === 'win32',
	}).trim();
	const modules = join(folder, 'node_modules');
	mkdirSync(modules);
	execFileSync('tar', ['-xzf', join(folder, packed), '-C', modules]);
	// the dependencies of the checkout, without the checkout
	for (const name of readdirSync(join(root, 'node_modules'))) {
		if (!name.startsWith('.')) symlinkSync(join(root, 'node_modules', name), join(modules, name), 'junction');
	}
	const bin = join(modules, 'package', 'bin', 'modelsmith.js');
	symlinkSync(join(modules, 'package'), join(modules, 'modelsmith'), 'junction');

	assert.match(node(bin, '--version'), /^\d+\.\d+\.\d+\n$/);
	assert.match(node(bin, 'systems'), /50 systems/);
	writeFileSync(join(folder, 'text.txt'), 'one two three four five six seven eight nine ten\n'.repeat(200));
	writeFileSync(
		join(folder, 'c.yaml'),
		`model: { architecture: decoder, dim: 16, layers: 2, heads: 2, maxLength: 32 }
tokenizer: { kind: bpe, vocabSize: 280 }
data: { source: { kind: text, path: text.txt }, sequenceLength: 16, validationFraction: 0 }
training: { steps: 12, schedule: { kind: constant, warmup: 0 }, sampling: { every: 6, prompts: [one], maxTokens: 5 } }
`,
	);
	const trained = JSON.parse(node(bin, 'train', 'c.yaml', '--json')) as { step: number; run: string };
	assert.equal(trained.step, 12);
	assert.notEqual(node(bin, 'generate', trained.run, '--prompt', 'one', '--max-tokens', '8').trim(), 'one');
	node(bin, 'export', trained.run, '--format', 'onnx', '--out', 'onnx');
	const program = `
		import { input, mul, scalar } from 'modelsmith/graph';
		import { Program } from 'modelsmith/runtime/program';
		const program = await Program.compile({ y: mul(input('x', 'float32', [2]), scalar(3)) });
		const { y } = await program.run({ x: { dtype: 'float32', dims: [2], data: Float32Array.of(1, 2) } });
		console.log([...y.data].join());
	`;
	assert.equal(node('--input-type=module', '--eval', program), '3,6\n');
	console.log(`${packed}: the package works`);
} finally {
	rmSync(folder, { recursive: true, force: true });
}
