/** @file Two processes never train in one folder; a killed one does not block the next. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { lockRun } from './run-lock.ts';

const root = mkdtempSync(join(tmpdir(), 'modelsmith lock '));
after(() => rmSync(root, { recursive: true }));

test('a living holder keeps others out, and giving back lets them in', async () => {
	const directory = join(root, 'busy');
	const file = join(root, 'holder.ts');
	const lock = new URL('./run-lock.ts', import.meta.url).href;
	writeFileSync(
		file,
		`import { lockRun } from ${JSON.stringify(lock)};
lockRun(${JSON.stringify(directory)});
console.log('locked');
setTimeout(() => {}, 60_000);`,
	);
	const other = spawn(process.execPath, [file], { stdio: ['ignore', 'pipe', 'inherit'] });
	await once(other.stdout, 'data');
	assert.throws(() => lockRun(directory), new RegExp(`is being trained by process ${other.pid}[\\s\\S]*delete`));
	other.kill('SIGKILL');
	await once(other, 'exit');
	lockRun(directory)();
	assert.equal(existsSync(join(directory, 'run.lock')), false);
});

test('the lock of a dead process, of an earlier process of that number, and a damaged one are taken over', () => {
	const directory = join(root, 'stale');
	const dead = spawnSync(process.execPath, ['-e', '']).pid;
	const parent = `${process.ppid} 1`;
	for (const content of [`${dead} 12`, `${process.pid} 12`, parent, 'rubbish', '', '7'.repeat(400)]) {
		lockRun(directory)();
		writeFileSync(join(directory, 'run.lock'), `${content}\n`);
		lockRun(directory)();
	}
});
