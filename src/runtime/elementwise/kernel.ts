/**
 * @file A second way to run a graph, for elementwise updates of large state (optimizers, averages): the whole expression
 * becomes one SIMD loop in WebAssembly that reads and writes every array once and works in place. The engine would make
 * one pass over memory for each op.
 */
import { ShapeError } from '../../base/errors.ts';
import { evaluate } from '../../graph/evaluate.ts';
import { optimize } from '../../graph/passes/optimize.ts';
import { ndarray } from '../../graph/reference.ts';
import { formatShape, shapesEqual } from '../../graph/shape.ts';
import { type GraphNode, type InputAttributes, type Tensor, topologicalOrder } from '../../graph/tensor.ts';
import {
	addI32,
	type Code,
	constI32,
	getLocal,
	loopWhileLess,
	moduleWith,
	type SimdOp,
	setLocal,
	simd,
	type ValueType,
} from './wasm-module.ts';

/** SIMD form of each op: instructions after its operands are on the stack. */
const INSTRUCTIONS: Readonly<Record<string, SimdOp>> = {
	add: 'f32x4.add',
	sub: 'f32x4.sub',
	mul: 'f32x4.mul',
	div: 'f32x4.div',
	minimum: 'f32x4.min',
	maximum: 'f32x4.max',
	sqrt: 'f32x4.sqrt',
	neg: 'f32x4.neg',
	abs: 'f32x4.abs',
	floor: 'f32x4.floor',
	ceil: 'f32x4.ceil',
	round: 'f32x4.nearest',
	equal: 'f32x4.eq',
	less: 'f32x4.lt',
	greater: 'f32x4.gt',
	lessEqual: 'f32x4.le',
	greaterEqual: 'f32x4.ge',
};

/** Ops with a form of their own. */
const SPECIAL = new Set(['sign', 'where', 'reciprocal', 'stopGradient', 'constant', 'input']);

/** What a compiled kernel needs: which arrays and scalars, in which order. */
export interface ElementwiseKernel {
	/** Names of the array inputs, in the order of their addresses. */
	readonly arrays: readonly string[];
	/** Names of the outputs; an output may share its address with an input. */
	readonly outputs: readonly string[];
	/** Names of the scalar graph inputs. */
	readonly scalarInputs: readonly string[];
	readonly module: WebAssembly.Module;
	/** Values of the scalars the loop reads, from the scalar inputs. */
	scalars(values: Readonly<Record<string, number>>): number[];
}

/** Whether every op of the expression has a SIMD form, so that compileElementwise accepts it. */
export function isElementwise(outputs: Readonly<Record<string, Tensor>>): boolean {
	return topologicalOrder(optimize(Object.values(outputs))).every(
		(node) =>
			node.outputs.every((output) => output.rank === 0) || node.op.name in INSTRUCTIONS || SPECIAL.has(node.op.name),
	);
}

/**
 * Compiles float32 expressions over arrays of one shape and scalars. All arrays are padded to whole groups of four.
 * @throws ShapeError for an op without SIMD form or arrays that differ in shape
 */
