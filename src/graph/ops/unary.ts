/** @file Elementwise functions of one tensor. */
import { ShapeError } from '../../base/errors.ts';
import { apply1, defineOp, type OpDefinition, type OpSample } from '../op.ts';
import { erf as erfOf, mapN } from '../reference.ts';
import { isFloat, type Tensor } from '../tensor.ts';
import { add, div, mul, sub } from './arithmetic.ts';
import { cast } from './cast.ts';
import { greater } from './compare.ts';

type Gradient = (x: Tensor, dy: Tensor, y: Tensor) => Tensor;
type Range = readonly [number, number];

interface UnaryOptions {
	/** Operator set of a faster form of the same op, used where contributed ops are allowed. */
	readonly domain?: string;
	readonly range?: Range;
	readonly extra?: readonly OpSample<null>[];
	/** Integers are accepted too. */
	readonly integers?: boolean;
	/** Not differentiable: the gradient is zero everywhere it exists. */
	readonly step?: boolean;
}

function unary(
	name: string,
	onnx: string,
	compute: (x: number) => number,
	gradient: Gradient | undefined,
	{ range = [-2, 2], domain, integers = false, step = false, extra = [] }: UnaryOptions = {},
): OpDefinition<null> {
	return defineOp<null>({
		name,
		infer: ([x]) => {
			if (!isFloat(x!.dtype) && !integers) throw new ShapeError(`${name} is for floats`, { found: x!.dtype });
			return [x!];
		},
		...(gradient && {
			gradient: ({ inputs: [x], outputs: [y] }, [dy]) => [dy && gradient(x!, dy, y!)],
		}),
		lower: (emitter, inputs) => [
			emitter.node(onnx, inputs, domain !== undefined && emitter.contributed ? { domain } : {}),
		],
		reference: ([x]) => [mapN(x!.dtype, [x!], compute)],
		samples: [{ inputs: [{ dims: [3, 4], range }], attributes: null, ...(step && { differentiable: [] }) }, ...extra],
	});
}

const positive: Range = [0.2, 3];
const negOp = unary(
	'neg',
	'Neg',
	(x) => -x,
	(_x, dy) => neg(dy),
	{ integers: true },
);
const expOp = unary('exp', 'Exp', Math.exp, (_x, dy, y) => mul(dy, y));
const logOp = unary('log', 'Log', Math.log, (x, dy) => div(dy, x), { range: positive });
const sqrtOp = unary('sqrt', 'Sqrt', Math.sqrt, (_x, dy, y) => div(mul(dy, 0.5), y), { range: positive });
const reciprocalOp = unary(
	'reciprocal',
	'Reciprocal',
	(x) => 1 / x,
	(_x, dy, y) => neg(mul(dy, mul(y, y))),
	{
		range: positive,
	},
);
const absOp = unary('abs', 'Abs', Math.abs, (x, dy) => mul(dy, sign(x)), { integers: true });
const signOp = unary('sign', 'Sign', Math.sign, undefined, { integers: true, step: true });
const floorOp = unary('floor', 'Floor', Math.floor, undefined, { step: true });
const ceilOp = unary('ceil', 'Ceil', Math.ceil, undefined, { step: true });
const roundOp = unary('round', 'Round', roundHalfEven, undefined, {
	step: true,
	extra: [{ inputs: [{ dims: [6], values: [-1.5, -0.5, 0.5, 1.5, 2.5, 2.4] }], attributes: null, differentiable: [] }],
});
const sinOp = unary('sin', 'Sin', Math.sin, (x, dy) => mul(dy, cos(x)));
const cosOp = unary('cos', 'Cos', Math.cos, (x, dy) => neg(mul(dy, sin(x))));
const tanhOp = unary('tanh', 'Tanh', Math.tanh, (_x, dy, y) => mul(dy, sub(1, mul(y, y))));
const sigmoidOp = unary('sigmoid', 'Sigmoid', sigmoidOf, (_x, dy, y) => mul(dy, mul(y, sub(1, y))));
const erfOp = unary('erf', 'Erf', erfOf, (x, dy) => mul(dy, mul(exp(neg(mul(x, x))), 2 / Math.sqrt(Math.PI))));
const reluOp = unary(
	'relu',
	'Relu',
	(x) => Math.max(x, 0),
	(_x, dy, y) => mul(dy, cast(greater(y, 0), dy.dtype)),
);
const softplusOp = unary(
	'softplus',
	'Softplus',
	(x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))),
	(x, dy) => mul(dy, sigmoid(x)),
);
const geluOp = unary(
	'gelu',
	'Gelu',
	(x) => (x / 2) * (1 + erfOf(x / Math.SQRT2)),
	(x, dy) => {
		const normalCdf = add(mul(erf(mul(x, Math.SQRT1_2)), 0.5), 0.5);
		const density = mul(exp(mul(mul(x, x), -0.5)), 1 / Math.sqrt(2 * Math.PI));
		return mul(dy, add(normalCdf, mul(x, density)));
	},
	{ domain: 'com.microsoft' },
);

function roundHalfEven(x: number): number {
	const rounded = Math.round(x);
	return rounded - x === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}

function sigmoidOf(x: number): number {
	return 1 / (1 + Math.exp(-x));
}

const of = (op: OpDefinition<null>) => (x: Tensor) => apply1(op, [x], null);

/** `-x`. */
export const neg = of(negOp);
/** e to the power x. */
export const exp = of(expOp);
/** Natural logarithm. */
export const log = of(logOp);
export const sqrt = of(sqrtOp);
/** `1 / x`. */
export const reciprocal = of(reciprocalOp);
/** `1 / sqrt(x)`. */
export const rsqrt = (x: Tensor): Tensor => reciprocal(sqrt(x));
export const abs = of(absOp);
/** -1, 0 or 1; no gradient. */
export const sign = of(signOp);
/** Largest integer not above x; no gradient. */
export const floor = of(floorOp);
/** Smallest integer not below x; no gradient. */
export const ceil = of(ceilOp);
/** Nearest integer, halves to even; no gradient (see straightThrough). */
export const round = of(roundOp);
export const sin = of(sinOp);
export const cos = of(cosOp);
export const tanh = of(tanhOp);
/** `1 / (1 + exp(-x))`. */
export const sigmoid = of(sigmoidOp);
/** Error function. */
export const erf = of(erfOp);
/** `max(x, 0)`; gradient 0 at 0. */
export const relu = of(reluOp);
/** `log(1 + exp(x))`. */
export const softplus = of(softplusOp);
/** Gaussian error linear unit, the exact form with erf (Hendrycks & Gimpel 2016). */
export const gelu = of(geluOp);

/** GELU with the tanh approximation (GPT-2's). */
export function geluTanh(x: Tensor): Tensor {
	const inner = mul(add(x, mul(mul(mul(x, x), x), 0.044715)), Math.sqrt(2 / Math.PI));
	return mul(mul(x, 0.5), add(tanh(inner), 1));
}

/** Sigmoid linear unit, `x * sigmoid(x)`; also called swish. */
export function silu(x: Tensor): Tensor {
	return mul(x, sigmoid(x));
}

/** `x * sigmoid(1.702 x)`. */
export function quickGelu(x: Tensor): Tensor {
	return mul(x, sigmoid(mul(x, 1.702)));
}

/** `relu(x)^2` (Primer, So et al. 2021). */
export function squaredRelu(x: Tensor): Tensor {
	const y = relu(x);
	return mul(y, y);
}
