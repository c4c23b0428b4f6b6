/** @file Computes at build time what depends on constants alone, as long as the result stays small. */
import { hostTensor } from '../../base/host-tensor.ts';
import { constant } from '../ops/source.ts';
import { type NDArray, ndarray } from '../reference.ts';
import { rewrite } from '../rewrite.ts';
import { isStatic, SymbolicDim } from '../shape.ts';
import { type ConstantAttributes, type GraphNode, isFloat, type Tensor } from '../tensor.ts';

/** Larger results are cheaper to compute than to store. */
const FOLDED_ELEMENTS = 4096;

const KEPT = new Set(['constant', 'input', 'placeholder', 'scan', 'checkpoint', 'dimValue']);

export function foldConstants(outputs: readonly Tensor[]): Tensor[] {
	return rewrite(outputs, (node) => {
		if (KEPT.has(node.op.name) || node.inputs.length === 0) return undefined;
		if (!node.inputs.every((input) => input.node.op.name === 'constant')) return undefined;
		if (!node.outputs.every((output) => isSmall(output)) || !hasStaticAttributes(node)) return undefined;
		const results = node.op.reference(node.inputs.map(arrayOf), node.attributes);
		// An integer division by zero is left to the engine.
		if (results.some(({ dtype, data }) => !isFloat(dtype) && !data.every(Number.isFinite))) return undefined;
		return results.map((result, i) => toConstant(result, node.outputs[i] as Tensor));
	});
}

function isSmall({ shape, dtype }: Tensor): boolean {
	return dtype !== 'float16' && isStatic(shape) && shape.reduce((a, b) => a * b, 1) <= FOLDED_ELEMENTS;
}

function hasStaticAttributes(node: GraphNode): boolean {
	// A slice of known size may still begin at a symbolic place.
	const values = Object.values(node.attributes ?? {}).flat();
	return !values.some((value) => value instanceof SymbolicDim) && node.inputs.every(isSmall);
}

function arrayOf(tensor: Tensor): NDArray {
	const { value } = tensor.node.attributes as ConstantAttributes;
	return ndarray(value.dtype, value.dims, Float64Array.from(value.data as Float32Array, Number));
}

function toConstant(result: NDArray, like: Tensor): Tensor {
	return constant(hostTensor(like.dtype, result.dims, [...result.data]));
}
