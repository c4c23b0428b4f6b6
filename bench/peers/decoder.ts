/** @file The GPT of the comparison as this toolkit's decoder. */
import { buildDecoder, type Decoder } from '../../src/models/decoder.ts';
import type { PeerConfig } from './protocol.ts';

export function peerDecoder({ vocab, dim, layers, heads, ffn, seq, layerNormEps }: PeerConfig): Decoder {
	return buildDecoder({
		vocabSize: vocab,
		dim,
		layers,
		heads,
		maxLength: seq,
		layerMode: 'unroll',
		norm: { kind: 'layer', epsilon: layerNormEps },
		position: { kind: 'learned' },
		mixer: { kind: 'attention', bias: true },
		feedForward: { kind: 'mlp', hidden: ffn, activation: 'gelu', bias: true },
		embedding: { tied: false },
	});
}
