/** @file Drives every op through its samples: shape, value on the engine, gradient against central differences. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { elementCount, hostTensor } from '../base/host-tensor.ts';
import { RandomStream } from '../base/random.ts';
import { evaluate } from '../graph/evaluate.ts';
import { gradients } from '../graph/gradients.ts';
import '../graph/index.ts';
import { addAll, allOps, apply, constant, input, mul, sum, type Tensor } from '../graph/index.ts';
import type { AnyOp, OpSample } from '../graph/op.ts';
import { type NDArray, ndarray } from '../graph/reference.ts';
import { isFloat } from '../graph/tensor.ts';
import type { Device } from './device.ts';
import { Program } from './program.ts';

/** test/webgpu.test.ts runs this file a second time on another device. */
const device = (process.env.MODELSMITH_TEST_DEVICE ?? 'cpu') as Device;

interface Case {
	readonly inputs: readonly Tensor[];
	readonly outputs: readonly Tensor[];
	readonly values: readonly NDArray[];
}

function build(op: AnyOp, sample: OpSample<unknown>, seed: number): Case {
	const random = new RandomStream(seed);
	const inputs = sample.inputs.map(({ dims, dtype = 'float32' }, i) => input(`x${i}`, dtype, dims));
	const values = sample.inputs.map(({ dims, dtype = 'float32', values: given, range = [-2, 2] }) => {
		const [low, high] = range;
		const draw = (): number =>
			isFloat(dtype) ? Math.fround(low + (high - low) * random.uniform()) : low + random.integer(high - low + 1);
		return ndarray(dtype, dims, given ?? Array.from({ length: elementCount(dims) }, draw));
	});
	return { inputs, outputs: apply(op, inputs, sample.attributes), values };
}

const feed = ({ dtype, dims, data }: NDArray) => hostTensor(dtype, dims, [...data]);

function assertClose(
	actual: ArrayLike<number | bigint>,
	expected: ArrayLike<number>,
	tolerance: number,
	what: string,
): void {
	assert.equal(actual.length, expected.length, `${what}: number of elements`);
	for (let i = 0; i < expected.length; i++) {
		const [a, e] = [Number(actual[i]), expected[i] as number];
		if (Object.is(a, e) || a === e) continue;
		assert.ok(Math.abs(a - e) <= tolerance * (1 + Math.abs(e)), `${what}: element ${i} is ${a}, expected ${e}`);
	}
}

for (const [name, op] of allOps()) {
	if (op.testedBy !== undefined) continue;
	test(`op ${name}`, async () => {
		assert.ok(op.samples.length > 0, `op "${name}" has no samples: add some, or say in testedBy where it is tested`);
		for (const [index, sample] of op.samples.entries()) {
			const { inputs, outputs, values } = build(op, sample, 1000 + index);
			const tolerance = sample.tolerance ?? 1e-4;
			const label = `${name} sample ${index}`;
			const feeds = Object.fromEntries(values.map((value, i) => [`x${i}`, feed(value)]));
			const expected = op.reference(values, sample.attributes);
			const named = Object.fromEntries(outputs.map((output, i) => [`y${i}`, output]));
			const program = await Program.compile(named, { cache: false, device });
			const results = await program.run(feeds).catch((error: Error) => {
				if (device !== 'cpu' && error.message.includes('requires f16 but the device does not support it'))
					return undefined;
				throw error;
			});
			if (results === undefined) continue;
			expected.forEach((value, i) => {
				const result = results[`y${i}`]!;
				assert.deepEqual(outputs[i]!.shape.map(Number), value.dims, `${label}: inferred shape of output ${i}`);
				assert.deepEqual([...result.dims], value.dims, `${label}: shape of output ${i} on the engine`);
				assert.equal(result.dtype, outputs[i]!.dtype, `${label}: dtype of output ${i}`);
				if (result.dtype !== 'float16') assertClose(result.data, value.data, tolerance, `${label} output ${i}`);
			});
			await checkGradient(sample, { inputs, outputs, values }, feeds, tolerance, label);
		}
	});
}

async function checkGradient(
	sample: OpSample<unknown>,
	{ inputs, outputs, values }: Case,
	feeds: Record<string, ReturnType<typeof feed>>,
	tolerance: number,
	label: string,
): Promise<void> {
	const candidates = inputs.flatMap(({ dtype }, i) => (isFloat(dtype) ? [i] : []));
	const checked = sample.differentiable ?? candidates;
	const [first] = outputs;
	if (checked.length === 0 || first === undefined || !isFloat(first.dtype)) return;
	assert.ok(first.node.op.gradient !== undefined, `${label}: a float op needs a gradient, or differentiable: []`);
	// A fixed random cotangent makes the gradient a full test of the Jacobian. Only the first output is public.
	const random = new RandomStream(7);
	const weights = constant(
		hostTensor(
			'float32',
			first.shape.map(Number),
			Array.from({ length: elementCount(first.shape.map(Number)) }, () => random.uniform() - 0.5),
		),
	);
	const loss = addAll([sum(mul(first, weights))]);
	const wanted = gradients(
		loss,
		checked.map((i) => inputs[i]!),
	);
	const program = await Program.compile(Object.fromEntries(wanted.map((gradient, i) => [`g${i}`, gradient])), {
		cache: false,
	});
	const onEngine = await program.run(feeds);
	const lossAt = (arrays: readonly NDArray[]): number =>
		evaluate([loss], new Map(inputs.map((tensor, i) => [tensor, arrays[i]!])))[0]!.data[0]!;
	const exact = evaluate(wanted, new Map(inputs.map((tensor, i) => [tensor, values[i]!])));
	checked.forEach((inputIndex, i) => {
		const base = values[inputIndex]!;
		const numeric = Float64Array.from(base.data, (_, at) => {
			const h = 1e-5;
			const shifted = (delta: number): NDArray[] =>
				values.map((value, j) =>
					j === inputIndex
						? ndarray(
								value.dtype,
								value.dims,
								value.data.map((x, k) => (k === at ? x + delta : x)),
							)
						: value,
				);
			return (lossAt(shifted(h)) - lossAt(shifted(-h))) / (2 * h);
		});
		assertClose(exact[i]!.data, numeric, 2e-6, `${label}: gradient of input ${inputIndex} in float64`);
		assertClose(
			onEngine[`g${i}`]!.data,
			numeric,
			tolerance * 2,
			`${label}: gradient of input ${inputIndex} on the engine`,
		);
	});
}
