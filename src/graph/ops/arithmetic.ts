/** @file Binary arithmetic with NumPy broadcasting. */
import { ShapeError } from '../../base/errors.ts';
import { apply1, defineOp, located, type OpDefinition, type OpSample } from '../op.ts';
import { mapN } from '../reference.ts';
import { broadcastShapes, formatShape, type Shape } from '../shape.ts';
import { isFloat, type Tensor, type TensorLike, type TensorType } from '../tensor.ts';
import { cast } from './cast.ts';
import { lessEqual } from './compare.ts';
import { sumTo } from './movement.ts';
import { toTensor, uniformConstantValue } from './source.ts';
import { abs, log, neg, sign } from './unary.ts';

/** Shape rule of broadcasting operands that share a dtype. */
export function inferBroadcast(inputs: readonly TensorType[]): TensorType {
	const [a, b] = inputs as [TensorType, TensorType];
	if (a.dtype !== b.dtype) {
		throw new ShapeError('operands have different dtypes', {
			expected: 'equal dtypes',
			found: `${a.dtype} and ${b.dtype}`,
			fix: 'convert one of them with cast(x, dtype)',
		});
	}
	return { dtype: a.dtype, shape: broadcast(a.shape, b.shape) };
}

export function broadcast(a: Shape, b: Shape): Shape {
	const shape = broadcastShapes(a, b);
	if (shape === undefined) {
		throw new ShapeError('shapes cannot be broadcast together', {
			expected: 'equal sizes, or 1, on every axis counted from the last',
			found: `${formatShape(a)} and ${formatShape(b)}`,
		});
	}
	return shape;
}

type Pair = readonly [Tensor | undefined, Tensor | undefined];

function binary(
	name: string,
	onnx: string,
	compute: (a: number, b: number) => number,
	gradient: ((a: Tensor, b: Tensor, dy: Tensor, y: Tensor, needs: (i: number) => boolean) => Pair) | undefined,
	samples: readonly OpSample<null>[],
): OpDefinition<null> {
	return defineOp<null>({
		name,
		infer: (inputs) => [inferBroadcast(inputs)],
		...(gradient && {
			gradient: ({ inputs, outputs, needs }, [dy]) => {
				const [a, b] = inputs as [Tensor, Tensor];
				if (dy === undefined) return [undefined, undefined];
				const [da, db] = gradient(a, b, dy, outputs[0] as Tensor, needs);
				return [da && sumTo(da, a.shape), db && sumTo(db, b.shape)];
			},
		}),
		lower: (emitter, inputs) => [emitter.node(onnx, inputs)],
		reference: ([a, b]) => [mapN(a!.dtype, [a!, b!], compute)],
		samples,
	});
}

const pairs = (range: readonly [number, number] = [-2, 2], rangeB = range): OpSample<null>[] => [
	{
		inputs: [
			{ dims: [2, 3], range },
			{ dims: [2, 3], range: rangeB },
		],
		attributes: null,
	},
	{
		inputs: [
			{ dims: [4, 1, 3], range },
			{ dims: [2, 1], range: rangeB },
		],
		attributes: null,
	},
	{
		inputs: [
			{ dims: [2, 3], range },
			{ dims: [], range: rangeB },
		],
		attributes: null,
	},
];
const integers = (range: readonly [number, number]): OpSample<null> => ({
	inputs: [
		{ dims: [3, 4], dtype: 'int64', range },
		{ dims: [4], dtype: 'int64', range: [1, 9] },
	],
	attributes: null,
});

export const addOp = binary(
	'add',
	'Add',
	(a, b) => a + b,
	(_a, _b, dy) => [dy, dy],
	[...pairs(), integers([-9, 9])],
);
export const subOp = binary(
	'sub',
	'Sub',
	(a, b) => a - b,
	(_a, _b, dy, _y, needs) => [dy, needs(1) ? neg(dy) : undefined],
	[...pairs(), integers([-9, 9])],
);
export const mulOp = binary(
	'mul',
	'Mul',
	(a, b) => a * b,
	(a, b, dy, _y, needs) => [needs(0) ? mul(dy, b) : undefined, needs(1) ? mul(dy, a) : undefined],
	[...pairs(), integers([-9, 9])],
);
export const divOp = binary(
	'div',
	'Div',
	(a, b) => a / b,
	(_a, b, dy, y, needs) => [needs(0) ? div(dy, b) : undefined, needs(1) ? neg(div(mul(dy, y), b)) : undefined],
	pairs([-2, 2], [0.5, 2]),
);
export const powOp = binary(
	'pow',
	'Pow',
	(a, b) => a ** b,
	(a, b, dy, y, needs) => [
		needs(0) ? mul(dy, mul(b, pow(a, sub(b, 1)))) : undefined,
		needs(1) ? mul(dy, mul(y, log(a))) : undefined,
	],
	pairs([0.3, 2], [-1.5, 2]),
);
export const minimumOp = binary(
	'minimum',
	'Min',
	Math.min,
	(a, b, dy, _y, needs) => {
		const first = cast(lessEqual(a, b), dy.dtype);
		return [mul(dy, first), needs(1) ? mul(dy, sub(1, first)) : undefined];
	},
	pairs(),
);
export const maximumOp = binary(
	'maximum',
	'Max',
	Math.max,
	(a, b, dy, _y, needs) => {
		const first = cast(lessEqual(b, a), dy.dtype);
		return [mul(dy, first), needs(1) ? mul(dy, sub(1, first)) : undefined];
	},
	pairs(),
);

