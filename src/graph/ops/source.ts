/** @file Where values come from: graph inputs, constants, placeholders of subgraphs. */
import { ShapeError } from '../../base/errors.ts';
import { type DType, type HostTensor, hostTensor } from '../../base/host-tensor.ts';
import { apply1, defineOp } from '../op.ts';
import { ndarray } from '../reference.ts';
import type { Shape } from '../shape.ts';
import type { ConstantAttributes, InputAttributes, Tensor, TensorLike, TensorType } from '../tensor.ts';

interface TypedAttributes {
	readonly type: TensorType;
}

const never = (): never => {
	throw new Error('inputs are bound by the program, not lowered');
};

export const inputOp = defineOp<InputAttributes & TypedAttributes>({
	name: 'input',
	infer: (_, { type }) => [type],
	lower: never,
	reference: never,
	samples: [],
	testedBy: 'src/runtime/program.test.ts',
});

export const placeholderOp = defineOp<TypedAttributes>({
	name: 'placeholder',
	infer: (_, { type }) => [type],
	lower: never,
	reference: never,
	samples: [],
	testedBy: 'src/graph/scan.test.ts',
});

export const constantOp = defineOp<ConstantAttributes>({
	name: 'constant',
	infer: (_, { value }) => [{ dtype: value.dtype, shape: value.dims }],
	lower: (emitter, _, { attributes }) => [emitter.constant(attributes.value)],
	reference: (_, { value }) => [
		ndarray(value.dtype, value.dims, Float64Array.from(value.data as Float32Array, Number)),
	],
	samples: [{ inputs: [], attributes: { value: hostTensor('float32', [2, 2], [1, -2, 3, 0.5]) } }],
});

/** A named input of the graph, fed when the program runs. */
export function input(name: string, dtype: DType, shape: Shape): Tensor {
	return apply1(inputOp, [], { name, type: { dtype, shape } });
}

/** An argument of a subgraph; see scan and checkpoint. */
export function placeholder(type: TensorType): Tensor {
	return apply1(placeholderOp, [], { type: { dtype: type.dtype, shape: type.shape } });
}

/** A constant from a host tensor. */
export function constant(value: HostTensor): Tensor {
	return apply1(constantOp, [], { value });
}

/** A constant from numbers. */
export function constantOf(values: readonly number[], dims: readonly number[], dtype: DType = 'float32'): Tensor {
	return constant(hostTensor(dtype, dims, values));
}

/** A scalar constant. */
export function scalar(value: number, dtype: DType = 'float32'): Tensor {
	return constantOf([value], [], dtype);
}

/** The tensor itself, or the number as a scalar constant with the dtype of `like`. */
export function toTensor(value: TensorLike, like: TensorLike): Tensor {
	if (typeof value !== 'number') return value;
	if (typeof like === 'number') throw new ShapeError('at least one operand must be a tensor');
	return scalar(value, like.dtype);
}

/** The single value of a constant filled with one number, or undefined. */
export function uniformConstantValue(tensor: Tensor): number | undefined {
	if (tensor.node.op.name !== 'constant') return undefined;
	const { value } = tensor.node.attributes as ConstantAttributes;
	if (value.data.length !== 1 || value.dtype === 'float16') return undefined;
	return Number(value.data[0]);
}
