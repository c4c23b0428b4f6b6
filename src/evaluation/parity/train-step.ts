/** @file `train.step`: some steps of training a small decoder with AdamW, clipping and accumulation. */
import { z } from 'zod';
import type { HostTensor } from '../../base/host-tensor.ts';
import { buildDecoder } from '../../models/decoder.ts';
import { torchscaleConfig, torchscaleStack, unsupportedTorchscale } from '../../models/torchscale-config.ts';
import { runTrainStepCase } from '../../training/parity-train-step.ts';
import { defineParityKind } from './parity-kind.ts';

const config = z.looseObject({
	model: torchscaleConfig,
	optimizer: z.looseObject({ type: z.string() }),
});

defineParityKind({
	kind: 'train.step',
	config,
	unsupported: ({ model, optimizer }) => {
		const later = unsupportedTorchscale(model);
		if (optimizer.type !== 'adamw') later.push(`optimizer ${optimizer.type}`);
		return later.length > 0 ? later.join(', ') : undefined;
	},
	run: async ({ model: official }, golden) => {
		const model = buildDecoder({
			architecture: 'decoder',
			vocabSize: official.vocab_size,
			...torchscaleStack(official, 'decoder'),
			layerMode: 'unroll',
		});
		const { outputs, gradients } = await runTrainStepCase(model, golden.config, golden.inputs, golden.params);
		const results: Record<string, HostTensor> = {};
		for (const [name, value] of outputs) results[`output.${name}`] = value;
		for (const [name, value] of gradients) results[`grad.${name}`] = value;
		return results;
	},
});
