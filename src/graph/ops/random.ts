/**
 * @file Random tensors from a seed and a counter: element i is a hash of (seed, i), the one of base/random.ts, so the same
 * seed gives the same numbers in a graph, on the host, and after a resume.
 */
import { ShapeError } from '../../base/errors.ts';
import { deriveSeed, foldSeed as foldSeedOf, uniformAt } from '../../base/random.ts';
import { callerLine } from '../caller.ts';
import type { Emitter } from '../emitter.ts';
import { apply1, defineOp } from '../op.ts';
import { ndarray } from '../reference.ts';
import { addDims, formatShape, multiplyDims, type Shape, sizeOf } from '../shape.ts';
import { isFloat, type Tensor, type TensorLike, type TensorType } from '../tensor.ts';
import { mul } from './arithmetic.ts';
import { greaterEqual, less, where } from './compare.ts';
import { constantOf } from './source.ts';
import { cos, log, neg, sqrt } from './unary.ts';

const UINT32 = 12;

/** 32-bit registers on the engine: constants and the operations of the hash. */
class Registers {
	private readonly emitter: Emitter;
	private readonly known = new Map<number, string>();

	constructor(emitter: Emitter) {
		this.emitter = emitter;
	}

	from(value: string): string {
		return this.emitter.node('Cast', [value], { attributes: { to: UINT32 } });
	}

	constant(value: number): string {
		const name = this.known.get(value) ?? this.from(this.emitter.scalar('int64', value));
		this.known.set(value, name);
		return name;
	}

	xor(a: string, b: string): string {
		return this.emitter.node('BitwiseXor', [a, b]);
	}

	shiftRight(x: string, bits: number): string {
		return this.emitter.node('BitShift', [x, this.constant(bits)], { attributes: { direction: 'RIGHT' } });
	}

	/** `mix` of base/random.ts. */
	mix(value: string): string {
		let x = this.xor(value, this.shiftRight(value, 16));
		x = this.emitter.node('Mul', [x, this.constant(0x7feb352d)]);
		x = this.xor(x, this.shiftRight(x, 15));
		x = this.emitter.node('Mul', [x, this.constant(0x846ca68b)]);
		return this.xor(x, this.shiftRight(x, 16));
	}
}

function requireSeed({ dtype, shape }: TensorType): void {
	if ((dtype !== 'int32' && dtype !== 'int64') || shape.length > 0) {
		throw new ShapeError('a seed is an integer scalar', {
			expected: 'int32[] or int64[]',
			found: `${dtype}${formatShape(shape)}`,
		});
	}
}

const foldSeedOp = defineOp<null>({
	name: 'foldSeed',
	infer: (inputs) => {
		inputs.forEach(requireSeed);
		return [{ dtype: 'int32', shape: [] }];
	},
	lower: (emitter, [seed, value]) => {
		const bits = new Registers(emitter);
		const hashed = bits.mix(bits.xor(bits.from(value!), bits.constant(0x51ed270b)));
		const folded = bits.mix(bits.xor(bits.from(seed!), hashed));
		return [emitter.node('Cast', [folded], { attributes: { to: 6 } })];
	},
	reference: ([seed, value]) => [ndarray('int32', [], [foldSeedOf(seed!.data[0]!, value!.data[0]!) | 0])],
	samples: [
		{
			inputs: [
				{ dims: [], dtype: 'int32', values: [-7] },
				{ dims: [], dtype: 'int64', values: [3] },
			],
			attributes: null,
		},
		{
			inputs: [
				{ dims: [], dtype: 'int64', values: [2 ** 40 + 5] },
				{ dims: [], dtype: 'int32', values: [-1] },
			],
			attributes: null,
		},
	],
});

/**
 * A seed (int32 scalar) for one consumer of randomness: seed scalar int32 or int64; `value` a name, a number, or an
 * integer scalar such as the index of a layer inside a scan. Different values give unrelated numbers.
 */
export function foldSeed(seed: Tensor, value: Tensor | number | string): Tensor {
	const number = typeof value === 'string' ? deriveSeed(0, value) : value;
	return apply1(foldSeedOp, [seed, typeof number === 'number' ? constantOf([number], [], 'int64') : number], null);
}

interface UniformAttributes {
	readonly shape: Shape;
	/** Counter of the first element, and how far apart the counters of neighbours are. */
	readonly offset: number;
	readonly stride: number;
}