/** Remainder with the sign of the divisor (Python's `%`), for integers. */
export const modOp = binary('mod', 'Mod', (a, b) => a - b * Math.floor(a / b), undefined, [integers([-20, 20])]);

/** Integer quotient, rounded toward zero. */
export const intDivOp = binary('intDiv', 'Div', (a, b) => Math.trunc(a / b), undefined, [integers([0, 60])]);

function applyPair(op: OpDefinition<null>, a: TensorLike, b: TensorLike): Tensor {
	return apply1(op, [toTensor(a, b), toTensor(b, a)], null);
}

/** Whether `value` is a constant equal to `number`, so that the operation would change nothing. */
function isConstant(value: TensorLike, number: number): boolean {
	return value === number || (typeof value !== 'number' && value.rank === 0 && uniformConstantValue(value) === number);
}

/** `a + b`, broadcast. */
export function add(a: TensorLike, b: TensorLike): Tensor {
	if (typeof a !== 'number' && isConstant(b, 0)) return a;
	if (typeof b !== 'number' && isConstant(a, 0)) return b;
	return applyPair(addOp, a, b);
}
/** `a - b`, broadcast. */
export function sub(a: TensorLike, b: TensorLike): Tensor {
	if (typeof a !== 'number' && isConstant(b, 0)) return a;
	return applyPair(subOp, a, b);
}
/** `a * b`, broadcast. */
export function mul(a: TensorLike, b: TensorLike): Tensor {
	if (typeof a !== 'number' && isConstant(b, 1)) return a;
	if (typeof b !== 'number' && isConstant(a, 1)) return b;
	return applyPair(mulOp, a, b);
}
/** `a / b`, broadcast; for integers see `intDiv`. */
export function div(a: TensorLike, b: TensorLike): Tensor {
	if (typeof a !== 'number' && isConstant(b, 1)) return a;
	if (typeof a !== 'number' && typeof b === 'number' && isFloat(a.dtype)) return mul(a, 1 / b);
	const [left, right] = [toTensor(a, b), toTensor(b, a)];
	located('div', [left, right], () => {
		if (!isFloat(left.dtype)) throw new ShapeError('div is for floats', { found: left.dtype, fix: 'use intDiv' });
	});
	return apply1(divOp, [left, right], null);
}
/** Integer division toward zero. */
export function intDiv(a: TensorLike, b: TensorLike): Tensor {
	return applyPair(intDivOp, a, b);
}
/** Remainder with the sign of the divisor, for integers. */
export function mod(a: TensorLike, b: TensorLike): Tensor {
	return applyPair(modOp, a, b);
}
/** `a ** b`; the gradient with respect to `b` needs `a > 0`. */
export function pow(a: TensorLike, b: TensorLike): Tensor {
	if (b === 2 && typeof a !== 'number') return mul(a, a);
	return applyPair(powOp, a, b);
}
/** Elementwise minimum; at equality the gradient goes to `a`. */
export function minimum(a: TensorLike, b: TensorLike): Tensor {
	return applyPair(minimumOp, a, b);
}
/** Elementwise maximum; at equality the gradient goes to `a`. */
export function maximum(a: TensorLike, b: TensorLike): Tensor {
	return applyPair(maximumOp, a, b);
}
/** Limits values to [low, high]; the gradient is 1 inside and at the limits, 0 outside. */
export function clamp(x: Tensor, low: number, high: number): Tensor {
	return minimum(maximum(x, low), high);
}
/** Sum of several tensors of one shape. */
export function addAll(terms: readonly Tensor[]): Tensor {
	const [first, ...rest] = terms;
	if (first === undefined) throw new ShapeError('addAll needs at least one tensor');
	return rest.reduce<Tensor>((total, term) => add(total, term), first);
}

export { abs, neg, sign };
