import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { HostTensor } from '../../src/base/host-tensor.ts';
import { readSafetensors } from '../../src/formats/safetensors.ts';
import { initialWeights, parameterCount, trainingBatches, wordIds, writePeerInputs } from './inputs.ts';
import { packedWeights, readPeerInputs } from './peer-io.ts';
import { medianStepMillis, PEER_SIZES, type PeerConfig, peerConfigSchema, peerResultSchema } from './protocol.ts';
import { runPeer } from './run-peer.ts';

const folder = mkdtempSync(join(tmpdir(), 'modelsmith-peers-test-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const tiny: PeerConfig = {
	...PEER_SIZES.small,
	betas: [0.9, 0.95],
	vocab: 50,
	dim: 8,
	layers: 2,
	heads: 2,
	ffn: 32,
	seq: 6,
};
const paths = (name: string) => ({
	weightsPath: join(folder, `${name}-weights.safetensors`),
	batchesPath: join(folder, `${name}-batches.safetensors`),
});
const sha256 = (path: string) => createHash('sha256').update(readFileSync(path)).digest('hex');

test('the sizes are the pinned ones', () => {
	assert.equal(parameterCount(PEER_SIZES.small), 5_289_472);
	assert.equal(parameterCount(PEER_SIZES.medium), 25_272_320);
	for (const size of Object.values(PEER_SIZES)) peerConfigSchema.parse(size);
});

test('the same seed writes the same bytes, another seed does not', () => {
	const [one, again, other] = ['one', 'again', 'other'].map(paths) as [
		ReturnType<typeof paths>,
		ReturnType<typeof paths>,
		ReturnType<typeof paths>,
	];
	writePeerInputs(tiny, { ...one, steps: 3, seed: 1 });
	writePeerInputs(tiny, { ...again, steps: 3, seed: 1 });
	writePeerInputs(tiny, { ...other, steps: 3, seed: 2 });
	for (const kind of ['weightsPath', 'batchesPath'] as const) {
		assert.equal(sha256(one[kind]), sha256(again[kind]));
		assert.notEqual(sha256(one[kind]), sha256(other[kind]));
	}
	const weights = readSafetensors(one.weightsPath);
	assert.deepEqual([...weights.keys()].sort(), [...initialWeights(tiny, 1)].map(([name]) => name).sort());
	assert.deepEqual(weights.get('layers.1.ffn.fc1.weight')?.dims, [32, 8]);
	const batches = readSafetensors(one.batchesPath);
	assert.deepEqual(batches.get('tokens')?.dims, [3, tiny.batch, tiny.seq]);
});

test('weights are N(0, 0.02), gains 1, biases 0', () => {
	const weights = new Map<string, HostTensor>(initialWeights({ ...tiny, vocab: 2000 }, 5));
	const values = weights.get('embed_tokens.weight')?.data as Float32Array;
	const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
	const deviation = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
	assert.ok(Math.abs(mean) < 1e-3, `mean ${mean}`);
	assert.ok(Math.abs(deviation - 0.02) < 1e-3, `deviation ${deviation}`);
	assert.ok(weights.get('layer_norm.weight')?.data.every((value) => value === 1));
	assert.ok(weights.get('layers.0.self_attn.k_proj.bias')?.data.every((value) => value === 0));
});

test('word ids follow frequency, and rare words share id 0', () => {
	// the: 3 times, cat: 2, then sat, the full stop and on once each in this order
	assert.deepEqual([...wordIds('The cat sat. The cat on the', 4)], [1, 2, 3, 0, 1, 2, 0, 1]);
});

test('labels are the next words of the book', () => {
	const { tokens, labels } = trainingBatches(tiny, 4, 7);
	for (let row = 0; row < 4 * tiny.batch; row++) {
		const at = (tensor: HostTensor) => [...(tensor.data as Int32Array).subarray(row * tiny.seq, (row + 1) * tiny.seq)];
		assert.deepEqual(at(tokens).slice(1), at(labels).slice(0, -1));
	}
	const ids = tokens.data as Int32Array;
	assert.ok(ids.every((id) => id >= 0 && id < tiny.vocab));
	assert.ok(new Set(ids).size > 10, 'a text has many words');
});

test('a TypeScript peer reads its arguments and packs q, k, v as [in, 3 * out]', () => {
	const files = paths('packed');
	const config = join(folder, 'tiny.json');
	writeFileSync(config, JSON.stringify(tiny));
	writePeerInputs(tiny, { ...files, steps: 2, seed: 3 });
	const argv = ['--weights', files.weightsPath, '--batches', files.batchesPath, '--config', config, '--out', 'x'];
	const inputs = readPeerInputs([...argv, '--threads', '2', '--steps', '2', '--warmup', '1']);
	const qkv = packedWeights(inputs).get('layers.1.qkv.weight');
	assert.deepEqual(qkv?.shape, [8, 24]);
	const key = inputs.weights.get('layers.1.self_attn.k_proj.weight') as Float32Array;
	assert.equal(qkv?.data[3 * 24 + 8 + 5], key[5 * 8 + 3]);
	assert.throws(() => readPeerInputs([...argv, '--threads', '2', '--steps', '9', '--warmup', '1']), /too few batches/);
	assert.throws(() => readPeerInputs([...argv, '--threads', 'two', '--steps', '1', '--warmup', '1']), /bad arguments/);
});

test('the schemas refuse what is not a configuration or a result', () => {
	assert.throws(() => peerConfigSchema.parse({ ...tiny, heads: 3 }), /must divide dim/);
	assert.throws(() => peerConfigSchema.parse({ ...tiny, vocabulary: 3 }));
	const result = { name: 'x', version: '1', losses: [2, 1], stepMillis: [9, 5], peakRssBytes: 1, notes: [] };
	assert.deepEqual(peerResultSchema.parse(result), result);
	for (const wrong of [{ losses: [2] }, { losses: [2, Number.NaN] }, { stepMillis: [0, 1] }, { peakRssBytes: '1' }]) {
		assert.equal(peerResultSchema.safeParse({ ...result, ...wrong }).success, false, JSON.stringify(wrong));
	}
	assert.equal(medianStepMillis({ stepMillis: [100, 9, 5, 7, 6] }, 1), 6.5);
	assert.ok(Number.isNaN(medianStepMillis(result, 2)));
});

/** An executable that stands in for Python: it answers the probe for modules and then does `body`. */
function fakePython(name: string, body: string): string {
	const path = join(folder, name);
	writeFileSync(path, `#!/bin/sh\nif [ "$1" = -c ]; then exit 0; fi\n${body}\n`);
	chmodSync(path, 0o755);
	return path;
}

test('runPeer says why a peer gave no result', { skip: process.platform === 'win32' }, async () => {
	const options = { config: tiny, weightsPath: 'w', batchesPath: 'b', threads: 1, steps: 2, warmup: 1 };
	const reason = async (python: string, timeoutMillis = 20_000) => {
		const answer = await runPeer('jax', { ...options, python, timeoutMillis });
		return 'unavailable' in answer ? answer.unavailable : 'a result';
	};
	assert.match(await reason(join(folder, 'nowhere', 'python')), /no Python at .*scripts\/python-peers\.sh/);
	assert.match(await reason(fakePython('crash', 'echo "out of luck" >&2; exit 3')), /exit code 3\nout of luck/);
	assert.match(await reason(fakePython('silent', 'exit 0')), /wrote no result/);
	assert.match(await reason(fakePython('slow', 'sleep 30'), 300), /stopped after 0\.3 s/);
	const answer = (losses: string) =>
		`while [ "$1" != --out ]; do shift; done; echo '{"name":"jax","version":"1","losses":${losses},"stepMillis":[2,1],"peakRssBytes":1,"notes":[]}' > "$2"`;
	assert.match(await reason(fakePython('short', answer('[1]'))), /not valid/);
	assert.equal(await reason(fakePython('good', answer('[2,1]'))), 'a result');
});
