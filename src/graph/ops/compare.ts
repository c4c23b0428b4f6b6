/** @file Comparisons, logic, and choosing by a condition. */
import { ShapeError } from '../../base/errors.ts';
import { apply1, defineOp, type OpDefinition } from '../op.ts';
import { mapN } from '../reference.ts';
import type { Tensor, TensorLike, TensorType } from '../tensor.ts';
import { broadcast, inferBroadcast } from './arithmetic.ts';
import { sumTo } from './movement.ts';
import { toTensor } from './source.ts';

function comparison(name: string, onnx: string, compute: (a: number, b: number) => boolean): OpDefinition<null> {
	return defineOp<null>({
		name,
		infer: (inputs) => [{ dtype: 'bool', shape: inferBroadcast(inputs).shape }],
		lower: (emitter, inputs) => [emitter.node(onnx, inputs)],
		reference: ([a, b]) => [mapN('bool', [a!, b!], (x, y) => (compute(x, y) ? 1 : 0))],
		samples: [
			{ inputs: [{ dims: [2, 3] }, { dims: [3] }], attributes: null },
			{
				inputs: [
					{ dims: [4], dtype: 'int64', values: [1, 2, 3, 4] },
					{ dims: [4], dtype: 'int64', values: [2, 2, 1, 4] },
				],
				attributes: null,
			},
		],
	});
}

const equalOp = comparison('equal', 'Equal', (a, b) => a === b);
const greaterOp = comparison('greater', 'Greater', (a, b) => a > b);
const greaterEqualOp = comparison('greaterEqual', 'GreaterOrEqual', (a, b) => a >= b);
const lessOp = comparison('less', 'Less', (a, b) => a < b);
const lessEqualOp = comparison('lessEqual', 'LessOrEqual', (a, b) => a <= b);

const compare = (op: OpDefinition<null>) => (a: TensorLike, b: TensorLike) =>
	apply1(op, [toTensor(a, b), toTensor(b, a)], null);

/** `a == b`, as bool. */
export const equal = compare(equalOp);
/** `a > b`, as bool. */
export const greater = compare(greaterOp);
/** `a >= b`, as bool. */
export const greaterEqual = compare(greaterEqualOp);
/** `a < b`, as bool. */
export const less = compare(lessOp);
/** `a <= b`, as bool. */
export const lessEqual = compare(lessEqualOp);

function logical(
	name: string,
	onnx: string,
	arity: 1 | 2,
	compute: (a: number, b: number) => number,
): OpDefinition<null> {
	const sample = { dims: [4], dtype: 'bool' as const };
	return defineOp<null>({
		name,
		infer: (inputs) => {
			for (const { dtype } of inputs) {
				if (dtype !== 'bool') throw new ShapeError(`${name} is for bool`, { found: dtype });
			}
			return [arity === 1 ? (inputs[0] as TensorType) : inferBroadcast(inputs)];
		},
		lower: (emitter, inputs) => [emitter.node(onnx, inputs)],
		reference: (inputs) => [mapN('bool', inputs, compute)],
		samples: [
			{
				inputs: [
					{ ...sample, values: [0, 0, 1, 1] },
					{ ...sample, values: [0, 1, 0, 1] },
				].slice(0, arity),
				attributes: null,
			},
		],
	});
}

const andOp = logical('and', 'And', 2, (a, b) => a & b);
const orOp = logical('or', 'Or', 2, (a, b) => a | b);
const xorOp = logical('xor', 'Xor', 2, (a, b) => a ^ b);
const notOp = logical('not', 'Not', 1, (a) => 1 - a);

export const logicalAnd = (a: Tensor, b: Tensor): Tensor => apply1(andOp, [a, b], null);
export const logicalOr = (a: Tensor, b: Tensor): Tensor => apply1(orOp, [a, b], null);
export const logicalXor = (a: Tensor, b: Tensor): Tensor => apply1(xorOp, [a, b], null);
export const logicalNot = (a: Tensor): Tensor => apply1(notOp, [a], null);

function predicate(name: string, onnx: string, compute: (x: number) => boolean, special: number): OpDefinition<null> {
	return defineOp<null>({
		name,
		infer: ([x]) => [{ dtype: 'bool', shape: x!.shape }],
		lower: (emitter, inputs) => [emitter.node(onnx, inputs)],
		reference: ([x]) => [mapN('bool', [x!], (value) => (compute(value) ? 1 : 0))],
		samples: [{ inputs: [{ dims: [3], values: [1, special, -2] }], attributes: null }],
	});
}

const isNanOp = predicate('isNan', 'IsNaN', Number.isNaN, Number.NaN);
const isInfOp = predicate('isInf', 'IsInf', (x) => Math.abs(x) === Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY);
export const isNan = (x: Tensor): Tensor => apply1(isNanOp, [x], null);
export const isInf = (x: Tensor): Tensor => apply1(isInfOp, [x], null);

const whereOp = defineOp<null>({
	name: 'where',
	infer: ([condition, a, b]) => {
		if (condition!.dtype !== 'bool') throw new ShapeError('the condition must be bool', { found: condition!.dtype });
		const { dtype, shape } = inferBroadcast([a!, b!]);
		return [{ dtype, shape: broadcast(condition!.shape, shape) }];
	},
	gradient: ({ inputs: [condition, a, b], needs }, [dy]) => [
		undefined,
		dy && needs(1) ? sumTo(where(condition!, dy, 0), a!.shape) : undefined,
		dy && needs(2) ? sumTo(where(condition!, 0, dy), b!.shape) : undefined,
	],
	lower: (emitter, inputs) => [emitter.node('Where', inputs)],
	reference: ([condition, a, b]) => [mapN(a!.dtype, [condition!, a!, b!], (c, x, y) => (c === 0 ? y : x))],
	samples: [
		{ inputs: [{ dims: [2, 3], dtype: 'bool', range: [0, 1] }, { dims: [2, 3] }, { dims: [2, 3] }], attributes: null },
		{ inputs: [{ dims: [3], dtype: 'bool', range: [0, 1] }, { dims: [2, 1] }, { dims: [] }], attributes: null },
	],
});

/** `a` where the condition holds, else `b`; all broadcast. */
export function where(condition: Tensor, a: TensorLike, b: TensorLike): Tensor {
	return apply1(whereOp, [condition, toTensor(a, b), toTensor(b, a)], null);
}