export function compileElementwise(outputs: Readonly<Record<string, Tensor>>): ElementwiseKernel {
	const names = Object.keys(outputs);
	const results = optimize(Object.values(outputs));
	const order = topologicalOrder(results);
	const isScalar = (tensor: Tensor): boolean => tensor.rank === 0;
	const vectors = order.filter((node) => !isScalar(node.outputs[0] as Tensor));
	checkShapes(vectors);
	const arrays = vectors.filter((node) => node.op.name === 'input');
	const readScalars = [...new Set(vectors.flatMap((node) => node.inputs.filter(isScalar)))];

	// Parameters: addresses of arrays, addresses of outputs, length in bytes, then the scalars.
	const parameters: ValueType[] = [
		...arrays.map(() => 'i32' as const),
		...names.map(() => 'i32' as const),
		'i32',
		...readScalars.map(() => 'f32' as const),
	];
	const lengthLocal = arrays.length + names.length;
	const locals: ValueType[] = ['i32'];
	const position = parameters.length;
	const slots = new Map<Tensor, number>();
	const slot = (tensor: Tensor): number => {
		let index = slots.get(tensor);
		if (index === undefined) {
			index = parameters.length + locals.push('v128') - 1;
			slots.set(tensor, index);
		}
		return index;
	};
	const code: Code = [];
	readScalars.forEach(
		(scalar, i) => void code.push(...getLocal(lengthLocal + 1 + i), ...simd('f32x4.splat'), ...setLocal(slot(scalar))),
	);
	const address = (parameter: number): number[] => [...getLocal(parameter), ...getLocal(position), ...addI32()];
	const body: Code = [];
	arrays.forEach(
		(node, i) => void body.push(...address(i), ...simd('v128.load'), ...setLocal(slot(node.outputs[0] as Tensor))),
	);
	for (const node of vectors) {
		if (node.op.name === 'input') continue;
		body.push(...instructions(node, (tensor) => getLocal(slot(tensor))), ...setLocal(slot(node.outputs[0] as Tensor)));
	}
	results.forEach(
		(result, i) => void body.push(...address(arrays.length + i), ...getLocal(slot(result)), ...simd('v128.store')),
	);
	body.push(...getLocal(position), ...constI32(16), ...addI32(), ...setLocal(position));
	code.push(...loopWhileLess(position, lengthLocal, body));

	const scalarNodes = order.filter((node) => node.op.name === 'input' && isScalar(node.outputs[0] as Tensor));
	const scalarInputs = scalarNodes.map((node) => (node.attributes as InputAttributes).name);
	return {
		arrays: arrays.map((node) => (node.attributes as InputAttributes).name),
		outputs: names,
		scalarInputs,
		module: new WebAssembly.Module(moduleWith(parameters, locals, code)),
		scalars: (values) => {
			const feeds = new Map(
				scalarNodes.map((node, i) => {
					const value = values[scalarInputs[i] as string];
					if (value === undefined) throw new ShapeError(`the scalar "${scalarInputs[i]}" was not given`);
					return [node.outputs[0] as Tensor, ndarray('float32', [], [value])] as const;
				}),
			);
			return evaluate(readScalars, feeds).map((result) => Math.fround(result.data[0] as number));
		},
	};
}

function checkShapes(vectors: readonly GraphNode[]): void {
	const [first] = vectors;
	if (first === undefined) throw new ShapeError('an elementwise kernel needs at least one array');
	for (const node of vectors) {
		for (const output of node.outputs) {
			if (!shapesEqual(output.shape, (first.outputs[0] as Tensor).shape)) {
				throw new ShapeError('arrays of an elementwise kernel differ in shape', {
					expected: formatShape((first.outputs[0] as Tensor).shape),
					found: formatShape(output.shape),
				});
			}
		}
	}
}

/** Constant 1.0 in four lanes, without a memory access. */
const ONE: readonly number[] = [0xfd, 0x0c, ...new Array(4).fill([0x00, 0x00, 0x80, 0x3f]).flat()];

function instructions(node: GraphNode, read: (tensor: Tensor) => number[]): number[] {
	const operands = node.inputs.map(read);
	const direct = INSTRUCTIONS[node.op.name];
	if (direct !== undefined) return [...operands.flat(), ...simd(direct)];
	const [a] = operands as [number[]];
	switch (node.op.name) {
		case 'stopGradient':
			return a;
		case 'reciprocal':
			return [...ONE, ...a, ...simd('f32x4.div')];
		case 'sign': {
			const zero = [...a, ...a, ...simd('f32x4.sub')];
			const side = (test: SimdOp): number[] => [...a, ...zero, ...simd(test), ...ONE, ...simd('v128.and')];
			return [...side('f32x4.gt'), ...side('f32x4.lt'), ...simd('f32x4.sub')];
		}
		case 'where':
			return [...(operands[1] as number[]), ...(operands[2] as number[]), ...a, ...simd('v128.bitselect')];
		default:
			throw new ShapeError(`the op "${node.op.name}" has no elementwise kernel`, {
				fix: 'run this graph on the engine',
			});
	}
}
