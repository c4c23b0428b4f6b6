import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { claimHolds, runReproduction } from './reproduction.ts';
import { definitionHash, listSystems } from './systems.ts';

const folder = mkdtempSync(join(tmpdir(), 'modelsmith-systems-'));
after(() => rmSync(folder, { recursive: true }));
const home = join(folder, 'retnet');
mkdirSync(home);
writeFileSync(
	join(home, 'system.json'),
	JSON.stringify({
		slug: 'retnet',
		title: 'T',
		summary: 'S',
		wave: 1,
		rooms: ['nn'],
		paper: { authors: 'A', year: 2023, venue: 'V', arxiv: '2307.08621' },
	}),
);
writeFileSync(join(home, 'reproduce.ts'), 'export const reproduction = 1;\n');

const evidence = () => ({
	format: 1,
	slug: 'retnet',
	definition: definitionHash(home),
	claim: 'c',
	baseline: 'b',
	measurements: [{ name: 'loss', unit: 'nats', value: 2, baseline: 3, target: { atMost: 2.5 } }],
	startedAt: new Date(0).toISOString(),
	seconds: 1,
	version: '0.1.0',
	machine: { cpu: 'x', cores: 2, memoryGiB: 4, platform: 'linux x64' },
});

function statusWith(content: unknown) {
	writeFileSync(join(home, 'evidence.json'), typeof content === 'string' ? content : JSON.stringify(content));
	const [system] = listSystems(folder);
	return [system?.status, system?.reason];
}

test('a system works only with valid evidence of a full run of the experiment as it is', () => {
	assert.equal(listSystems(folder)[0]?.status, 'planned');
	assert.deepEqual(statusWith(evidence()), ['works', undefined]);
	const miss = evidence();
	miss.measurements.push({ name: 'time', unit: 's', value: 9, baseline: 3, target: { atMost: 2.5 } });
	assert.deepEqual(statusWith(miss), ['planned', 'the claim did not hold']);
	assert.deepEqual(statusWith({ ...evidence(), slug: 'yoco' }), ['planned', 'evidence.json is of yoco']);
	assert.deepEqual(statusWith({ ...evidence(), pass: true }), ['planned', 'evidence.json has another format']);
	assert.deepEqual(statusWith('{'), ['planned', 'evidence.json is not JSON']);
	const current = evidence();
	writeFileSync(join(home, 'reproduce.ts'), 'export const reproduction = 1;\r\n');
	assert.equal(statusWith(current)[0], 'works', 'line ends do not matter');
	writeFileSync(join(home, 'reproduce.ts'), 'export const reproduction = 2;\n');
	assert.deepEqual(statusWith(current), ['planned', 'the experiment has changed since its last full run']);
});

test('a claim needs a number held against it, and none may miss', () => {
	const number = { name: 'n', unit: '', value: 1 };
	assert.equal(claimHolds([number]), false);
	assert.equal(claimHolds([number, { ...number, target: { atLeast: 1 } }]), true);
	assert.equal(
		claimHolds([
			{ ...number, target: { atLeast: 1 } },
			{ ...number, target: { atMost: 0.5 } },
		]),
		false,
	);
	assert.equal(claimHolds([{ ...number, value: Number.NaN, target: { atMost: 2 } }]), false);
});

test('an experiment that hands back nothing usable has failed', async () => {
	const context = { smoke: true, signal: new AbortController().signal, progress: () => {} };
	const run = (measurements: unknown) =>
		runReproduction({ claim: 'c', baseline: 'b', run: async () => measurements as [] }, context);
	for (const bad of [
		[],
		[{ name: 'n', unit: '', value: Number.NaN }],
		[{ name: 'n', unit: '', value: 1, target: {} }],
	]) {
		await assert.rejects(run(bad), /no usable measurements/);
	}
	const { measurements } = await run([{ name: 'n', unit: '', value: 1 }]);
	assert.equal(measurements.length, 1);
});

test('the package has the fifty systems, each with its page', () => {
	const systems = listSystems();
	assert.equal(systems.length, 50);
	assert.equal(new Set(systems.map(({ paper }) => paper.arxiv)).size, 50);
});
