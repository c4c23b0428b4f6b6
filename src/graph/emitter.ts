/** @file What an op's lowering may use to write ONNX nodes. The implementation is in the runtime room. */
import type { DType, HostTensor } from '../base/host-tensor.ts';
import type { Dim, Shape } from './shape.ts';
import type { Subgraph, Tensor } from './tensor.ts';

/** Value of an ONNX attribute. A bare number array is a list of integers; floats are wrapped. */
export type OnnxAttribute =
	| number
	| string
	| readonly number[]
	| { readonly float: number }
	| { readonly floats: readonly number[] }
	| { readonly tensor: HostTensor }
	| { readonly subgraph: LoweredSubgraph };

export type OnnxAttributes = Readonly<Record<string, OnnxAttribute>>;

/** A lowered body in the wire format of an ONNX GraphProto. */
export interface LoweredSubgraph {
	readonly bytes: Uint8Array;
}

export interface NodeOptions {
	readonly attributes?: OnnxAttributes;
	/** Operator set other than the standard one, such as `com.microsoft`. */
	readonly domain?: string;
	readonly outputs?: number;
}

export interface Emitter {
	/** Emits a node with one output and returns that value's name. An empty input name means "absent". */
	node(type: string, inputs: readonly string[], options?: NodeOptions): string;
	/** Emits a node with several outputs. */
	nodes(type: string, inputs: readonly string[], options: NodeOptions & { readonly outputs: number }): string[];
	/** A constant value; equal constants share one initializer. */
	constant(value: HostTensor): string;
	/** A scalar constant. */
	scalar(dtype: DType, value: number): string;
	/** A one-dimensional int64 constant. */
	integers(values: readonly number[]): string;
	/** A one-dimensional int64 value holding a shape, computed at run time where a dimension is symbolic. */
	shape(shape: Shape): string;
	/** A dimension as a scalar int64 value. */
	dimension(value: Dim): string;
	/**
	 * Lowers a body. The first `own` parameters become inputs of the subgraph; the others stand for the outer values
	 * of the same position in `names`.
	 */
	subgraph(
		body: Subgraph,
		name: string,
		binding: { readonly names: readonly string[]; readonly own: number },
	): LoweredSubgraph;
	/** Name of the value of an already lowered tensor. */
	valueOf(tensor: Tensor): string;
	/** Whether contributed operators of ONNX Runtime (`com.microsoft`) may be used. */
	readonly contributed: boolean;
}
