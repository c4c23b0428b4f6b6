/** @file Errors of configurations: key path, expectation, finding, nearest known key. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { z } from 'zod';
import { ConfigError } from './errors.ts';
import { validate } from './validate.ts';

const shape = z.discriminatedUnion('kind', [
	z.strictObject({ kind: z.literal('circle'), radius: z.number().positive() }),
	z.strictObject({
		kind: z.literal('square'),
		side: z.number().max(5).default(1),
		corners: z.array(z.int()).optional(),
	}),
]);
const schema = z.strictObject({
	name: z.string(),
	shape: z.lazy(() => shape),
	more: z.record(z.string(), shape).default({}),
	list: z.array(z.strictObject({ colour: z.enum(['red', 'green']) })).prefault([]),
	size: z.union([z.number(), z.literal('auto')]).optional(),
});

const circle = { kind: 'circle', radius: 1 };
const cases: readonly [unknown, Partial<Record<'where' | 'expected' | 'found' | 'fix', string>>][] = [
	[{ shape: circle }, { where: 'drawing.name', expected: 'string', found: 'nothing' }],
	[
		{ name: 'a', shape: { kind: 'circel', radius: 1 } },
		{ where: 'drawing.shape.kind', expected: 'circle, square', found: '"circel"', fix: 'did you mean "circle"?' },
	],
	[
		{ name: 'a', shape: {} },
		{ where: 'drawing.shape.kind', expected: 'circle, square', found: 'nothing' },
	],
	[
		{ name: 'a', shape: { kind: 'circle', radious: 1, radius: 1 } },
		{ where: 'drawing.shape', expected: 'kind, radius', fix: 'did you mean "radius"?' },
	],
	[
		{ name: 'a', shape: { kind: 'circle', radius: 0 } },
		{ where: 'drawing.shape.radius', expected: 'number > 0', found: '0' },
	],
	[
		{ name: 'a', shape: { kind: 'square', side: 9 } },
		{ where: 'drawing.shape.side', expected: 'number <= 5', found: '9' },
	],
	[
		{ name: 'a', shape: circle, more: { x: { kind: 'square', cornres: [] } } },
		{ where: 'drawing.more.x', fix: 'did you mean "corners"?' },
	],
	[
		{ name: 'a', shape: circle, list: [{ colour: 'red' }, { colour: 'gren' }] },
		{ where: 'drawing.list.1.colour', expected: 'red, green', fix: 'did you mean "green"?' },
	],
	[
		{ name: 'a', shape: circle, list: [{ color: 'red' }] },
		{ where: 'drawing.list.0.colour', found: 'nothing' },
	],
	[
		{ name: 'a', shape: circle, size: true },
		{ where: 'drawing.size', expected: 'number or auto', found: 'true' },
	],
	[
		{ name: 'a', shape: circle, nmae: 1 },
		{ where: 'drawing', fix: 'did you mean "name"?' },
	],
	[undefined, { where: 'drawing', expected: 'object', found: 'nothing' }],
];

test('every problem is located and explained', () => {
	for (const [value, details] of cases) {
		assert.throws(
			() => validate(schema, value, 'drawing'),
			(error) => {
				assert.ok(error instanceof ConfigError);
				for (const [key, text] of Object.entries(details)) {
					assert.equal(error.details[key as 'where'], text, `${key} of ${JSON.stringify(value)}`);
				}
				return true;
			},
		);
	}
});

test('good values come back with their defaults', () => {
	assert.deepEqual(validate(schema, { name: 'a', shape: { kind: 'square' } }, ''), {
		name: 'a',
		shape: { kind: 'square', side: 1 },
		more: {},
		list: [],
	});
});

test('no value breaks the explanation', () => {
	const keys = fc.constantFrom('name', 'shape', 'more', 'list', 'size', 'kind', 'radius', 'side', '__proto__', 'x');
	const value = fc.letrec((tie) => ({
		any: fc.oneof(
			{ maxDepth: 4 },
			fc.constantFrom('a', 'circle', 'square', 1, null, undefined, Number.NaN, 10n),
			fc.array(tie('any'), { maxLength: 3 }),
			fc.dictionary(keys, tie('any'), { maxKeys: 4 }),
		),
	})).any;
	fc.assert(
		fc.property(value, (input) => {
			try {
				validate(schema, input, 'x');
			} catch (error) {
				assert.ok(error instanceof ConfigError, String((error as Error).stack));
			}
		}),
		{ numRuns: process.env.MODELSMITH_LONG === '1' ? 100_000 : 2000 },
	);
});
