/** @file `model.decoder` and `model.encoder`: whole TorchScale models, on tokens or on given embeddings. */
import { ShapeError } from '../../base/errors.ts';
import type { HostTensor } from '../../base/host-tensor.ts';
import { validate } from '../../base/validate.ts';
import { div } from '../../graph/ops/arithmetic.ts';
import { cast } from '../../graph/ops/cast.ts';
import { equal, greaterEqual } from '../../graph/ops/compare.ts';
import { crossEntropy } from '../../graph/ops/cross-entropy.ts';
import { flattenRows, reshape } from '../../graph/ops/movement.ts';
import { sum } from '../../graph/ops/reduction.ts';
import type { Dim } from '../../graph/shape.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { type StackConfig, stackConfig } from '../../models/stack-config.ts';
import { outputLayer, outputLogits, type StackInput, type TextStack, textStack } from '../../models/text-stack.ts';
import {
	type TorchscaleConfig,
	torchscaleConfig,
	torchscaleStack,
	unsupportedTorchscale,
} from '../../models/torchscale-config.ts';
import { ParameterScope, ParameterTree } from '../../nn/parameters.ts';
import { Pass } from '../../nn/pass.ts';
import type { GoldenCase } from './golden-case.ts';
import { caseInputs, passOver } from './module-scope.ts';
import { type BuiltCase, defineParityKind, type ParityOptions } from './parity-kind.ts';
import { runStepByStep } from './step-by-step.ts';

for (const side of ['decoder', 'encoder'] as const) {
	defineParityKind({
		kind: `model.${side}`,
		config: torchscaleConfig,
		unsupported: (config) => {
			const later = unsupportedTorchscale(config);
			return later.length > 0 ? later.join(', ') : undefined;
		},
		build: (config, golden, options) => build(side, config, golden, options),
	});
}

/** One side's settings as the stack wants them. */
export function stackOf(
	config: TorchscaleConfig,
	side: 'encoder' | 'decoder',
	{ layerMode }: ParityOptions,
): StackConfig {
	return validate(stackConfig, { ...torchscaleStack(config, side), layerMode }, side);
}

/** Mean cross-entropy over the labels that are not ignored: logits [..., vocab], labels [...]. */
export function meanLoss(logits: Tensor, labels: Tensor): Tensor {
	const counted = cast(greaterEqual(labels, 0), 'float32');
	return div(sum(crossEntropy(flattenRows(logits), reshape(labels, [-1]))), sum(counted));
}

function build(
	side: 'encoder' | 'decoder',
	config: TorchscaleConfig,
	golden: GoldenCase,
	options: ParityOptions,
): BuiltCase {
	const parameters = new ParameterTree();
	const scope = ParameterScope.of(parameters);
	const settings = stackOf(config, side, options);
	const inputs = caseInputs(golden);
	const { tokens, token_embeddings: embeddings } = inputs;
	const stack = textStack(settings, {
		tree: parameters,
		scope,
		side,
		causal: side === 'decoder',
		crossAttention: false,
		encoderLayers: side === 'encoder' ? settings.layers : 0,
		decoderLayers: side === 'decoder' ? settings.layers : 0,
		tokens: embeddings === undefined ? { vocabSize: config.vocab_size } : undefined,
		zeroPadding: side === 'encoder',
	});
	const output =
		config.vocab_size > 0 && embeddings === undefined ? outputLayer(scope, stack, config.vocab_size) : undefined;
	const { padding_mask: padding } = inputs;
	const from = stackInput(embeddings, tokens);
	const pass = passOver('tokens' in from ? from.tokens : from.embeddings, { keyMask: padding && equal(padding, 0) });
	const features = stack.apply(from, pass).x;
	const logits = output && outputLogits(features, output);
	return {
		inputs,
		parameters,
		outputs: {
			features,
			...(logits && { logits }),
			...(logits && inputs.labels && { loss: meanLoss(logits, inputs.labels) }),
		},
		...(output !== undefined &&
			golden.outputs.has('incremental_logits') && {
				more: async (values) => ({ incremental_logits: await stepwise(stack, output, golden, values) }),
			}),
	};
}

function stackInput(embeddings: Tensor | undefined, tokens: Tensor | undefined): StackInput {
	if (embeddings !== undefined) return { embeddings };
	if (tokens === undefined) throw new ShapeError('the case has neither tokens nor token_embeddings');
	return { tokens };
}

function stepwise(
	stack: TextStack,
	output: Tensor,
	golden: GoldenCase,
	values: ReadonlyMap<string, HostTensor>,
): Promise<HostTensor> {
	return runStepByStep({
		x: golden.inputs.get('tokens') as HostTensor,
		states: stack.states.map((state) => ({ dtype: 'float32', ...state })),
		feeds: Object.fromEntries(values),
		step: (tokens, positions, state) => {
			const [batch, time] = tokens.shape as [Dim, Dim];
			const axis = stack.states[0]?.growsAlong as number;
			const pass = new Pass({ batch, time, past: state[0]?.shape[axis] as Dim, positions });
			const stepped = stack.apply({ tokens }, pass, { state });
			return { output: outputLogits(stepped.x, output), state: stepped.state };
		},
	});
}
