/** @file Parameters of a single module under their official names. */
import { input } from '../../graph/ops/source.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { kaimingUniform } from '../../nn/initializers.ts';
import type { LayerContext } from '../../nn/layer-context.ts';
import { linears } from '../../nn/linear.ts';
import { norms } from '../../nn/norm/norm.ts';
import { ParameterScope, type ParameterTree, specOf } from '../../nn/parameters.ts';
import { Pass, type PassOptions } from '../../nn/pass.ts';
import type { Position } from '../../nn/position/position.ts';
import type { GoldenCase } from './golden-case.ts';

/** A scope in `tree` whose parameters lose the leading `prefix`. */
export function moduleScope(tree: ParameterTree, prefix = ''): ParameterScope {
	return ParameterScope.from((name, shape, initializer, options) => {
		const official = name.startsWith(prefix) ? name.slice(prefix.length) : name;
		const tensor = input(official, 'float32', shape);
		tree.add(specOf(official, shape, initializer, options, tensor));
		return tensor;
	});
}

/** The surroundings of one module: dense projections, LayerNorm, no dropout. */
export function moduleContext(
	settings: Pick<LayerContext, 'dim' | 'heads' | 'causal'> & {
		readonly position?: Position;
		readonly epsilon?: number;
	},
): LayerContext {
	const { dim, heads, causal, position = { limited: false }, epsilon = 1e-5 } = settings;
	return {
		dim,
		heads,
		causal,
		position,
		dropout: { hidden: 0, attention: 0, activation: 0 },
		innerNorm: false,
		norm: (scope, size) => norms.build({ kind: 'layer', epsilon, affine: true, bias: true }, scope, size),
		linear: (scope, { inputs, outputs, bias }) =>
			linears.build({ kind: 'dense' }, scope, {
				inputs,
				outputs,
				bias,
				weightInit: kaimingUniform,
				biasInit: kaimingUniform,
			}),
	};
}

/** Graph inputs for all inputs of a case, with their static shapes. */
export function caseInputs(golden: GoldenCase): Record<string, Tensor> {
	return Object.fromEntries(
		[...golden.inputs].map(([name, { dtype, dims }]) => [name, input(`input ${name}`, dtype, dims)]),
	);
}

/** A pass over [batch, time, ...] tensors. */
export function passOver(x: Tensor, options: Partial<PassOptions> = {}): Pass {
	return new Pass({ batch: x.shape[0] as number, time: x.shape[1] as number, ...options });
}
