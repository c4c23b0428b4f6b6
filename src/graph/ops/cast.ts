/** @file Conversion between dtypes. */
import type { DType } from '../../base/host-tensor.ts';
import { fromFloat16Bits, toFloat16Bits } from '../../base/host-tensor.ts';
import { apply1, defineOp } from '../op.ts';
import { mapN } from '../reference.ts';
import { isFloat, type Tensor } from '../tensor.ts';

/** ONNX's number for each dtype (TensorProto.DataType). */
export const ONNX_DTYPE: Readonly<Record<DType, number>> = {
	float32: 1,
	uint8: 2,
	int8: 3,
	int32: 6,
	int64: 7,
	bool: 9,
	float16: 10,
};

interface CastAttributes {
	readonly to: DType;
}

const castOp = defineOp<CastAttributes>({
	name: 'cast',
	infer: ([x], { to }) => [{ dtype: to, shape: x!.shape }],
	gradient: ({ inputs: [x], attributes: { to } }, [dy]) => [
		dy && isFloat(x!.dtype) && isFloat(to) ? cast(dy, x!.dtype) : undefined,
	],
	lower: (emitter, inputs, { attributes: { to } }) => [
		emitter.node('Cast', inputs, { attributes: { to: ONNX_DTYPE[to] } }),
	],
	reference: ([x], { to }) => [mapN(to, [x!], convert(to))],
	samples: [
		{ inputs: [{ dims: [2, 3] }], attributes: { to: 'float16' }, tolerance: 2e-3, differentiable: [] },
		{ inputs: [{ dims: [5], range: [-9, 9] }], attributes: { to: 'int32' } },
		{ inputs: [{ dims: [5], range: [-9, 9] }], attributes: { to: 'int64' } },
		{ inputs: [{ dims: [5], dtype: 'int32', range: [-9, 9] }], attributes: { to: 'float32' } },
		{ inputs: [{ dims: [4], dtype: 'int64', values: [0, 1, -3, 0] }], attributes: { to: 'bool' } },
		{ inputs: [{ dims: [4], dtype: 'int32', range: [0, 255] }], attributes: { to: 'uint8' } },
		{ inputs: [{ dims: [4], dtype: 'bool', values: [0, 1, 1, 0] }], attributes: { to: 'float32' } },
	],
});

function convert(to: DType): (x: number) => number {
	if (to === 'float32') return Math.fround;
	if (to === 'float16') return (x) => fromFloat16Bits(toFloat16Bits(x));
	if (to === 'bool') return (x) => (x === 0 ? 0 : 1);
	return Math.trunc;
}

/** `x` as another dtype; floats become integers by cutting the fraction. Gradients pass between float dtypes. */
export function cast(x: Tensor, to: DType): Tensor {
	return x.dtype === to ? x : apply1(castOp, [x], { to });
}
