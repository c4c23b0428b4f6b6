/** @file `model.encoder-decoder`: whole TorchScale models with cross-attention. */
import { ShapeError } from '../../base/errors.ts';
import { equal } from '../../graph/ops/compare.ts';
import { buildEncoderDecoder } from '../../models/encoder-decoder.ts';
import { torchscaleConfig, unsupportedTorchscale } from '../../models/torchscale-config.ts';
import { caseInputs } from './module-scope.ts';
import { defineParityKind } from './parity-kind.ts';
import { meanLoss, stackOf } from './text-model.ts';

defineParityKind({
	kind: 'model.encoder-decoder',
	config: torchscaleConfig,
	unsupported: (config) => {
		const later = unsupportedTorchscale(config);
		return later.length > 0 ? later.join(', ') : undefined;
	},
	build: (config, golden, options) => {
		const model = buildEncoderDecoder({
			architecture: 'encoder-decoder',
			vocabSize: config.vocab_size,
			sharedEmbeddings: config.share_all_embeddings,
			encoder: stackOf(config, 'encoder', options),
			decoder: stackOf(config, 'decoder', options),
		});
		const inputs = caseInputs(golden);
		const { src_tokens: source, prev_output_tokens: target, labels, padding_mask: padding } = inputs;
		if (source === undefined || target === undefined) {
			throw new ShapeError('the case needs the inputs src_tokens and prev_output_tokens');
		}
		const mask = padding === undefined ? {} : { mask: equal(padding, 0) };
		const context = { training: false };
		const encoded = model.encode({ tokens: source, ...(mask.mask && { paddingMask: mask.mask }) }, context).hidden;
		const logits = model.logits(model.decode({ tokens: target }, { hidden: encoded, ...mask }, context).hidden);
		return {
			inputs,
			parameters: model.parameters,
			outputs: { encoder_out: encoded, logits, ...(labels && { loss: meanLoss(logits, labels) }) },
		};
	},
});
