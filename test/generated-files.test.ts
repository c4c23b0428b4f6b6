/** @file What is generated from the source is current: otherwise run `npm run generate`. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { generatedFiles } from '../scripts/generate-docs.ts';
import { fillTables, loadMeasurement } from '../scripts/update-readme.ts';

const read = (path: string) => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8');

test('schema, configuration reference and manual are current', async () => {
	for (const [path, content] of await generatedFiles()) {
		assert.ok(read(path) === content, `${path} is out of date: npm run generate`);
	}
});

test('tables of the README come from docs/measurements', () => {
	const readme = read('README.md');
	assert.ok(fillTables(readme, loadMeasurement) === readme, 'README.md is out of date: npm run readme');
	assert.match(readme, /<!-- bench:train -->/);
});

test('tables are made from records, with nested ones flattened', () => {
	const measured = {
		date: '2026-01-02T00:00:00Z',
		machine: { cpu: 'X', cores: 2 },
		rows: [{ name: 'a|b', ms: 1.23456, r: { x: 1 } }],
	};
	assert.equal(
		fillTables('<!-- bench:train -->\nold\n<!-- /bench -->', () => measured),
		'<!-- bench:train -->\n| name | ms | r.x |\n| --- | --- | --- |\n| a\\|b | 1.235 | 1 |\n\n*X, 2 cores, 2026-01-02; `npm run modelsmith -- bench train`*\n<!-- /bench -->',
	);
});
