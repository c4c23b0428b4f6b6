/** @file Runs a graph with the plain float64 references of its ops: the yardstick for tests and for constant folding. */
import { inlineCheckpoints } from './passes/inline-checkpoints.ts';
import { type NDArray, ndarray } from './reference.ts';
import type { ScanAttributes } from './scan.ts';
import { evaluateDim, type Shape, SymbolicDim } from './shape.ts';
import { type GraphNode, type Subgraph, type Tensor, topologicalOrder } from './tensor.ts';

/**
 * Values of `outputs` given values of graph inputs and placeholders. Slow; for small graphs.
 * Sizes of symbolic dimensions are read off the given values.
 */
export function evaluate(outputs: readonly Tensor[], feeds: ReadonlyMap<Tensor, NDArray>): NDArray[] {
	const sizes = new Map<string, number>();
	for (const [tensor, value] of feeds) {
		tensor.shape.forEach((size, axis) => {
			if (size instanceof SymbolicDim && size.terms.size === 1) sizes.set(size.key, value.dims[axis] as number);
		});
	}
	return run(inlineCheckpoints(outputs), new Map(feeds), sizes);
}

function run(outputs: readonly Tensor[], values: Map<Tensor, NDArray>, sizes: ReadonlyMap<string, number>): NDArray[] {
	for (const node of topologicalOrder(outputs, (n) => n.outputs.every((output) => values.has(output)))) {
		if (node.outputs.every((output) => values.has(output))) continue;
		const inputs = node.inputs.map((input) => {
			const value = values.get(input);
			if (value === undefined) throw new Error(`no value for ${input}`);
			return value;
		});
		const results =
			node.op.name === 'scan' ? runScan(node, inputs, sizes) : node.op.reference(inputs, bind(node.attributes, sizes));
		node.outputs.forEach((output, i) => void values.set(output, results[i] as NDArray));
	}
	return outputs.map((output) => values.get(output) as NDArray);
}

function runScan(node: GraphNode, inputs: readonly NDArray[], sizes: ReadonlyMap<string, number>): NDArray[] {
	const { body, carries, slices, length, reverse } = node.attributes as ScanAttributes;
	const count = evaluateDim(length, sizes);
	let carry = inputs.slice(0, carries);
	const stacked: NDArray[][] = body.results.slice(carries).map(() => []);
	for (let step = 0; step < count; step++) {
		const at = reverse ? count - 1 - step : step;
		const here = inputs.slice(carries, carries + slices).map((value) => sliceFirst(value, at));
		const results = runBody(body, [...carry, ...here, ...inputs.slice(carries + slices)], sizes);
		carry = results.slice(0, carries);
		results.slice(carries).forEach((result, i) => {
			(stacked[i] as NDArray[])[at] = result;
		});
	}
	return [...carry, ...stacked.map((parts, i) => stackFirst(parts, body.results[carries + i] as Tensor, sizes))];
}

function runBody(body: Subgraph, args: readonly NDArray[], sizes: ReadonlyMap<string, number>): NDArray[] {
	return run(
		inlineCheckpoints(body.results),
		new Map(body.parameters.map((parameter, i) => [parameter, args[i] as NDArray])),
		sizes,
	);
}

function sliceFirst({ dtype, dims, data }: NDArray, at: number): NDArray {
	const rest = dims.slice(1);
	const size = data.length / (dims[0] as number);
	return { dtype, dims: rest, data: data.slice(at * size, (at + 1) * size) };
}

function stackFirst(parts: readonly NDArray[], like: Tensor, sizes: ReadonlyMap<string, number>): NDArray {
	const dims = parts[0]?.dims ?? like.shape.map((size) => evaluateDim(size, sizes));
	return ndarray(
		like.dtype,
		[parts.length, ...dims],
		parts.flatMap((part) => [...part.data]),
	);
}

/** Attributes with every symbolic size replaced by its number. */
function bind(attributes: unknown, sizes: ReadonlyMap<string, number>): unknown {
	if (attributes === null || typeof attributes !== 'object' || sizes.size === 0) return attributes;
	return Object.fromEntries(Object.entries(attributes).map(([key, value]) => [key, bindValue(value, sizes)]));
}

function bindValue(value: unknown, sizes: ReadonlyMap<string, number>): unknown {
	if (value instanceof SymbolicDim) return evaluateDim(value, sizes);
	if (Array.isArray(value) && value.some((item) => item instanceof SymbolicDim)) {
		return (value as Shape).map((item) => evaluateDim(item, sizes));
	}
	return value;
}
