/** @file Initialisers of the field: functions from a shape and a random stream to values. Weights are [out, in]. */
import { elementCount } from '../base/host-tensor.ts';
import type { RandomStream } from '../base/random.ts';
import type { Initializer } from './parameters.ts';

function fill(dims: readonly number[], draw: () => number): Float32Array {
	const values = new Float32Array(elementCount(dims));
	for (let i = 0; i < values.length; i++) values[i] = draw();
	return values;
}

/** Every value the same. */
export const constantValue =
	(value: number): Initializer =>
	(dims) =>
		new Float32Array(elementCount(dims)).fill(value);

export const zeros: Initializer = constantValue(0);
export const ones: Initializer = constantValue(1);

/** Normal with mean 0. */
export const normal =
	(std: number): Initializer =>
	(dims, random) =>
		fill(dims, () => std * random.normal());

/** Normal with mean 0, values beyond `cut` standard deviations drawn again. */
export const truncatedNormal =
	(std: number, cut = 2): Initializer =>
	(dims, random) =>
		fill(dims, () => {
			let value = random.normal();
			while (Math.abs(value) > cut) value = random.normal();
			return std * value;
		});

/** Uniform in (-bound, bound). */
export const uniform =
	(bound: number): Initializer =>
	(dims, random) =>
		fill(dims, () => symmetric(random, bound));

/** Uniform with bound gain * sqrt(6 / (in + out)) (Glorot & Bengio 2010). */
export const xavierUniform =
	(gain = 1): Initializer =>
	(dims, random) => {
		const { fanIn, fanOut } = fans(dims);
		return uniform(gain * Math.sqrt(6 / (fanIn + fanOut)))(dims, random);
	};

/** Uniform with bound 1 / sqrt(in): what torch.nn.Linear starts from (kaiming_uniform with a = sqrt(5)). */
export const kaimingUniform: Initializer = (dims, random) => uniform(1 / Math.sqrt(fans(dims).fanIn))(dims, random);

/** The values of another initialiser times a factor. */
export const scaled = (initializer: Initializer, factor: number): Initializer =>
	factor === 1 ? initializer : (dims, random) => initializer(dims, random).map((value) => value * factor);

function symmetric(random: RandomStream, bound: number): number {
	return (2 * random.uniform() - 1) * bound;
}

function fans(dims: readonly number[]): { readonly fanIn: number; readonly fanOut: number } {
	const receptive = elementCount(dims.slice(2));
	return { fanIn: (dims[1] ?? dims[0] ?? 1) * receptive, fanOut: (dims[0] ?? 1) * receptive };
}
