/** @file `mixer.attention`: self-attention and cross-attention without the options of later systems. */
import { z } from 'zod';
import { ShapeError } from '../../base/errors.ts';
import type { HostTensor } from '../../base/host-tensor.ts';
import { equal } from '../../graph/ops/compare.ts';
import { reshape } from '../../graph/ops/movement.ts';
import { type Dim, dim } from '../../graph/shape.ts';
import type { Tensor } from '../../graph/tensor.ts';
import type { StateSpec } from '../../models/language-model.ts';
import { crossAttention } from '../../nn/cross-attention.ts';
import { mixers } from '../../nn/mixer/mixer.ts';
import { ParameterTree } from '../../nn/parameters.ts';
import { Pass } from '../../nn/pass.ts';
import type { Position } from '../../nn/position/position.ts';
import type { GoldenCase } from './golden-case.ts';
import { caseInputs, moduleContext, moduleScope, passOver } from './module-scope.ts';
import { type BuiltCase, defineParityKind } from './parity-kind.ts';
import { runStepByStep } from './step-by-step.ts';

const size = z.int().min(1).max(1_000_000);
const config = z.looseObject({
	embed_dim: size,
	num_heads: size,
	self_attention: z.boolean(),
	encoder_decoder_attention: z.boolean(),
	causal: z.boolean().default(false),
	subln: z.boolean().default(false),
	xpos_rel_pos: z.boolean().default(false),
	layernorm_eps: z.number().positive().default(1e-5),
	incremental: z.boolean().default(false),
	block_size: z.int().nullish(),
});
type Config = z.output<typeof config>;

defineParityKind({
	kind: 'mixer.attention',
	config,
	unsupported: (options) => {
		const later = [
			...(options.subln && !options.encoder_decoder_attention ? ['subln'] : []),
			...(options.xpos_rel_pos ? ['xpos_rel_pos'] : []),
			...(typeof options.block_size === 'number' && options.block_size > 0 ? ['block_size'] : []),
		];
		return later.length > 0 ? later.join(', ') : undefined;
	},
	build: (options, golden) => (options.encoder_decoder_attention ? cross(options, golden) : self(options, golden)),
});

function required(inputs: Readonly<Record<string, Tensor>>, name: string): Tensor {
	const tensor = inputs[name];
	if (tensor === undefined || tensor.rank !== 3) {
		throw new ShapeError(`the case needs an input "${name}"`, {
			expected: '[batch, time, dim]',
			found: String(tensor),
		});
	}
	return tensor;
}

/** 1 = padding, as int64 -> true at real tokens. */
const realTokens = (padding: Tensor | undefined): Tensor | undefined => padding && equal(padding, 0);

/** rel_pos [batch * heads, time, source] as a bias on the scores. */
function biasOf(inputs: Readonly<Record<string, Tensor>>, batch: Dim, heads: number): Tensor | undefined {
	const { rel_pos: given } = inputs;
	return given && reshape(given, [batch, heads, ...given.shape.slice(1)]);
}

function weightsOf(weights: Tensor): Tensor {
	return reshape(weights, [-1, ...weights.shape.slice(2)]);
}

function self(options: Config, golden: GoldenCase): BuiltCase {
	const parameters = new ParameterTree();
	const inputs = caseInputs(golden);
	const query = required(inputs, 'query');
	const { embed_dim, num_heads, causal, layernorm_eps } = options;
	const bias = biasOf(inputs, query.shape[0] as Dim, num_heads);
	const position: Position = { limited: false, ...(bias && { bias: () => bias }) };
	const mixer = mixers.build(
		{ kind: 'attention', bias: golden.params.has('q_proj.bias'), qkNorm: false },
		moduleScope(parameters, 'self_attn.'),
		moduleContext({ dim: embed_dim, heads: num_heads, causal, position, epsilon: layernorm_eps }),
	);
	const pass = passOver(query, { keyMask: realTokens(inputs.key_padding_mask) });
	const { output, weights } = mixer.apply(query, pass, undefined);
	const states = mixer.states.map(
		({ name, shape, growsAlong }): StateSpec => ({
			name,
			dtype: 'float32',
			shape: shape.map((at) => (typeof at === 'string' ? dim(at) : at)),
			...(growsAlong !== undefined && { growsAlong }),
		}),
	);
	return {
		inputs,
		parameters,
		outputs: { attn: output, ...(weights && { attn_weights: weightsOf(weights) }) },
		...(golden.outputs.has('incremental') && {
			more: async (values) => ({
				incremental: await runStepByStep({
					x: golden.inputs.get('query') as HostTensor,
					states,
					feeds: Object.fromEntries(values),
					step: (x, positions, state) => {
						const [batch, time] = x.shape as [Dim, Dim];
						const past = state[0]?.shape[2] as Dim;
						const mixed = mixer.apply(x, new Pass({ batch, time, past, positions }), state);
						return { output: mixed.output, state: mixed.state };
					},
				}),
			}),
		}),
	};
}

function cross(options: Config, golden: GoldenCase): BuiltCase {
	const parameters = new ParameterTree();
	const inputs = caseInputs(golden);
	const [query, key] = [required(inputs, 'query'), required(inputs, 'key')];
	const { embed_dim, num_heads, layernorm_eps } = options;
	const bias = biasOf(inputs, query.shape[0] as Dim, num_heads);
	const attention = crossAttention(
		moduleScope(parameters, 'encoder_attn.'),
		moduleContext({
			dim: embed_dim,
			heads: num_heads,
			causal: false,
			epsilon: layernorm_eps,
			position: { limited: false, ...(bias && { crossBias: () => bias }) },
		}),
	);
	const pass = passOver(query, { memory: key, sourceMask: realTokens(inputs.key_padding_mask) });
	const { output, weights } = attention.apply(query, pass, attention.memory(key));
	return { inputs, parameters, outputs: { attn: output, attn_weights: weightsOf(weights) } };
}
