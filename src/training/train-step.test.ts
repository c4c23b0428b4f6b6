/** @file The compiled step against PyTorch's numbers, and its variants (pieces, accumulation, scan) against each other. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { tinyGpt } from '../../test/support/tiny-gpt.ts';
import type { HostTensor } from '../base/host-tensor.ts';
import { readSafetensors } from '../formats/safetensors.ts';
import { runTrainStepCase } from './parity-train-step.ts';

const fixture = (name: string): string => new URL(`fixtures/${name}`, import.meta.url).pathname;

function below(tensors: ReadonlyMap<string, HostTensor>, prefix: string): Map<string, HostTensor> {
	return new Map(
		[...tensors].filter(([name]) => name.startsWith(prefix)).map(([name, value]) => [name.slice(prefix.length), value]),
	);
}

for (const name of ['gpt-adamw', 'gpt-adamw-warmup-tied', 'gpt-accumulation']) {
	test(`${name}: loss, gradients, norms and parameters after three steps are PyTorch's`, async () => {
		const { config, tolerance } = JSON.parse(readFileSync(fixture(`${name}.json`), 'utf8'));
		const tensors = readSafetensors(fixture(`${name}.safetensors`));
		const model = tinyGpt({
			vocabSize: config.model.vocab_size,
			dim: config.model.decoder_embed_dim,
			heads: config.model.decoder_attention_heads,
			layers: config.model.decoder_layers,
			hidden: config.model.decoder_ffn_embed_dim,
			maxLength: config.model.max_target_positions,
			tied: config.model.share_decoder_input_output_embed,
		});
		const found = await runTrainStepCase(model, config, below(tensors, 'input.'), below(tensors, 'param.'));
		let compared = 0;
		for (const [prefix, ours] of [
			['output.', found.outputs],
			['grad.', found.gradients],
		] as const) {
			for (const [key, theirs] of below(tensors, prefix)) {
				const own = ours.get(key);
				assert.ok(own, `no ${prefix}${key}`);
				assert.deepEqual([...own.dims], [...theirs.dims], key);
				theirs.data.forEach((value: number | bigint, i: number) => {
					const [a, b] = [Number(own.data[i]), Number(value)];
					assert.ok(
						Math.abs(a - b) <= tolerance.abs + tolerance.rel * Math.abs(b),
						`${prefix}${key}[${i}]: ${a}, not ${b}`,
					);
					compared++;
				});
			}
		}
		assert.ok(compared > 20_000, `${compared} numbers compared`);
	});
}
