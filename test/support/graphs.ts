/** @file Helpers of graph tests: comparing numbers, running on the engine, gradients against central differences. */
import assert from 'node:assert/strict';
import { elementCount, type HostTensor, hostTensor } from '../../src/base/host-tensor.ts';
import { RandomStream } from '../../src/base/random.ts';
import { evaluate } from '../../src/graph/evaluate.ts';
import { gradients } from '../../src/graph/gradients.ts';
import { type NDArray, ndarray } from '../../src/graph/reference.ts';
import type { InputAttributes, Tensor } from '../../src/graph/tensor.ts';
import { type CompileOptions, Program } from '../../src/runtime/program.ts';

/** Values of graph inputs. */
export type Feeds = ReadonlyMap<Tensor, NDArray>;

export function assertClose(
	actual: ArrayLike<number | bigint>,
	expected: ArrayLike<number | bigint>,
	tolerance: number,
	what: string,
): void {
	assert.equal(actual.length, expected.length, `${what}: number of elements`);
	for (let i = 0; i < expected.length; i++) {
		const [a, e] = [Number(actual[i]), Number(expected[i])];
		if (Object.is(a, e) || a === e) continue;
		assert.ok(Math.abs(a - e) <= tolerance * (1 + Math.abs(e)), `${what}: element ${i} is ${a}, expected ${e}`);
	}
}

/** Random values in [-1, 1), the same for the same seed; exact in float32. */
export function randomArray(dims: readonly number[], seed = 1, scale = 1): NDArray {
	const random = new RandomStream(seed);
	const data = Array.from({ length: elementCount(dims) }, () => Math.fround(scale * (2 * random.uniform() - 1)));
	return ndarray('float32', dims, data);
}

export function toHost({ dtype, dims, data }: NDArray): HostTensor {
	return hostTensor(dtype, dims, [...data]);
}

/** Values of tensors on the engine. */
export async function runOnEngine(
	tensors: readonly Tensor[],
	feeds: Feeds,
	options: CompileOptions = {},
): Promise<HostTensor[]> {
	const named = Object.fromEntries(tensors.map((tensor, i) => [`out_${i}`, tensor]));
	const program = await Program.compile(named, { cache: false, ...options });
	const given = [...feeds].map(([tensor, value]) => [(tensor.node.attributes as InputAttributes).name, toHost(value)]);
	const results = await program.run(Object.fromEntries(given));
	return tensors.map((_, i) => results[`out_${i}`] as HostTensor);
}

/** Central differences of a scalar with respect to one input, in float64. */
export function centralDifferences(loss: Tensor, parameter: Tensor, feeds: Feeds, h = 1e-5): Float64Array {
	const base = feeds.get(parameter) as NDArray;
	const at = (index: number, delta: number): number => {
		const data = base.data.map((x, i) => (i === index ? x + delta : x));
		return evaluate([loss], new Map([...feeds, [parameter, { ...base, data }]]))[0]?.data[0] as number;
	};
	return Float64Array.from(base.data, (_, i) => (at(i, h) - at(i, -h)) / (2 * h));
}

/** Checks gradients of a scalar against central differences, through the references and on the engine. */
export async function checkGradients(
	loss: Tensor,
	parameters: readonly Tensor[],
	feeds: Feeds,
	tolerance = 2e-4,
): Promise<void> {
	const wanted = gradients(loss, parameters);
	const exact = evaluate(wanted, feeds);
	const engine = await runOnEngine([loss, ...wanted], feeds);
	const value = evaluate([loss], feeds)[0] as NDArray;
	assertClose(engine[0]?.data as Float32Array, value.data, tolerance, 'loss on the engine');
	parameters.forEach((parameter, i) => {
		const numeric = centralDifferences(loss, parameter, feeds);
		assertClose((exact[i] as NDArray).data, numeric, 1e-6, `gradient of ${parameter} in float64`);
		assertClose(engine[i + 1]?.data as Float32Array, numeric, tolerance, `gradient of ${parameter} on the engine`);
	});
}
