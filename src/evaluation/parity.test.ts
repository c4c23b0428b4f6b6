/** @file Golden cases: the fixtures, all of ../shared/golden where it is there, and what must not pass. */
import assert from 'node:assert/strict';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { InputError } from '../base/errors.ts';
import { readSafetensors, writeSafetensors } from '../formats/safetensors.ts';
import { compareTensors } from './parity/compare.ts';
import { runParity } from './parity.ts';

const fixtures = fileURLToPath(new URL('./fixtures/golden', import.meta.url));
const shared = fileURLToPath(new URL('../../../shared/golden', import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), 'parity-'));
after(() => rmSync(scratch, { recursive: true }));

/** A copy of one fixture in a directory of its own, as [directory, path without extension]. */
function copyOf(name: string): [string, string] {
	const directory = mkdtempSync(join(scratch, 'case-'));
	const base = join(directory, 'case');
	for (const extension of ['.json', '.safetensors']) cpSync(join(fixtures, name + extension), base + extension);
	return [directory, base];
}

test('the fixtures pass, and what is not implemented is unknown', async () => {
	const lines: string[] = [];
	const report = await runParity(fixtures, { log: (line) => lines.push(line) });
	assert.deepEqual(
		report.cases.filter(({ pass, unknown }) => !pass && unknown === undefined),
		[],
	);
	assert.deepEqual(report.unknownKinds, ['mixer.attention (xpos_rel_pos, block_size)', 'position.xpos']);
	assert.equal(report.unknown, 2);
	assert.equal(report.passed, report.cases.length - 2);
	assert.equal(report.failed, 0);
	assert.equal(lines.length, report.cases.length);
	assert.ok(report.cases.every(({ pass, unknown }) => !(pass && unknown !== undefined)));
});

test('models pass with their layers in one loop', async () => {
	const report = await runParity(join(fixtures, 'models'), { layerMode: 'scan' });
	assert.deepEqual([report.passed, report.failed], [4, 0]);
});

test('all shared golden cases pass or are unknown', { skip: !existsSync(shared) }, async () => {
	const report = await runParity(shared);
	assert.deepEqual(
		report.cases.filter(({ pass, unknown }) => !pass && unknown === undefined),
		[],
	);
	assert.ok(report.passed >= 36, `${report.passed} cases passed`);
});

test('a wrong number fails its case and says where', async () => {
	const [directory, base] = copyOf('feed-forward/glu-relu');
	const tensors = readSafetensors(`${base}.safetensors`);
	const gradient = tensors.get('grad.gate.weight');
	assert.ok(gradient !== undefined);
	(gradient.data as Float32Array)[3] = 5;
	writeSafetensors(`${base}.safetensors`, tensors);
	const report = await runParity(directory);
	assert.equal(report.failed, 1);
	assert.match(report.cases[0]?.error ?? '', /grad\.gate\.weight\[3\] is .*, expected 5/);
});

test('a case whose weights do not fit the config fails with the name of the weight', async () => {
	const [directory, base] = copyOf('models/decoder-pre-ln-decode');
	const description = JSON.parse(readFileSync(`${base}.json`, 'utf8'));
	const write = (config: object): void =>
		writeFileSync(`${base}.json`, JSON.stringify({ ...description, config: { ...description.config, ...config } }));
	write({ decoder_layers: 3 });
	const missing = await runParity(directory);
	assert.match(missing.cases[0]?.error ?? '', /no tensor "layers\.2\.self_attn\.q_proj\.weight"/);
	write({ decoder_layers: 1 });
	const extra = await runParity(directory);
	assert.match(extra.cases[0]?.error ?? '', /no parameter "layers\.1\./);
	write({ decoder_layers: 'two' });
	const wrong = await runParity(directory);
	assert.match(wrong.cases[0]?.error ?? '', /config\.decoder_layers: is not valid/);
	write({ subln: true });
	assert.deepEqual((await runParity(directory)).unknownKinds, ['model.decoder (subln)']);
});

test('files that are missing or damaged are input errors that name the file', async () => {
	await assert.rejects(
		runParity(join(scratch, 'nowhere')),
		(error) => error instanceof InputError && /nowhere/.test(error.message),
	);
	const empty = mkdtempSync(join(scratch, 'empty-'));
	await assert.rejects(runParity(empty), /no golden cases/);

	const [withoutTensors, a] = copyOf('norm/rms-large-eps');
	rmSync(`${a}.safetensors`);
	await assert.rejects(
		runParity(withoutTensors),
		(error) => error instanceof InputError && /case\.safetensors/.test(error.message),
	);

	const [cut, b] = copyOf('norm/rms-large-eps');
	writeFileSync(`${b}.safetensors`, readFileSync(`${b}.safetensors`).subarray(0, 2000));
	await assert.rejects(
		runParity(cut),
		(error) => error instanceof InputError && /case\.safetensors/.test(error.message),
	);

	for (const text of ['{', '[]', '{"case":"x","kind":"norm.rms"}', 'null']) {
		const [broken, c] = copyOf('norm/rms-large-eps');
		writeFileSync(`${c}.json`, text);
		await assert.rejects(
			runParity(broken),
			(error) => error instanceof InputError && /case\.json/.test(error.message),
			text,
		);
	}

	const [other, d] = copyOf('norm/rms-large-eps');
	const tensors = readSafetensors(`${d}.safetensors`);
	tensors.delete('output.y');
	writeSafetensors(`${d}.safetensors`, tensors);
	await assert.rejects(runParity(other), /output\.y/);
});

test('comparison: tolerances, equal integers, NaN and shapes', () => {
	const tolerance = { abs: 0.1, rel: 0.01 };
	const floats = (...data: number[]) => ({
		dtype: 'float32' as const,
		dims: [data.length],
		data: Float32Array.from(data),
	});
	assert.equal(compareTensors('x', floats(100.9, 0.05), floats(100, 0), tolerance).pass, true);
	assert.equal(compareTensors('x', floats(101.2), floats(100), tolerance).pass, false);
	assert.equal(compareTensors('x', floats(Number.NaN), floats(100), tolerance).pass, false);
	assert.equal(compareTensors('x', floats(1, 2), floats(1), tolerance).pass, false);
	const integers = (value: bigint) => ({ dtype: 'int64' as const, dims: [1], data: BigInt64Array.of(value) });
	assert.equal(compareTensors('x', integers(7n), integers(7n), tolerance).pass, true);
	assert.equal(compareTensors('x', integers(7n), integers(8n), { abs: 5, rel: 5 }).pass, false);
	const { maxAbsError, maxRelError } = compareTensors('x', floats(101, 0.01), floats(100, 0), tolerance);
	assert.ok(Math.abs(maxAbsError - 1) < 1e-6 && Math.abs(maxRelError - 0.01) < 1e-6);
});
