/** @file Activation functions by name. */
import { z } from 'zod';
import { gelu, geluTanh, quickGelu, relu, sigmoid, silu, squaredRelu, tanh } from '../graph/ops/unary.ts';
import type { Tensor } from '../graph/tensor.ts';

const ACTIVATIONS = {
	gelu,
	'gelu-tanh': geluTanh,
	relu,
	silu,
	'squared-relu': squaredRelu,
	'quick-gelu': quickGelu,
	tanh,
	sigmoid,
	identity: (x: Tensor) => x,
} as const;

export type ActivationName = keyof typeof ACTIVATIONS;

export const activationName = z
	.enum(Object.keys(ACTIVATIONS) as [ActivationName, ...ActivationName[]])
	.describe('Activation: gelu (exact, with erf), gelu-tanh (GPT-2), relu, silu (swish), squared-relu, ...');

/** The function behind a name, elementwise. */
export function activation(name: ActivationName): (x: Tensor) => Tensor {
	return ACTIVATIONS[name];
}
