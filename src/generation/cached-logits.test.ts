/** @file Every kind of position and cache: logits from a state equal logits of the whole text. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type HostTensor, hostTensor } from '../base/host-tensor.ts';
import { RandomStream } from '../base/random.ts';
import { input } from '../graph/ops/source.ts';
import { dim } from '../graph/shape.ts';
import type { DecoderConfig } from '../models/decoder.ts';
import { Program } from '../runtime/program.ts';
import { createDecoderSession } from './decoder-session.ts';
import { smallDecoder } from './testing/small-decoder.ts';

const CONFIGS: Record<string, Partial<DecoderConfig>> = {
	'learned positions': { position: { kind: 'learned' } },
	'sinusoidal positions': { position: { kind: 'sinusoidal' } },
	'rotary positions': { position: { kind: 'rope' } },
	'interleaved rotary positions': { position: { kind: 'rope', variant: 'interleaved' } },
	'relative position bias': { position: { kind: 'relative-bias' } },
	'no positions': { position: { kind: 'none' } },
	'grouped queries, GLU, RMS norm': {
		heads: 4,
		mixer: { kind: 'attention', kvHeads: 2, qkNorm: true },
		feedForward: { kind: 'glu' },
		norm: { kind: 'rms' },
		position: { kind: 'rope' },
	},
	'layers as a loop': { layerMode: 'scan', position: { kind: 'rope' } },
	'post-norm, untied output': { residual: { kind: 'post' }, embedding: { tied: false } },
};

for (const [name, config] of Object.entries(CONFIGS)) {
	test(`cached and uncached logits agree to 1e-4: ${name}`, async () => {
		const { model, weights } = smallDecoder(config);
		const vocab = model.vocabSize;
		const whole = await Program.compile(
			{
				logits: model.logits(
					model.hiddenStates({ tokens: input('tokens', 'int32', [dim('batch'), dim('time')]) }, { training: false })
						.hidden,
				),
			},
			{ bound: weights, threads: 1 },
		);
		const session = await createDecoderSession(model, weights, { chunk: 8, threads: 1 });
		const random = new RandomStream(2);
		const text = (length: number): number[] => Array.from({ length }, () => random.integer(vocab));
		let spread = 0;
		// One text; equal lengths; different lengths (padding), the longest read in several chunks.
		for (const lengths of [[5], [6, 6], [1, 4, 19]]) {
			const texts = lengths.map(text);
			const batch = await session.open(texts.length);
			let logits = await session.extend(batch, texts);
			for (let step = 0; step < 5; step++) {
				for (const [row, tokens] of texts.entries()) {
					const { logits: all } = await whole.run({ tokens: hostTensor('int32', [1, tokens.length], tokens) });
					const expected = ((all as HostTensor).data as Float32Array).slice(-vocab);
					expected.forEach((value, i) => {
						const found = logits[row * vocab + i]!;
						assert.ok(
							Math.abs(found - value) <= 1e-4,
							`lengths ${lengths}, step ${step}, row ${row}: ${found}, expected ${value}`,
						);
					});
					spread = Math.max(spread, Math.max(...expected) - Math.min(...expected));
				}
				const more = texts.map(() => text(step < 3 ? 1 : 3));
				logits = await session.extend(batch, more);
				texts.forEach((tokens, row) => void tokens.push(...more[row]!));
			}
			await session.close(batch);
		}
		assert.ok(spread > 0.1, `logits differ by ${spread} only: the test would not see an error`);
		await session.dispose();
	});
}
