import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { runCli } from '../../test/support/run-cli.ts';
import { COMMANDS } from './registry.ts';

test('--help lists every command on stdout', async () => {
	const { code, stdout, stderr } = await runCli('--help');
	assert.equal(code, 0);
	assert.equal(stderr, '');
	for (const { name, summary } of COMMANDS) assert.ok(stdout.includes(`  ${name} `) && stdout.includes(summary), name);
});

test('every command has help with an argument or option described, and exits with 0', async () => {
	for (const { name } of COMMANDS) {
		const { code, stdout, stderr } = await runCli(name, '--help');
		assert.equal(code, 0, name);
		assert.equal(stderr, '', name);
		assert.match(stdout, new RegExp(`^Usage: modelsmith ${name} `), name);
		assert.match(stdout, /Global Options:\n.*--json/s, name);
		assert.deepEqual((await runCli('help', name)).stdout, stdout);
	}
});

test('--version prints the version of the package', async () => {
	const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
		version: string;
	};
	assert.deepEqual(await runCli('--version'), { code: 0, stdout: `${version}\n`, stderr: '' });
});

test('no command, and one that does not exist', async () => {
	const none = await runCli();
	assert.equal(none.code, 2);
	assert.match(none.stderr, /Usage: modelsmith/);
	const unknown = await runCli('trian');
	assert.equal(unknown.code, 2);
	assert.match(unknown.stderr, /unknown command 'trian'\n\(Did you mean train\?\)/);
	assert.equal(unknown.stdout, '');
});

test('--json prints one object on stdout, with success and with failure', async () => {
	const good = await runCli('systems', '--json');
	assert.equal(good.code, 0);
	const systems = JSON.parse(good.stdout) as { total: number; systems: { slug: string; status: string }[] };
	assert.equal(systems.total, 50);
	for (const { status } of systems.systems) assert.ok(['planned', 'works'].includes(status));

	const bad = await runCli('reproduce', 'nonsense', '--json');
	assert.equal(bad.code, 2);
	const { error } = JSON.parse(bad.stdout) as { error: { code: string; exitCode: number; where: string } };
	assert.deepEqual([error.code, error.exitCode, error.where], ['invalid_input', 2, 'nonsense']);
	assert.match(bad.stderr, /nonsense/);

	const usage = await runCli('--json', 'systems', '--wave', '4');
	assert.equal(usage.code, 2);
	assert.equal((JSON.parse(usage.stdout) as { error: { code: string } }).error.code, 'invalid_usage');
});

test('global flags are understood before and after the command', async () => {
	for (const args of [
		['--json', 'systems'],
		['systems', '--json'],
	]) {
		assert.equal((JSON.parse((await runCli(...args)).stdout) as { total: number }).total, 50);
	}
});

test('a stack trace only with --debug', async () => {
	const plain = await runCli('reproduce', 'nonsense');
	assert.doesNotMatch(plain.stderr, /^\s+at /m);
	const debug = await runCli('reproduce', 'nonsense', '--debug');
	assert.equal(debug.code, 2);
	assert.match(debug.stderr, /^\s+at /m);
});

test('colours: only on a terminal, and not with NO_COLOR or --no-color', async () => {
	const escapes = /\x1b\[/;
	const terminal = { isTTY: true, env: {} };
	assert.match((await runCli.with(terminal)('reproduce', 'x')).stderr, escapes);
	assert.doesNotMatch((await runCli.with(terminal)('reproduce', 'x', '--no-color')).stderr, escapes);
	assert.doesNotMatch((await runCli.with({ ...terminal, env: { NO_COLOR: '1' } })('reproduce', 'x')).stderr, escapes);
	assert.doesNotMatch((await runCli('reproduce', 'x')).stderr, escapes);
	assert.match((await runCli.with({ isTTY: false, env: { FORCE_COLOR: '1' } })('reproduce', 'x')).stderr, escapes);
});
