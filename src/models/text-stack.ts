/**
 * @file Embeddings, layers and final norm: the body that decoders, encoders and both sides of an encoder-decoder share.
 * Order of the embedding step as in TorchScale: scale tokens, add positions, norm, dropout, zero the padding.
 */
import { ConfigError, ShapeError } from '../base/errors.ts';
import { add, mul } from '../graph/ops/arithmetic.ts';
import { cast } from '../graph/ops/cast.ts';
import { embedding } from '../graph/ops/indexing.ts';
import { matmul } from '../graph/ops/matmul.ts';
import { expandDims } from '../graph/ops/movement.ts';
import type { Tensor } from '../graph/tensor.ts';
import { dropout } from '../nn/dropout.ts';
import { type Initialization, initializations } from '../nn/initialization.ts';
import { scaled } from '../nn/initializers.ts';
import { transformerLayer } from '../nn/layer.ts';
import type { LayerContext } from '../nn/layer-context.ts';
import { type LayerInputs, type LayerOutputs, layerStack, type StackState } from '../nn/layer-stack.ts';
import { linears } from '../nn/linear.ts';
import { norms } from '../nn/norm/norm.ts';
import type { ParameterScope, ParameterTree } from '../nn/parameters.ts';
import type { Pass } from '../nn/pass.ts';
import { positions } from '../nn/position/position.ts';
import { residuals } from '../nn/residual/residual.ts';
import { type StackConfig, selectsLayer } from './stack-config.ts';

/** From this depth on `auto` runs the layers as a loop: below it a chain is faster, above it the engine takes long to load. */
const SCAN_FROM_LAYERS = 24;

export interface TextStackOptions {
	readonly tree: ParameterTree;
	readonly scope: ParameterScope;
	readonly side: 'encoder' | 'decoder';
	readonly causal: boolean;
	readonly crossAttention: boolean;
	/** Layers of both sides of the model, for depth-dependent schemes; 0 where a side is missing. */
	readonly encoderLayers: number;
	readonly decoderLayers: number;
	/** Table of token embeddings [vocab, dim]; made here when a vocabulary size is given, absent when embeddings are fed. */
	readonly tokens: { readonly vocabSize: number } | { readonly weight: Tensor } | undefined;
	/** Padded embeddings become zero before the first layer. */
	readonly zeroPadding: boolean;
}

/** What goes into a stack: ids [batch, time], or vectors [batch, time, dim] in place of the token embeddings. */
export type StackInput = { readonly tokens: Tensor } | { readonly embeddings: Tensor };

export interface TextStack {
	readonly config: StackConfig;
	/** Table of token embeddings [vocab, dim], if any. */
	readonly embedTokens: Tensor | undefined;
	readonly init: Initialization;
	/** Longest text, or undefined where positions set no limit. */
	readonly maxLength: number | undefined;
	readonly states: readonly StackState[];
	readonly mode: 'scan' | 'unroll';
	/** Hidden states after the final norm [batch, time, dim]. */
	readonly apply: (from: StackInput, pass: Pass, inputs?: LayerInputs) => LayerOutputs;
	/** What the layers keep of an encoder output. */
	readonly memory: (hidden: Tensor) => readonly Tensor[];
	/** Floating-point operations for one token, without the output layer. */
	readonly flops: (contextLength: number, sourceLength?: number) => number;
}

/**
 * Builds a stack: makes its parameters and returns functions over tensors.
 * @throws ConfigError when settings contradict each other
 */
