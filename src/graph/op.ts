/**
 * @file What an op is: shape rule, gradient, lowering, plain reference and samples in one object. Adding an op is adding
 * one object with `defineOp`; the generic test in ops.test.ts then checks shape, value and gradient of every sample.
 */
import { ShapeError } from '../base/errors.ts';
import type { DType } from '../base/host-tensor.ts';
import { callerLine } from './caller.ts';
import type { Emitter } from './emitter.ts';
import type { NDArray } from './reference.ts';
import { formatShape } from './shape.ts';
import { GraphNode, type Tensor, type TensorType } from './tensor.ts';

/** How a test makes one input of a sample. */
export interface SampleInput {
	readonly dims: readonly number[];
	readonly dtype?: DType;
	/** Fixed values; random ones in `range` where absent. */
	readonly values?: readonly number[];
	/** Range of random values, default [-2, 2]. */
	readonly range?: readonly [number, number];
}

/** A case that checks an op: its inputs and attributes. */
export interface OpSample<Attributes> {
	readonly inputs: readonly SampleInput[];
	readonly attributes: Attributes;
	/** Which inputs to check by central differences; default all float inputs. Empty where the value is a step function. */
	readonly differentiable?: readonly number[];
	/** Tolerance of value and gradient against the reference, default 1e-4. */
	readonly tolerance?: number;
}

/** The application whose gradient is asked for. */
export interface GradientContext<Attributes> {
	readonly inputs: readonly Tensor[];
	readonly outputs: readonly Tensor[];
	readonly attributes: Attributes;
	readonly node: GraphNode;
	/** Whether any parameter asked for lies behind input `i`; work for the others can be skipped. */
	readonly needs: (i: number) => boolean;
}

export interface OpDefinition<Attributes> {
	readonly name: string;
	/** Types of the outputs. Throws ShapeError with a message that names the shapes. */
	readonly infer: (inputs: readonly TensorType[], attributes: Attributes) => readonly TensorType[];
	/**
	 * Gradients with respect to the inputs, from gradients of the outputs (undefined: no gradient reaches that output).
	 * Absent: the op has no gradient and blocks none (integers, comparisons).
	 */
	readonly gradient?: (
		context: GradientContext<Attributes>,
		outputGradients: readonly (Tensor | undefined)[],
	) => readonly (Tensor | undefined)[];
	/** Emits ONNX nodes; returns the names of the output values. */
	readonly lower: (
		emitter: Emitter,
		inputs: readonly string[],
		context: LoweringContext<Attributes>,
	) => readonly string[];
	/** Plain TypeScript in float64: the definition of what the op computes. */
	readonly reference: (inputs: readonly NDArray[], attributes: Attributes) => readonly NDArray[];
	readonly samples: readonly OpSample<Attributes>[];
	/** An op that only gives another view of its first input and costs nothing to repeat. */
	readonly view?: boolean;
	/** Structural ops (inputs, loops, aliases) are tested on their own; says where. */
	readonly testedBy?: string;
}

export interface LoweringContext<Attributes> {
	readonly attributes: Attributes;
	readonly inputs: readonly Tensor[];
	readonly outputs: readonly Tensor[];
	readonly node: GraphNode;
}

/** An op whose attributes are not known to the holder. */
// biome-ignore lint/suspicious/noExplicitAny: the one place where attribute types are erased
export type AnyOp = OpDefinition<any>;

const registry = new Map<string, AnyOp>();

/** Registers an op under its name. */
export function defineOp<Attributes>(definition: OpDefinition<Attributes>): OpDefinition<Attributes> {
	if (registry.has(definition.name)) throw new Error(`op "${definition.name}" is defined twice`);
	registry.set(definition.name, definition as AnyOp);
	return definition;
}

/** Every op defined so far, by name. */
export function allOps(): ReadonlyMap<string, AnyOp> {
	return registry;
}

/**
 * Runs a step of building the graph; a ShapeError that does not say where it happened gets the op, the shapes and the
 * caller's line.
 */
export function located<T>(name: string, inputs: readonly TensorType[], build: () => T): T {
	try {
		return build();
	} catch (error) {
		if (!(error instanceof ShapeError) || error.details.where !== undefined) throw error;
		const shapes = inputs.map(({ dtype, shape }) => `${dtype}${formatShape(shape)}`).join(', ');
		const summary = error.message.split('\n')[0] as string;
		throw new ShapeError(`${summary}${callerLine()}`, { ...error.details, where: `${name}(${shapes})`, cause: error });
	}
}

/**
 * Applies an op: checks the types and makes the node.
 * @throws ShapeError naming the op, the shapes, and the caller's line
 */
export function apply<Attributes>(
	op: OpDefinition<Attributes>,
	inputs: readonly Tensor[],
	attributes: Attributes,
): readonly Tensor[] {
	const types = located(op.name, inputs, () => op.infer(inputs, attributes));
	return new GraphNode(op as AnyOp, inputs, attributes, types).outputs;
}

/** Applies an op with one output. */
export function apply1<Attributes>(
	op: OpDefinition<Attributes>,
	inputs: readonly Tensor[],
	attributes: Attributes,
): Tensor {
	return apply(op, inputs, attributes)[0] as Tensor;
}
