/** @file Small decoders with random weights, large enough that their logits differ clearly from token to token. */
import type { HostTensor } from '../../base/host-tensor.ts';
import { buildDecoder, type Decoder, type DecoderConfig } from '../../models/decoder.ts';

/** A decoder of 64 tokens, 16 wide, 2 layers, unless told otherwise, and weights for it. */
export function smallDecoder(
	config: Partial<DecoderConfig> = {},
	seed = 3,
): { readonly model: Decoder; readonly weights: Map<string, HostTensor> } {
	const model = buildDecoder({
		architecture: 'decoder',
		vocabSize: 64,
		dim: 16,
		layers: 2,
		heads: 2,
		maxLength: 40,
		...config,
	});
	const weights = model.parameters.initialize(seed);
	// Fresh weights are so small that wrong positions or masks would hardly show.
	for (const { name, role } of model.parameters.all) {
		if (role === 'vector') continue;
		const data = (weights.get(name) as HostTensor).data as Float32Array;
		for (let i = 0; i < data.length; i++) data[i] = 10 * (data[i] as number);
	}
	return { model, weights };
}