export function textStack(config: StackConfig, options: TextStackOptions): TextStack {
	const { scope, side, encoderLayers, decoderLayers, crossAttention } = options;
	const { dim, heads } = config;
	const init = initializations.build(config.init, { dim, layers: config.layers });
	const residual = residuals.build(config.residual, { side, encoderLayers, decoderLayers });
	const embedTokens = tokenTable(options, init, dim);
	const position = positions.build(config.position, scope, {
		dim,
		heads,
		maxLength: config.maxLength,
		side,
		crossAttention,
		init,
	});
	const norm: LayerContext['norm'] = (at, size) => norms.build(config.norm, at, size);
	const embeddingNorm = config.embedding.norm ? norm(scope.child('layernorm_embedding'), dim) : undefined;
	const context: LayerContext = {
		dim,
		heads,
		causal: options.causal,
		position,
		dropout: { hidden: config.dropout, attention: config.attentionDropout, activation: config.activationDropout },
		innerNorm: residual.innerNorm,
		norm,
		linear: (at, { inputs, outputs, bias, use }) =>
			linears.build(config.linear, at, {
				inputs,
				outputs,
				bias,
				weightInit: scaled(init.weight(use), residual.gain(use)),
				biasInit: init.bias(use, inputs),
			}),
	};
	const mode = layerMode(config);
	const layers = layerStack({
		tree: options.tree,
		scope,
		name: 'layers',
		count: config.layers,
		mode,
		checkpointing: config.checkpointing === 'layer',
		build: (at, index) => {
			const parts = partsOfLayer(config, index);
			const { layers: count, dropPath } = config;
			return transformerLayer(at, { ...parts, residual, crossAttention, dropPath, layers: count }, context);
		},
	});
	const finalNorm = residual.finalNorm ? norm(scope.child('layer_norm'), dim) : undefined;
	const factor = config.embedding.scale === 'sqrt-dim' ? Math.sqrt(dim) : config.embedding.scale;

	const embed = (from: StackInput, pass: Pass): Tensor => {
		let x = 'embeddings' in from ? from.embeddings : embedding(requireTable(embedTokens), from.tokens);
		x = mul(x, factor);
		if (position.embed !== undefined) x = add(x, position.embed(pass));
		x = dropout(embeddingNorm?.(x) ?? x, config.embedding.dropout, pass, `${scope.prefix}.embedding`);
		const { keyMask } = pass.options;
		return options.zeroPadding && keyMask !== undefined ? mul(x, expandDims(cast(keyMask, x.dtype), -1)) : x;
	};
	return {
		config,
		embedTokens,
		init,
		maxLength: position.limited ? config.maxLength : undefined,
		states: layers.states,
		mode,
		apply: (from, pass, inputs) => {
			const result = layers.apply(embed(from, pass), pass, inputs);
			return { ...result, x: finalNorm?.(result.x) ?? result.x };
		},
		memory: layers.memory,
		flops: (contextLength, sourceLength = 0) => layers.flops(contextLength, sourceLength),
	};
}

function tokenTable({ tokens, scope }: TextStackOptions, init: Initialization, dim: number): Tensor | undefined {
	if (tokens === undefined) return undefined;
	if ('weight' in tokens) return tokens.weight;
	return scope
		.child('embed_tokens')
		.parameter('weight', [tokens.vocabSize, dim], init.weight('embedding'), { role: 'embedding' });
}

function requireTable(table: Tensor | undefined): Tensor {
	if (table === undefined)
		throw new ShapeError('the model was built without token embeddings', { fix: 'feed embeddings' });
	return table;
}

function layerMode(config: StackConfig): 'scan' | 'unroll' {
	if (config.layerOverrides.length > 0) {
		if (config.layerMode === 'scan') {
			throw new ConfigError('layers that differ cannot run as one loop', {
				where: 'model.layerMode',
				expected: 'auto or unroll where there are layerOverrides',
				found: 'scan',
			});
		}
		return 'unroll';
	}
	if (config.layerMode !== 'auto') return config.layerMode;
	return config.layers >= SCAN_FROM_LAYERS ? 'scan' : 'unroll';
}

function partsOfLayer(config: StackConfig, index: number | undefined) {
	let { mixer, feedForward } = config;
	if (index === undefined) return { mixer, feedForward };
	for (const override of config.layerOverrides) {
		if (!selectsLayer(override.layers, index)) continue;
		mixer = override.mixer ?? mixer;
		feedForward = override.feedForward ?? feedForward;
	}
	return { mixer, feedForward };
}

/**
 * The output layer: hidden [..., dim] -> [..., vocab]; the token table itself where tied, else `output_projection.weight`.
 */
export function outputLayer(
	scope: ParameterScope,
	stack: Pick<TextStack, 'config' | 'embedTokens' | 'init'>,
	vocabSize: number,
): Tensor {
	if (stack.config.embedding.tied && stack.embedTokens !== undefined) return stack.embedTokens;
	return scope
		.child('output_projection')
		.parameter('weight', [vocabSize, stack.config.dim], stack.init.weight('output'), { role: 'output' });
}

/** hidden [..., dim], weight [vocab, dim] -> [..., vocab]. */
export function outputLogits(hidden: Tensor, weight: Tensor): Tensor {
	return matmul(hidden, weight, { transposeB: true });
}
