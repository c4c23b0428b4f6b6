/** @file Ctrl-C: the first press ends in good order with a checkpoint, the second at once; the run goes on later. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const bin = fileURLToPath(new URL('../bin/modelsmith.js', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'modelsmith-interrupt-'));
after(() => rmSync(folder, { recursive: true }));

interface Started {
	readonly child: ChildProcess;
	readonly output: () => string;
	readonly exit: Promise<number | null>;
}

function start(...args: string[]): Started {
	const child = spawn(process.execPath, args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
	let text = '';
	for (const stream of [child.stdout, child.stderr])
		stream.setEncoding('utf8').on('data', (piece: string) => (text += piece));
	return { child, output: () => text, exit: once(child, 'close').then(([code]) => code as number | null) };
}

async function until(condition: () => boolean, what: () => string): Promise<void> {
	for (let waited = 0; !condition(); waited += 20) {
		assert.ok(waited < 60_000, what());
		await wait(20);
	}
}

test('the first Ctrl-C, told twice as npm does, writes a checkpoint and exits with 130; --resume goes on', async () => {
	writeFileSync(join(folder, 'text.txt'), 'one two three four five six seven eight nine ten\n'.repeat(300));
	writeFileSync(
		join(folder, 'c.yaml'),
		`model: { architecture: decoder, dim: 16, layers: 1, heads: 2, maxLength: 32 }
tokenizer: { kind: bpe, vocabSize: 270 }
data: { source: { kind: text, path: text.txt }, sequenceLength: 16, validationFraction: 0 }
training: { steps: 1000000, batchSize: 4, checkpoints: { every: 1000000 } }
`,
	);
	const metrics = join(folder, 'runs/c/metrics.jsonl');
	const { child, output, exit } = start(bin, 'train', 'c.yaml');
	await until(() => existsSync(metrics) || child.exitCode !== null, output);
	await wait(200);
	child.kill('SIGINT');
	await wait(5);
	child.kill('SIGINT');
	assert.equal(await exit, 130, output());
	assert.match(output(), /stopping: finishing the step and writing a checkpoint/);
	assert.match(output(), /stopped after step \d+ of 1000000/);
	assert.doesNotMatch(output(), /^\s+at /m);
	const [name] = readdirSync(join(folder, 'runs/c/checkpoints'));
	const step = Number(/^step-(\d+)$/.exec(name ?? '')?.[1]);
	assert.ok(step > 0, name);

	const again = start(bin, 'train', 'c.yaml', '--resume');
	await until(() => /going on from .*step-/.test(again.output()) || again.child.exitCode !== null, again.output);
	assert.match(again.output(), new RegExp(`going on from .*step-${step}\\n`));
	again.child.kill('SIGTERM');
	assert.equal(await again.exit, 130, again.output());
});

test('the second Ctrl-C exits at once', async () => {
	const module = new URL('../src/cli/interrupt.ts', import.meta.url).href;
	const script = `
		import { interruptible } from ${JSON.stringify(module)};
		const cli = { note: (text) => console.log(text) };
		await interruptible(cli, 'never ending', () => new Promise(() => setInterval(() => {}, 1000)) );
	`;
	const { child, output, exit } = start(
		'--input-type=module',
		'--eval',
		`${script.replace('await', "console.log('ready'); await")}`,
	);
	await until(() => output().includes('ready'), output);
	await wait(50);
	child.kill('SIGINT');
	await until(() => output().includes('never ending'), output);
	await wait(600);
	child.kill('SIGINT');
	assert.equal(await exit, 130);
});
