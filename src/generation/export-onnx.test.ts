import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { hostTensor } from '../base/host-tensor.ts';
import { input } from '../graph/ops/source.ts';
import { buildDecoder } from '../models/decoder.ts';
import { Program } from '../runtime/program.ts';
import { createSession, loadOrt } from '../runtime/session.ts';
import { exportOnnx } from './export-onnx.ts';

test('the exported file gives the logits of the model, with weights inside or beside it, at any size', async () => {
	const folder = mkdtempSync(join(tmpdir(), 'modelsmith-export-'));
	try {
		for (const [layerMode, position] of [
			['unroll', { kind: 'rope' }],
			['scan', { kind: 'learned' }],
		] as const) {
			const model = buildDecoder({
				architecture: 'decoder',
				vocabSize: 50,
				dim: 16,
				layers: 2,
				heads: 2,
				maxLength: 16,
				layerMode,
				position,
			});
			const weights = model.parameters.initialize(3);
			const ids = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3];
			const tokens = input('tokens', 'int32', [2, 5]);
			const { hidden } = model.hiddenStates({ tokens }, { training: false });
			const program = await Program.compile({ logits: model.logits(hidden) }, { bound: weights });
			const expected = (await program.run({ tokens: hostTensor('int32', [2, 5], ids) })).logits?.data as Float32Array;
			for (const limit of [1e9, 0]) {
				const { files, inputs, outputs } = exportOnnx(model, weights, folder, limit);
				assert.deepEqual([files.length, inputs, outputs], [limit === 0 ? 2 : 1, ['input_ids'], ['logits']]);
				const ort = await loadOrt();
				const session = await createSession(join(folder, 'model.onnx'));
				const feed = new ort.Tensor('int64', BigInt64Array.from(ids, BigInt), [2, 5]);
				const { logits } = await session.run({ input_ids: feed });
				assert.deepEqual(logits?.dims, [2, 5, 50]);
				const found = logits?.data as Float32Array;
				for (let i = 0; i < expected.length; i++) {
					assert.ok(Math.abs((found[i] as number) - (expected[i] as number)) < 1e-5, `${layerMode} ${limit} ${i}`);
				}
			}
		}
	} finally {
		rmSync(folder, { recursive: true });
	}
});
