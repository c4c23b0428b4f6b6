/** @file One transformer layer: mixer, cross-attention where there is an encoder, feed-forward. */
import type { Tensor } from '../graph/tensor.ts';
import { crossAttention } from './cross-attention.ts';
import { dropout, dropPath } from './dropout.ts';
import { feedForwards } from './feed-forward/feed-forward.ts';
import type { LayerContext } from './layer-context.ts';
import type { Layer } from './layer-stack.ts';
import { mixers } from './mixer/mixer.ts';
import type { ParameterScope } from './parameters.ts';
import type { PartConfig } from './part.ts';
import type { Residual } from './residual/residual.ts';

export interface LayerParts {
	readonly mixer: PartConfig;
	readonly feedForward: PartConfig;
	readonly residual: Residual;
	readonly crossAttention: boolean;
	/** Rate of stochastic depth in this pass, by layer. */
	readonly dropPath: number;
	readonly layers: number;
}

/** Makes a layer's parameters in `scope`. */
export function transformerLayer(scope: ParameterScope, parts: LayerParts, context: LayerContext): Layer {
	const mixer = mixers.build(parts.mixer, scope, context);
	const mixerNorm = context.norm(scope.child(`${mixer.name}_layer_norm`), context.dim);
	const cross = parts.crossAttention ? crossAttention(scope, context) : undefined;
	const crossNorm = cross && context.norm(scope.child('encoder_attn_layer_norm'), context.dim);
	const feedForward = feedForwards.build(parts.feedForward, scope, context);
	const finalNorm = context.norm(scope.child('final_layer_norm'), context.dim);
	const { connect } = parts.residual;
	return {
		states: mixer.states,
		apply: (input, pass, { state, memory }) => {
			const join = (branch: Tensor, site: string): Tensor =>
				dropPath(dropout(branch, context.dropout.hidden, pass, site), parts.dropPath, parts.layers, pass, site);
			let next: readonly Tensor[] = [];
			let x = connect(input, mixerNorm, (normed) => {
				const mixed = mixer.apply(normed, pass, state);
				next = mixed.state;
				return join(mixed.output, mixer.name);
			});
			if (cross !== undefined && crossNorm !== undefined) {
				x = connect(x, crossNorm, (normed) => {
					const keysAndValues = (memory ?? cross.memory(pass.memory)) as readonly [Tensor, Tensor];
					return join(cross.apply(normed, pass, keysAndValues).output, 'encoder_attn');
				});
			}
			let auxiliaryLosses: readonly Tensor[] = [];
			x = connect(x, finalNorm, (normed) => {
				const result = feedForward.apply(normed, pass);
				auxiliaryLosses = result.auxiliaryLosses ?? [];
				return join(result.output, 'ffn');
			});
			return { x, state: next, auxiliaryLosses };
		},
		memory: (hidden) => cross?.memory(hidden) ?? [],
		flops: (contextLength, sourceLength) =>
			mixer.flops(contextLength) + feedForward.flops + (cross?.flops(sourceLength) ?? 0),
	};
}
