/** @file `norm.rms` and `norm.layer`. */
import { z } from 'zod';
import { norms } from '../../nn/norm/norm.ts';
import { ParameterTree } from '../../nn/parameters.ts';
import type { PartConfig } from '../../nn/part.ts';
import type { GoldenCase } from './golden-case.ts';
import { caseInputs, moduleScope } from './module-scope.ts';
import { type BuiltCase, defineParityKind } from './parity-kind.ts';

function build(config: PartConfig, size: number, golden: GoldenCase): BuiltCase {
	const parameters = new ParameterTree();
	const norm = norms.build(config, moduleScope(parameters), size);
	const inputs = caseInputs(golden);
	return { inputs, parameters, outputs: inputs.x === undefined ? {} : { y: norm(inputs.x) } };
}

const size = z.int().min(1).max(1_000_000);

defineParityKind({
	kind: 'norm.rms',
	config: z.looseObject({ dim: size, eps: z.number().positive(), elementwise_affine: z.boolean() }),
	build: ({ dim, eps, elementwise_affine }, golden) =>
		build({ kind: 'rms', epsilon: eps, affine: elementwise_affine }, dim, golden),
});

defineParityKind({
	kind: 'norm.layer',
	config: z.looseObject({
		normalized_shape: z.union([size.transform((n) => [n]), z.array(size).min(1)]),
		eps: z.number().positive(),
		elementwise_affine: z.boolean(),
	}),
	unsupported: ({ normalized_shape }) => (normalized_shape.length > 1 ? 'normalized_shape of several axes' : undefined),
	build: ({ normalized_shape, eps, elementwise_affine }, golden) =>
		build(
			{ kind: 'layer', epsilon: eps, affine: elementwise_affine, bias: golden.params.has('bias') },
			normalized_shape[0] as number,
			golden,
		),
});
