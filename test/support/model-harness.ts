/** @file Running models in tests: forward passes, losses with gradients, and decoding step by step. */
import { type HostTensor, hostTensor, zeros } from '../../src/base/host-tensor.ts';
import { RandomStream } from '../../src/base/random.ts';
import { gradients } from '../../src/graph/gradients.ts';
import { crossEntropy } from '../../src/graph/ops/cross-entropy.ts';
import { flattenRows, reshape } from '../../src/graph/ops/movement.ts';
import { mean } from '../../src/graph/ops/reduction.ts';
import { input } from '../../src/graph/ops/source.ts';
import { dim } from '../../src/graph/shape.ts';
import type { Tensor } from '../../src/graph/tensor.ts';
import type { ForwardContext, StateSpec, TextInputs } from '../../src/models/language-model.ts';
import { type ParameterTree, unstackParameters } from '../../src/nn/parameters.ts';
import { Program } from '../../src/runtime/program.ts';

/** What a test model has to have. */
export interface TestModel {
	readonly parameters: ParameterTree;
	readonly hiddenStates: (
		inputs: TextInputs,
		context: ForwardContext,
	) => { readonly hidden: Tensor; readonly auxiliaryLosses: readonly Tensor[] };
	readonly logits: (hidden: Tensor) => Tensor;
}

/** Rows of numbers as a tensor. */
export function rows(values: readonly (readonly number[])[], dtype: 'int32' | 'bool' = 'int32'): HostTensor {
	return hostTensor(dtype, [values.length, values[0]?.length ?? 0], values.flat());
}

/** Random token ids [batch, time]. */
export function randomTokens(seed: number, batch: number, time: number, vocabSize: number): HostTensor {
	const random = new RandomStream(seed);
	return hostTensor(
		'int32',
		[batch, time],
		Array.from({ length: batch * time }, () => random.integer(vocabSize)),
	);
}

export type TextValues = { readonly tokens: HostTensor } & Partial<
	Record<'positions' | 'segmentIds' | 'paddingMask', HostTensor>
>;

function textInputs(values: TextValues): TextInputs {
	const sizes = [dim('batch'), dim('time')];
	return Object.fromEntries(
		Object.entries(values).map(([name, { dtype }]) => [name, input(name, dtype, sizes)]),
	) as unknown as TextInputs;
}

/** Random values for all parameters: also for biases and norms, which would start at 0 and 1. */
export function randomParameters(tree: ParameterTree, seed = 11): Map<string, HostTensor> {
	const values = tree.initialize(seed);
	for (const [name, { data }] of values) {
		const random = new RandomStream(seed + name.length);
		for (let i = 0; i < data.length; i++) data[i] = Number(data[i]) + 0.1 * random.normal();
	}
	return values;
}

/** Logits [batch, time, vocab] of a full pass. */
export async function logitsOf(
	model: TestModel,
	values: TextValues,
	parameters: ReadonlyMap<string, HostTensor>,
): Promise<HostTensor> {
	const { hidden } = model.hiddenStates(textInputs(values), { training: false });
	const program = await Program.compile({ logits: model.logits(hidden) });
	return (await program.run({ ...Object.fromEntries(parameters), ...values })).logits as HostTensor;
}

/** Loss of predicting `tokens` from themselves (any labels do), and gradients by saved parameter name. */
export async function lossAndGradients(
	model: TestModel,
	values: TextValues,
	parameters: ReadonlyMap<string, HostTensor>,
	seed?: number,
): Promise<{ readonly loss: number; readonly gradients: Map<string, HostTensor> }> {
	const inputs = textInputs(values);
	const context = { training: true, ...(seed !== undefined && { seed: input('seed', 'int32', []) }) };
	const { hidden } = model.hiddenStates(inputs, context);
	const loss = mean(crossEntropy(flattenRows(model.logits(hidden)), reshape(inputs.tokens, [-1])));
	const specs = model.parameters.all;
	const wanted = gradients(
		loss,
		specs.map(({ tensor }) => tensor),
	);
	const program = await Program.compile({ loss, ...Object.fromEntries(wanted.map((g, i) => [`gradient ${i}`, g])) });
	const feeds = { ...Object.fromEntries(parameters), ...values };
	const results = await program.run({ ...feeds, seed: hostTensor('int32', [], [seed ?? 0]) });
	const byName = new Map(specs.map(({ name }, i) => [name, results[`gradient ${i}`] as HostTensor]));
	return { loss: Number((results.loss as HostTensor).data[0]), gradients: unstackParameters(specs, byName) };
}

/** An empty state for `batch` texts. */
export function emptyState(specs: readonly StateSpec[], batch: number): HostTensor[] {
	return specs.map(({ dtype, shape }) =>
		zeros(
			dtype,
			shape.map((size) => (typeof size === 'number' ? size : size.key === 'batch' ? batch : 0)),
		),
	);
}

export function largestDifference(a: HostTensor, b: HostTensor): number {
	if (a.data.length !== b.data.length) return Number.POSITIVE_INFINITY;
	let largest = 0;
	for (let i = 0; i < a.data.length; i++) {
		const off = Math.abs(Number(a.data[i]) - Number(b.data[i]));
		largest = Math.max(largest, Number.isNaN(off) ? Number.POSITIVE_INFINITY : off);
	}
	return largest;
}
