import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatBytes, formatCount, formatDuration } from './format.ts';
import { resultTables, tablesOf } from './result-tables.ts';
import { safeText } from './safe-text.ts';
import { formatTable } from './table.ts';

test('durations, counts and sizes', () => {
	assert.deepEqual([0, 95, 3600, 4000.4].map(formatDuration), ['0:00', '1:35', '1:00:00', '1:06:40']);
	assert.equal(formatDuration(Number.POSITIVE_INFINITY), '-');
	assert.deepEqual([0, 950, 1234, 999_960, 1_234_567, 5.3e9].map(formatCount), [
		'0',
		'950',
		'1.23k',
		'1.00M',
		'1.23M',
		'5.30G',
	]);
	assert.deepEqual([0, 1023, 1536, 5 * 1024 ** 3].map(formatBytes), ['0 B', '1023 B', '1.5 KiB', '5.0 GiB']);
});

test('escape sequences of untrusted text are shown, not obeyed', () => {
	assert.equal(safeText('a\x1b[2Jb\r\nc\td\x9b31m\x7f'), 'a␛[2Jb\nc\td␡31m␡');
});

test('columns line up, numbers to the right', () => {
	assert.equal(
		formatTable(
			['name', 'count'],
			[
				['a', '1'],
				['long name', '120'],
			],
		),
		['name       count', '---------  -----', 'a              1', 'long name    120'].join('\n'),
	);
});

test('results become tables: lists of records, lists inside them, maps of records', () => {
	const result = {
		benchmark: 'b',
		rows: [
			{
				name: 'x',
				results: [
					{ n: 1, rate: 0.12345 },
					{ n: 2, rate: 2 },
				],
			},
		],
		training: { ours: { seconds: 1, deep: { a: true } }, python: 'not available' },
	};
	assert.deepEqual(tablesOf(result), [
		{
			title: 'rows',
			columns: ['name', 'n', 'rate'],
			rows: [
				['x', '1', '0.1235'],
				['x', '2', '2'],
			],
		},
		{
			title: 'training',
			columns: ['name', 'seconds', 'deep.a', 'value'],
			rows: [
				['ours', '1', 'true', ''],
				['python', '', '', 'not available'],
			],
		},
	]);
	assert.match(resultTables(result), /^benchmark: b\n\nrows:\nname {2}n/);
});
