/** @file Suggested commands can be pasted into a shell as they are. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import type { Cli } from './cli.ts';
import { nextCommand } from './next-command.ts';

const started = (env: NodeJS.ProcessEnv): Cli => ({ host: { env } }) as unknown as Cli;

test('starts as the reader started us', () => {
	assert.equal(nextCommand(started({}), 'chat', 'runs/x'), 'modelsmith chat runs/x');
	assert.equal(
		nextCommand(started({ npm_lifecycle_event: 'start' }), 'chat', 'runs/x'),
		'npm run -s modelsmith -- chat runs/x',
	);
});

test('a shell reads every argument as it was', { skip: process.platform === 'win32' }, () => {
	const args = ['a b', 'plain', 'with "quotes"', "it's", 'ümläut', 'runs/a-b_c.1'];
	const line = nextCommand(started({}), ...args).replace(
		'modelsmith',
		`"${process.execPath}" -p "JSON.stringify(process.argv.slice(1))" --`,
	);
	const { stdout } = spawnSync('sh', ['-c', line], { encoding: 'utf8' });
	assert.deepEqual(JSON.parse(stdout), args);
});
