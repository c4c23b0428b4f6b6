/** @file Reverse-mode differentiation: walks the graph backwards and asks every op for its gradient. */
import { ShapeError } from '../base/errors.ts';
import { callerLine } from './caller.ts';
import { add } from './ops/arithmetic.ts';
import { expand } from './ops/movement.ts';
import { scalar } from './ops/source.ts';
import { dependents } from './rewrite.ts';
import { formatShape, shapesEqual } from './shape.ts';
import { isFloat, type Tensor, topologicalOrder } from './tensor.ts';

/**
 * Gradients of a scalar with respect to tensors it depends on, each of the shape of its tensor (zeros where there is
 * no path). The result is graph again; gradients of gradients are not supported for every op.
 * @throws ShapeError when `loss` is not a float scalar
 */
export function gradients(loss: Tensor, parameters: readonly Tensor[]): Tensor[] {
	if (loss.rank !== 0 || !isFloat(loss.dtype)) {
		throw new ShapeError(`gradients are taken of a scalar${callerLine()}`, {
			where: 'gradients',
			expected: 'a float tensor of shape []',
			found: `${loss.dtype}${formatShape(loss.shape)}`,
			fix: 'reduce it first, for example with mean(x)',
		});
	}
	return vectorJacobian([loss], [scalar(1, loss.dtype)], parameters).map(
		(gradient, i) => gradient ?? zerosLike(parameters[i] as Tensor),
	);
}

/** Zeros of the shape and dtype of `x`. */
export function zerosLike(x: Tensor): Tensor {
	return expand(scalar(0, x.dtype), x.shape);
}

/**
 * Sum over outputs of (cotangent . d output / d parameter), or undefined for a parameter that no output depends on.
 * Each cotangent has the shape of its output; an undefined one counts as zero.
 */
export function vectorJacobian(
	outputs: readonly Tensor[],
	cotangents: readonly (Tensor | undefined)[],
	parameters: readonly Tensor[],
): (Tensor | undefined)[] {
	const needed = dependents(outputs, parameters);
	const collected = new Map<Tensor, Tensor>();
	const accumulate = (tensor: Tensor, gradient: Tensor): void => {
		if (!shapesEqual(gradient.shape, tensor.shape) || gradient.dtype !== tensor.dtype) {
			throw new ShapeError('a gradient has another type than its tensor', {
				where: tensor.node.op.name,
				expected: `${tensor.dtype}${formatShape(tensor.shape)}`,
				found: `${gradient.dtype}${formatShape(gradient.shape)} from ${gradient.node.op.name}`,
			});
		}
		const present = collected.get(tensor);
		collected.set(tensor, present === undefined ? gradient : add(present, gradient));
	};
	outputs.forEach((output, i) => {
		const cotangent = cotangents[i];
		if (cotangent !== undefined && needed.has(output)) accumulate(output, cotangent);
	});
	const sources = new Set(parameters);
	for (const node of topologicalOrder(outputs).reverse()) {
		if (node.op.gradient === undefined || !node.inputs.some((input) => needed.has(input))) continue;
		const outputGradients = node.outputs.map((output) => collected.get(output));
		if (outputGradients.every((gradient) => gradient === undefined)) continue;
		const needs = (i: number): boolean => needed.has(node.inputs[i] as Tensor);
		const inputGradients = node.op.gradient(
			{ inputs: node.inputs, outputs: node.outputs, attributes: node.attributes, node, needs },
			outputGradients,
		);
		node.inputs.forEach((input, i) => {
			const gradient = inputGradients[i];
			if (gradient !== undefined && needed.has(input) && isFloat(input.dtype)) accumulate(input, gradient);
		});
		for (const output of node.outputs) if (!sources.has(output)) collected.delete(output);
	}
	return parameters.map((parameter) => collected.get(parameter));
}
