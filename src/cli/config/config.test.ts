import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { z } from 'zod';
import { InputError } from '../../base/errors.ts';
import { checkConfig } from './check.ts';
import { loadConfig, type RawConfig } from './load.ts';
import { applyOverrides, formatPath, parseOverride } from './overrides.ts';

const folder = mkdtempSync(join(tmpdir(), 'modelsmith-config-'));
after(() => rmSync(folder, { recursive: true }));

function file(name: string, content: string): string {
	const path = join(folder, name);
	writeFileSync(path, content);
	return path;
}

const raw = (value: unknown): RawConfig => ({ path: 'c.yaml', value, locate: () => undefined });

const schema = z.strictObject({
	model: z.discriminatedUnion('kind', [
		z.strictObject({ kind: z.literal('decoder'), dim: z.int().min(1), layers: z.int().default(2) }),
		z.strictObject({ kind: z.literal('encoder'), width: z.number() }),
	]),
	layers: z.array(z.strictObject({ name: z.string() })).optional(),
	device: z.enum(['cpu', 'webgpu']).default('cpu'),
});

test('the same configuration from YAML, JSON, TypeScript and JavaScript', async () => {
	const expected = { model: { kind: 'decoder', dim: 4 } };
	const paths = [
		file('a.yaml', '# c\nmodel:\n  kind: decoder\n  dim: 4\n'),
		file('a.json', '\uFEFF{"model":{"kind":"decoder","dim":4}}'),
		file('a.ts', "interface A { kind: string }\nexport const config = { model: { kind: 'decoder', dim: 4 } as A };"),
		file('b.mjs', "export default () => ({ model: { kind: 'decoder', dim: 4 } });"),
	];
	for (const path of paths) assert.deepEqual((await loadConfig(path)).value, expected);
});

test('a YAML fault names file, line and column', async () => {
	await assert.rejects(loadConfig(file('bad.yaml', 'model:\n  kind: [decoder\n')), (error: Error) => {
		assert.match(error.message, /bad\.yaml:3:1: is not valid YAML/);
		return error instanceof InputError;
	});
});

test('a schema fault names the line, the key, the expectation and the finding', async () => {
	const loaded = await loadConfig(file('c.yaml', 'model:\n  kind: decoder\n  dimm: 4\n  dim: 0\ndevice: cup\n'));
	assert.throws(
		() => checkConfig(schema, loaded, loaded.value),
		(error: Error) => {
			assert.match(error.message, /3 problems/);
			assert.match(error.message, /c\.yaml:4:3: model\.dim: is too small\n +expected: at least 1\n +found: +0/);
			assert.match(
				error.message,
				/c\.yaml:3:3: model\.dimm: unknown key\n +expected: kind, dim, layers\n.*\n +to fix: +did you mean dim\?/,
			);
			assert.match(
				error.message,
				/c\.yaml:5:1: device: is not one of the choices\n +expected: cpu, webgpu\n +found: +"cup"/,
			);
			return true;
		},
	);
});

test('an unknown kind lists the kinds', () => {
	const value = { model: { kind: 'decodr' } };
	assert.throws(
		() => checkConfig(schema, raw(value), value),
		/model\.kind: is not a known kind\n +expected: decoder, encoder\n.*\n.*did you mean decoder/,
	);
});

test('a fault made by --set names the flag', () => {
	const overrides = [parseOverride('model.dim=many')];
	const value = applyOverrides({ model: { kind: 'decoder', dim: 4 } }, overrides);
	assert.throws(
		() => checkConfig(schema, raw({}), value, overrides),
		/^ConfigError: --set model\.dim=many: model\.dim: has the wrong type/,
	);
});

test('overrides are typed and reach into lists', () => {
	const set = (...texts: string[]) => applyOverrides({ a: { b: [1, { c: 2 }] } }, texts.map(parseOverride));
	assert.deepEqual(set('a.b[1].c=3'), { a: { b: [1, { c: 3 }] } });
	assert.deepEqual(set('a.b.2=x'), { a: { b: [1, { c: 2 }, 'x'] } });
	assert.deepEqual(set('n.m=1e-3', 't=true', 's="1"', 'l=[1, 2]', 'o={ kind: glu }', 'e='), {
		a: { b: [1, { c: 2 }] },
		n: { m: 0.001 },
		t: true,
		s: '1',
		l: [1, 2],
		o: { kind: 'glu' },
		e: '',
	});
});

test('overrides that cannot be made', () => {
	for (const text of ['', '=1', 'a', 'a..b=1', '__proto__.x=1', 'a.constructor.b=1', 'a b=1', 'a=[1', 'a={b: *x}']) {
		assert.throws(() => parseOverride(text), InputError, text);
	}
	assert.throws(() => applyOverrides({ a: 1 }, [parseOverride('a.b=2')]), /a is not a map/);
	assert.throws(() => applyOverrides({ a: [1] }, [parseOverride('a[3]=2')]), /a is a list/);
	assert.throws(() => applyOverrides({ a: [1] }, [parseOverride('a.b=2')]), /a is a list/);
});

test('paths read back as they are written', () => {
	const key = fc.oneof(fc.stringMatching(/^[a-z][a-zA-Z0-9]{0,6}$/), fc.nat(20));
	fc.assert(
		fc.property(fc.stringMatching(/^[a-z]{1,5}$/), fc.array(key, { maxLength: 4 }), (first, rest) => {
			fc.pre(![first, ...rest].includes('constructor'));
			assert.deepEqual(parseOverride(`${formatPath([first, ...rest])}=1`).path, [first, ...rest]);
		}),
	);
});

test('any text is read or refused as input, never a crash, and aliases cannot explode', async () => {
	let count = 0;
	await fc.assert(
		fc.asyncProperty(fc.string({ unit: fc.constantFrom(...'ab:-[]{}&*!|>#"\'\n \t,0?%@`') }), async (text) => {
			const path = file(`fuzz${count++ % 4}.yaml`, text);
			try {
				const { value } = await loadConfig(path);
				checkConfig(schema, raw(value), value);
				assert.fail('no random text is a configuration');
			} catch (error) {
				if (!(error instanceof InputError)) throw error;
			}
		}),
		{ numRuns: process.env.MODELSMITH_LONG === '1' ? 100_000 : 300 },
	);
	const bomb = ['a: &a [x, x, x, x, x, x, x, x, x]'];
	for (let i = 0; i < 12; i++)
		bomb.push(
			`k${i}: &b${i} [${Array(9)
				.fill(i === 0 ? '*a' : `*b${i - 1}`)
				.join(', ')}]`,
		);
	await assert.rejects(loadConfig(file('bomb.yaml', bomb.join('\n'))), /is not usable YAML/);
});

test('files that are no configuration', async () => {
	const cases: readonly (readonly [string, RegExp])[] = [
		[join(folder, 'missing.yaml'), /no such file/],
		[folder, /is a folder/],
		[file('config.toml', ''), /no known configuration format/],
		[file('bad.json', '{"a": 1,}'), /is not valid JSON/],
		[file('syntax.ts', 'export const config = {'), /could not be imported/],
		[file('empty.js', 'export {};'), /does not export a configuration/],
		[file('list.js', 'export const config = [];'), /does not export a configuration/],
		[file('function.js', 'export const config = { f() {} };'), /more than plain data/],
		[file('big.yaml', '#'.repeat((4 << 20) + 1)), /too large/],
	];
	for (const [path, message] of cases) await assert.rejects(loadConfig(path), message);
});
