/** @file Reads TorchScale's configuration keys (encoder_*, decoder_*) as ours. Values are taken as resolved: no flag changes another. */
import { z } from 'zod';
import type { PartConfig } from '../nn/part.ts';
import type { StackConfigInput } from './stack-config.ts';

const flag = z.boolean().nullish();
const count = z.int().min(0).nullish();
const size = z.int().min(1).max(1_000_000);

/** The keys that matter for a model; others (loss weights, hardware) are passed over. */
export const torchscaleConfig = z.looseObject({
	encoder_embed_dim: size.optional(),
	encoder_attention_heads: size.optional(),
	encoder_ffn_embed_dim: size.optional(),
	encoder_layers: size.max(10_000).optional(),
	encoder_normalize_before: flag,
	normalize_output: flag,
	max_source_positions: size.optional(),
	decoder_embed_dim: size.optional(),
	decoder_attention_heads: size.optional(),
	decoder_ffn_embed_dim: size.optional(),
	decoder_layers: size.max(10_000).optional(),
	decoder_normalize_before: flag,
	max_target_positions: size.optional(),
	activation_fn: z.enum(['gelu', 'relu', 'swish']).default('gelu'),
	no_scale_embedding: z.boolean().default(true),
	layernorm_embedding: z.boolean().default(false),
	layernorm_eps: z.number().positive().default(1e-5),
	vocab_size: z.int().min(-1).max(100_000_000).default(-1),
	rel_pos_buckets: z.int().min(0).max(1_000_000).default(0),
	max_rel_pos: z.int().min(0).max(1_000_000).default(0),
	share_encoder_input_output_embed: z.boolean().default(false),
	share_decoder_input_output_embed: z.boolean().default(false),
	share_all_embeddings: z.boolean().default(false),
	learned_positions: z.boolean().default(true),
	/** Rows of the position table before the first position; 2 in every official model. */
	position_offset: z.int().min(0).max(1_000_000).default(2),
	deepnorm: flag,
	subln: flag,
	multiway: flag,
	xpos_rel_pos: flag,
	moe_freq: count,
	segment_length: z.unknown().optional(),
	dilated_ratio: z.unknown().optional(),
});

export type TorchscaleConfig = z.output<typeof torchscaleConfig>;

/** Official settings that no part of ours implements yet, by their official names. */
export function unsupportedTorchscale(config: TorchscaleConfig): string[] {
	const flags = (['deepnorm', 'subln', 'multiway', 'xpos_rel_pos'] as const).filter((key) => config[key] === true);
	return [
		...flags,
		...((config.moe_freq ?? 0) > 0 ? ['moe_freq'] : []),
		...(['segment_length', 'dilated_ratio'] as const).filter(
			(key) => config[key] !== undefined && config[key] !== null,
		),
	];
}

const ACTIVATION = { gelu: 'gelu', relu: 'relu', swish: 'silu' } as const;

/** One side of an official model as settings of a stack. */
export function torchscaleStack(config: TorchscaleConfig, side: 'encoder' | 'decoder'): StackConfigInput {
	const encoder = side === 'encoder';
	const before = encoder ? config.encoder_normalize_before : config.decoder_normalize_before;
	const tied = encoder
		? config.share_encoder_input_output_embed
		: config.share_decoder_input_output_embed || config.share_all_embeddings;
	const get = (key: 'embed_dim' | 'attention_heads' | 'ffn_embed_dim' | 'layers', standard: number): number =>
		config[`${side}_${key}`] ?? standard;
	return {
		dim: get('embed_dim', 768),
		layers: get('layers', 12),
		heads: get('attention_heads', 12),
		maxLength: (encoder ? config.max_source_positions : config.max_target_positions) ?? 1024,
		residual:
			before === false ? { kind: 'post' } : { kind: 'pre', finalNorm: !encoder || config.normalize_output !== false },
		norm: { kind: 'layer', epsilon: config.layernorm_eps },
		position: torchscalePosition(config),
		mixer: { kind: 'attention' },
		feedForward: {
			kind: 'mlp',
			hidden: get('ffn_embed_dim', 3072),
			activation: ACTIVATION[config.activation_fn],
		},
		embedding: {
			scale: config.no_scale_embedding ? 1 : 'sqrt-dim',
			norm: config.layernorm_embedding,
			tied,
		},
	};
}

function torchscalePosition(config: TorchscaleConfig): PartConfig {
	const parts: PartConfig[] = [];
	if (config.learned_positions) parts.push({ kind: 'learned', offset: config.position_offset });
	if (config.rel_pos_buckets > 0 && config.max_rel_pos > 0) {
		parts.push({ kind: 'relative-bias', buckets: config.rel_pos_buckets, maxDistance: config.max_rel_pos });
	}
	const [first] = parts;
	if (first === undefined) return { kind: 'none' };
	return parts.length === 1 ? first : { kind: 'combined', parts };
}
