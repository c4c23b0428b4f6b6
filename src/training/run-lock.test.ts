/** @file Two processes never train in one folder; a killed one does not block the next. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { lockRun } from './run-lock.ts';

const root = mkdtempSync(join(tmpdir(), 'modelsmith lock '));
after(() => rmSync(root, { recursive: true }));

test('a living holder keeps others out, and giving back lets them in', () => {
	const directory = join(root, 'busy');
	const other = spawn(process.execPath, ['-e', 'setTimeout(() => {}, 60_000)']);
	try {
		lockRun(directory)();
		assert.equal(existsSync(join(directory, 'run.lock')), false);
		writeFileSync(join(directory, 'run.lock'), `${other.pid}\n`);
		assert.throws(() => lockRun(directory), new RegExp(`is being trained by process ${other.pid}[\\s\\S]*delete`));
	} finally {
		other.kill('SIGKILL');
	}
});

test('the lock of a dead process, an own one and a damaged one are taken over', () => {
	const directory = join(root, 'stale');
	const dead = spawnSync(process.execPath, ['-e', '']).pid;
	for (const content of [`${dead}\n`, `${process.pid}\n`, 'rubbish', '']) {
		lockRun(directory)();
		writeFileSync(join(directory, 'run.lock'), content);
		lockRun(directory)();
	}
});
