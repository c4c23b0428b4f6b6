/** @file Bits of integers: and, or, xor, not, shifts. */
import { ShapeError } from '../../base/errors.ts';
import type { DType } from '../../base/host-tensor.ts';
import { apply1, defineOp, type OpDefinition, type OpSample } from '../op.ts';
import { mapN } from '../reference.ts';
import type { Tensor, TensorLike, TensorType } from '../tensor.ts';
import { inferBroadcast } from './arithmetic.ts';
import { ONNX_DTYPE } from './cast.ts';
import { toTensor } from './source.ts';

const WIDTH: Partial<Record<DType, number>> = { int64: 64, int32: 32, int8: 8, uint8: 8 };

function requireInteger({ dtype }: TensorType): void {
	if (WIDTH[dtype] === undefined) throw new ShapeError('bits are of integers', { found: dtype });
}

/** The value that a register of this dtype holds. */
function wrap(value: bigint, dtype: DType): number {
	const width = WIDTH[dtype] as number;
	return Number(dtype === 'uint8' ? BigInt.asUintN(width, value) : BigInt.asIntN(width, value));
}

type Compute = (a: bigint, b: bigint) => bigint;
type Lower = OpDefinition<null>['lower'];

function bitwise(name: string, compute: Compute, lower: Lower, samples: readonly OpSample<null>[]): OpDefinition<null> {
	return defineOp<null>({
		name,
		infer: (inputs) => {
			inputs.forEach(requireInteger);
			return [inferBroadcast(inputs)];
		},
		lower,
		reference: ([a, b]) => [mapN(a!.dtype, [a!, b!], (x, y) => wrap(compute(BigInt(x), BigInt(y)), a!.dtype))],
		samples,
	});
}

const pairs: readonly OpSample<null>[] = (['int64', 'int32', 'uint8'] as const).map((dtype) => ({
	inputs: [
		{ dims: [2, 3], dtype, range: dtype === 'uint8' ? [0, 255] : [-99, 99] },
		{ dims: [3], dtype, range: [0, 200] },
	],
	attributes: null,
}));
const direct =
	(onnx: string): Lower =>
	(emitter, inputs) => [emitter.node(onnx, inputs)];

const andOp = bitwise('bitwiseAnd', (a, b) => a & b, direct('BitwiseAnd'), pairs);
const orOp = bitwise('bitwiseOr', (a, b) => a | b, direct('BitwiseOr'), pairs);
const xorOp = bitwise('bitwiseXor', (a, b) => a ^ b, direct('BitwiseXor'), pairs);

/** ONNX's numbers of the unsigned types that BitShift is defined for. */
const UNSIGNED: Partial<Record<DType, number>> = { int64: 13, int32: 12, int8: 2, uint8: 2 };

/** BitShift knows unsigned integers only; the bits pass through an unsigned type of the same width. */
function shift(direction: 'LEFT' | 'RIGHT'): Lower {
	return (emitter, [x, amount], { inputs }) => {
		const { dtype } = inputs[0]!;
		const to = (value: string, type: number): string => emitter.node('Cast', [value], { attributes: { to: type } });
		const shifted = (value: string): string => {
			const operands = [to(value, UNSIGNED[dtype] as number), to(amount!, UNSIGNED[dtype] as number)];
			return to(emitter.node('BitShift', operands, { attributes: { direction } }), ONNX_DTYPE[dtype]);
		};
		if (direction === 'LEFT' || dtype === 'uint8') return [shifted(x!)];
		// A negative number is turned into its complement and back, so that ones come in at the left.
		const negative = to(emitter.node('Less', [x!, emitter.scalar(dtype, 0)]), ONNX_DTYPE[dtype]);
		const sign = emitter.node('Neg', [negative]);
		return [emitter.node('BitwiseXor', [sign, shifted(emitter.node('BitwiseXor', [sign, x!]))])];
	};
}

const shifts = (values: readonly number[], dtypes: readonly DType[]): readonly OpSample<null>[] =>
	dtypes.map((dtype) => ({
		inputs: [
			{ dims: [values.length, 1], dtype, values: dtype === 'uint8' ? values.map((value) => value & 255) : values },
			{ dims: [4], dtype, values: [0, 1, 3, 6] },
		],
		attributes: null,
	}));
const leftOp = bitwise(
	'shiftLeft',
	(a, b) => a << b,
	shift('LEFT'),
	shifts([0, 1, -1, 77, -100], ['int64', 'int32', 'uint8', 'int8']),
);
const rightOp = bitwise(
	'shiftRight',
	(a, b) => a >> b,
	shift('RIGHT'),
	shifts([0, 1, -1, 77, -100, 127, -128], ['int64', 'int32', 'uint8', 'int8']),
);

const notOp = defineOp<null>({
	name: 'bitwiseNot',
	infer: ([x]) => {
		requireInteger(x!);
		return [x!];
	},
	lower: direct('BitwiseNot'),
	reference: ([x]) => [mapN(x!.dtype, [x!], (value) => wrap(~BigInt(value), x!.dtype))],
	samples: [
		{ inputs: [{ dims: [5], dtype: 'int64', range: [-99, 99] }], attributes: null },
		{ inputs: [{ dims: [5], dtype: 'uint8', range: [0, 255] }], attributes: null },
	],
});

const of = (op: OpDefinition<null>) => (a: TensorLike, b: TensorLike) =>
	apply1(op, [toTensor(a, b), toTensor(b, a)], null);

/** `a & b` of integers, broadcast. */
export const bitwiseAnd = of(andOp);
/** `a | b` of integers, broadcast. */
export const bitwiseOr = of(orOp);
/** `a ^ b` of integers, broadcast. */
export const bitwiseXor = of(xorOp);
/** `~a` of integers. */
export const bitwiseNot = (x: Tensor): Tensor => apply1(notOp, [x], null);
/** `a << b`; bits that leave the register are lost. `b` in [0, width). */
export const shiftLeft = of(leftOp);
/** `a >> b`, keeping the sign (division by 2^b, rounded down). `b` in [0, width). */
export const shiftRight = of(rightOp);
