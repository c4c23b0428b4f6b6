/** @file The order of the rooms is what biome.rooms.json enforces, and a breach is found. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Top to bottom: docs/decisions/001-base-room.md. */
const ROOMS =
	'base formats graph runtime nn models tokenizers data training generation alignment synthesis retrieval evaluation documents privacy serving cli'.split(
		' ',
	);

test('every folder of src is a room', () => {
	const folders = readdirSync(join(root, 'src'), { withFileTypes: true }).filter((entry) => entry.isDirectory());
	assert.deepEqual(
		folders.map(({ name }) => name).filter((name) => !ROOMS.includes(name)),
		[],
	);
});

test('biome.rooms.json forbids every import from below', () => {
	const override = z.object({
		includes: z.array(z.string()),
		linter: z.object({
			rules: z.object({
				style: z
					.object({
						noRestrictedImports: z.object({
							level: z.literal('error'),
							options: z.object({ patterns: z.array(z.object({ group: z.array(z.string()) })) }),
						}),
					})
					.optional(),
			}),
		}),
	});
	const { overrides } = z
		.object({ overrides: z.array(override) })
		.parse(JSON.parse(readFileSync(join(root, 'biome.rooms.json'), 'utf8')));
	for (const [index, room] of ROOMS.slice(0, -1).entries()) {
		const rule = overrides.find(({ includes }) => includes.includes(`src/${room}/**`))?.linter.rules.style;
		const group = rule?.noRestrictedImports.options.patterns.flatMap((pattern) => pattern.group) ?? [];
		for (const below of ROOMS.slice(index + 1)) {
			assert.ok(group.includes(`**/${below}/**`), `src/${room} must not import ${below}`);
		}
	}
});

test('the linter finds a breach: static, dynamic and of types', () => {
	const folder = mkdtempSync(join(tmpdir(), 'modelsmith-rooms-'));
	try {
		for (const name of ['biome.json', 'biome.rooms.json']) copyFileSync(join(root, name), join(folder, name));
		mkdirSync(join(folder, 'src/nn/part'), { recursive: true });
		const files: Readonly<Record<string, string>> = {
			'src/nn/static.ts': "import { a } from '../cli/cli.ts';\nconsole.log(a);\n",
			'src/nn/part/types.ts': "import type { A } from '../../training/a.ts';\nexport type B = A;\n",
			'src/nn/dynamic.ts': "export const a = await import('../models/a.ts');\n",
			'src/nn/allowed.ts': "import '../runtime/a.ts';\n",
			'src/nn/free.test.ts': "import '../cli/a.ts';\n",
		};
		for (const [path, source] of Object.entries(files)) writeFileSync(join(folder, path), source);
		const biome = join(root, 'node_modules', '@biomejs', 'biome', 'bin', 'biome');
		const { stdout, stderr } = spawnSync(process.execPath, [biome, 'lint', '--only=style/noRestrictedImports', 'src'], {
			cwd: folder,
			encoding: 'utf8',
		});
		const breaches = [...(stdout + stderr).matchAll(/^(\S+?):\d+:\d+ lint\/style\/noRestrictedImports/gm)];
		assert.deepEqual(
			breaches.map(([, path]) => path).sort(),
			['src/nn/dynamic.ts', 'src/nn/part/types.ts', 'src/nn/static.ts'],
			stdout + stderr,
		);
	} finally {
		rmSync(folder, { recursive: true });
	}
});
