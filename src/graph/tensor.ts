/** @file The graph itself: immutable symbolic tensors, each an output of a node; nodes point to the tensors they read. */
import type { DType, HostTensor } from '../base/host-tensor.ts';
import type { AnyOp } from './op.ts';
import { formatShape, type Shape } from './shape.ts';

/** What is known of a tensor before anything runs. */
export interface TensorType {
	readonly dtype: DType;
	readonly shape: Shape;
}

let nextNodeId = 0;

/** One application of an op. Nodes are never changed after they are made. */
export class GraphNode {
	readonly id: number = nextNodeId++;
	readonly op: AnyOp;
	readonly inputs: readonly Tensor[];
	readonly attributes: unknown;
	readonly outputs: readonly Tensor[];

	constructor(op: AnyOp, inputs: readonly Tensor[], attributes: unknown, types: readonly TensorType[]) {
		this.op = op;
		this.inputs = inputs;
		this.attributes = attributes;
		this.outputs = types.map((type, index) => new Tensor(this, index, type));
	}
}

/** A symbolic tensor: a dtype, a shape, and the node that computes it. */
export class Tensor implements TensorType {
	readonly node: GraphNode;
	/** Which output of `node` this is. */
	readonly index: number;
	readonly dtype: DType;
	readonly shape: Shape;

	constructor(node: GraphNode, index: number, type: TensorType) {
		this.node = node;
		this.index = index;
		this.dtype = type.dtype;
		this.shape = type.shape;
	}

	get rank(): number {
		return this.shape.length;
	}

	toString(): string {
		return `${this.node.op.name}#${this.node.id}:${this.dtype}${formatShape(this.shape)}`;
	}
}

/** A number stands for a scalar constant of the other operand's dtype. */
export type TensorLike = Tensor | number;

/** A part of a graph with inputs of its own: the body of a loop or of a checkpoint. */
export interface Subgraph {
	/** Placeholders, in the order of the arguments. */
	readonly parameters: readonly Tensor[];
	readonly results: readonly Tensor[];
}

export function isFloat(dtype: DType): boolean {
	return dtype === 'float32' || dtype === 'float16';
}

/** Nodes reachable from `outputs`, every node after the nodes it reads. Does not enter subgraphs. */
export function topologicalOrder(outputs: Iterable<Tensor>, stop?: (node: GraphNode) => boolean): GraphNode[] {
	const order: GraphNode[] = [];
	const state = new Map<GraphNode, 'open' | 'done'>();
	for (const output of outputs) {
		const stack: GraphNode[] = [output.node];
		while (stack.length > 0) {
			const node = stack[stack.length - 1] as GraphNode;
			const seen = state.get(node);
			if (seen === 'done') {
				stack.pop();
				continue;
			}
			if (seen === 'open') {
				stack.pop();
				state.set(node, 'done');
				order.push(node);
				continue;
			}
			state.set(node, 'open');
			if (stop?.(node)) continue;
			for (let i = node.inputs.length - 1; i >= 0; i--) {
				const input = (node.inputs[i] as Tensor).node;
				if (!state.has(input)) stack.push(input);
			}
		}
	}
	return order;
}

/** A graph ready to be lowered: named inputs and named outputs. */
export interface Graph {
	readonly inputs: ReadonlyMap<string, Tensor>;
	readonly outputs: ReadonlyMap<string, Tensor>;
}

/** Attributes of the `input` op. */
export interface InputAttributes {
	readonly name: string;
}

/** Attributes of the `constant` op. */
export interface ConstantAttributes {
	readonly value: HostTensor;
}