const uniformOp = defineOp<UniformAttributes>({
	name: 'randomUniform',
	infer: ([seed], { shape }) => {
		requireSeed(seed!);
		return [{ dtype: 'float32', shape }];
	},
	lower: (emitter, [seed], { attributes: { shape, offset, stride } }) => {
		const bits = new Registers(emitter);
		const end = addDims(offset, multiplyDims(sizeOf(shape), stride));
		const counters = emitter.node('Range', [
			emitter.scalar('int64', offset),
			emitter.dimension(end),
			emitter.scalar('int64', stride),
		]);
		const key = bits.mix(bits.xor(bits.from(seed!), bits.constant(0x9e3779b9)));
		const hash = bits.mix(bits.xor(bits.mix(bits.from(counters)), key));
		// 23 bits and a half are exact in float32, and neither 0 nor 1 can come out.
		const whole = emitter.node('Cast', [bits.shiftRight(hash, 9)], { attributes: { to: 1 } });
		const centred = emitter.node('Add', [whole, emitter.scalar('float32', 0.5)]);
		const uniform = emitter.node('Mul', [centred, emitter.scalar('float32', 2 ** -23)]);
		return [emitter.node('Reshape', [uniform, emitter.shape(shape)], { attributes: { allowzero: 1 } })];
	},
	reference: ([seed], { shape, offset, stride }) => {
		const result = ndarray('float32', shape as readonly number[]);
		for (let i = 0; i < result.data.length; i++) {
			result.data[i] = uniformAt(seed!.data[0]! % 2 ** 32, (offset + i * stride) % 2 ** 32);
		}
		return [result];
	},
	samples: [
		{ inputs: [{ dims: [], dtype: 'int32', values: [1] }], attributes: { shape: [3, 4], offset: 0, stride: 1 } },
		{ inputs: [{ dims: [], dtype: 'int64', values: [-5] }], attributes: { shape: [5], offset: 1, stride: 2 } },
		{
			inputs: [{ dims: [], dtype: 'int64', values: [2 ** 45 + 17] }],
			attributes: { shape: [6], offset: 2 ** 32 - 3, stride: 1 },
		},
	],
});

export interface RandomOptions {
	/** Name or number of an independent stream of the same seed. */
	readonly stream?: string | number | Tensor;
}

function draw(seed: Tensor, shape: Shape, { stream }: RandomOptions, offset = 0, stride = 1): Tensor {
	const own = stream === undefined ? seed : foldSeed(seed, stream);
	return apply1(uniformOp, [own], { shape, offset, stride });
}

/**
 * Uniform numbers in the open interval (0, 1), float32: seed scalar int32 or int64 -> `shape`.
 * Element i in row-major order is `uniformAt(seed, i)`; with a stream, `uniformAt(foldSeed(seed, stream), i)`.
 */
export function randomUniform(seed: Tensor, shape: Shape, options: RandomOptions = {}): Tensor {
	return draw(seed, shape, options);
}

/** Standard normal numbers (Box & Muller 1958), float32; up to rounding those of `new RandomStream(seed).normal()`. */
export function randomNormal(seed: Tensor, shape: Shape, options: RandomOptions = {}): Tensor {
	const radius = sqrt(mul(log(draw(seed, shape, options, 0, 2)), -2));
	return mul(radius, cos(mul(draw(seed, shape, options, 1, 2), 2 * Math.PI)));
}

/** True with the given probability (a number, or a tensor that broadcasts to `shape`), bool. */
export function randomBernoulli(
	seed: Tensor,
	probability: TensorLike,
	shape: Shape,
	options: RandomOptions = {},
): Tensor {
	return less(draw(seed, shape, options), probability);
}

/** Standard Gumbel noise, `-log(-log(u))`: `argmax(logits + gumbel)` samples from `softmax(logits)`. */
export function gumbel(seed: Tensor, shape: Shape, options: RandomOptions = {}): Tensor {
	return neg(log(neg(log(draw(seed, shape, options)))));
}

/**
 * Zeroes elements of `x` [...] with probability `rate` and multiplies the others by `1 / (1 - rate)`.
 * @throws ShapeError when `rate` is not in [0, 1)
 */
export function dropout(x: Tensor, rate: number, seed: Tensor, options: RandomOptions = {}): Tensor {
	if (!(rate >= 0 && rate < 1) || !isFloat(x.dtype)) {
		throw new ShapeError(`dropout needs floats and a rate${callerLine()}`, {
			where: 'dropout',
			expected: 'a float tensor and a rate in [0, 1)',
			found: `${x.dtype} and ${rate}`,
		});
	}
	if (rate === 0) return x;
	// Kept as a mask of bytes for the backward pass, a quarter of the memory of a float factor.
	const kept = greaterEqual(draw(seed, x.shape, options), rate);
	return mul(where(kept, x, 0), 1 / (1 - rate));
}
