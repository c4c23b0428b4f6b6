import assert from 'node:assert/strict';
import { test } from 'node:test';
import { plotCurve } from './plot.ts';

const options = { width: 60, height: 10, xLabel: 'step', yLabel: 'loss' };

test('a falling curve goes from the upper left to the lower right', () => {
	const points = Array.from({ length: 300 }, (_, x) => ({ x, y: 8 - x / 50 }));
	const lines = plotCurve(points, { ...options, ascii: true }).split('\n');
	const drawing = lines.slice(1, 11).map((line) => line.slice(line.indexOf('|') + 1));
	const firstStar = drawing.map((line) => line.indexOf('*'));
	assert.equal(firstStar[0], 0);
	for (let row = 1; row < 10; row++) assert.ok((firstStar[row] as number) > (firstStar[row - 1] as number));
	assert.ok((drawing.at(-1) ?? '').endsWith('*'));
	assert.match(lines[1] ?? '', /^ *8 /);
	assert.match(lines.at(-1) ?? '', /0 +step +299$/);
});

test('every line fits the width, with Braille too', () => {
	const points = Array.from({ length: 50 }, (_, x) => ({ x, y: Math.sin(x) * 1000 }));
	for (const width of [20, 40, 79]) {
		for (const line of plotCurve(points, { ...options, width }).split('\n')) assert.ok([...line].length <= width, line);
	}
});

test('few points are joined by a line', () => {
	const drawing = plotCurve(
		[
			{ x: 0, y: 0 },
			{ x: 1, y: 1 },
		],
		{ ...options, ascii: true },
	);
	const stars = drawing.split('').filter((character) => character === '*').length;
	assert.ok(stars > 20, drawing);
});

test('odd input: no points, one point, a flat line, holes', () => {
	assert.equal(plotCurve([], options), '');
	assert.equal(plotCurve([{ x: 1, y: 1 }], options), '');
	assert.equal(
		plotCurve(
			[
				{ x: 1, y: Number.NaN },
				{ x: 2, y: 2 },
			],
			options,
		),
		'',
	);
	assert.notEqual(
		plotCurve(
			[
				{ x: 1, y: 3 },
				{ x: 2, y: 3 },
			],
			options,
		),
		'',
	);
	const withHole = plotCurve(
		[
			{ x: 1, y: 3 },
			{ x: 2, y: Number.POSITIVE_INFINITY },
			{ x: 3, y: 1 },
		],
		options,
	);
	assert.match(withHole, /3/);
});
