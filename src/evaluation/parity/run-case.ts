/** @file Runs one golden case on the engine: values and gradients, compared one by one. */
import { ConfigError } from '../../base/errors.ts';
import type { HostTensor } from '../../base/host-tensor.ts';
import { validate } from '../../base/validate.ts';
import { gradients } from '../../graph/gradients.ts';
import { addAll, mul } from '../../graph/ops/arithmetic.ts';
import { sum } from '../../graph/ops/reduction.ts';
import { constant } from '../../graph/ops/source.ts';
import type { InputAttributes, Tensor } from '../../graph/tensor.ts';
import { stackParameters, unstackParameters } from '../../nn/parameters.ts';
import { Program } from '../../runtime/program.ts';
import { type Comparison, compareTensors } from './compare.ts';
import type { GoldenCase } from './golden-case.ts';
import type { BuiltCase, ParityKind, ParityOptions } from './parity-kind.ts';

/** Why a case cannot be run yet, or undefined. @throws ConfigError when the config is not one of this kind */
export function unsupportedOption(kind: ParityKind, golden: Pick<GoldenCase, 'config' | 'kind'>): string | undefined {
	return kind.unsupported?.(validate(kind.config, golden.config, 'config'));
}

/**
 * Computes a case and compares all outputs and gradients.
 * @throws ModelsmithError when the module cannot be built or run
 */
export async function runCase(kind: ParityKind, golden: GoldenCase, options: ParityOptions): Promise<Comparison> {
	const config = validate(kind.config, golden.config, 'config');
	const results =
		kind.run !== undefined
			? await kind.run(config, golden)
			: await runBuilt((kind.build as NonNullable<ParityKind['build']>)(config, golden, options), golden);
	const expected = new Map<string, HostTensor>();
	for (const [name, value] of golden.outputs) expected.set(`output.${name}`, value);
	for (const [name, value] of golden.gradients) expected.set(`grad.${name}`, value);
	let [maxAbsError, maxRelError] = [0, 0];
	let error: string | undefined;
	for (const [name, theirs] of expected) {
		const ours = results[name];
		if (ours === undefined) throw new ConfigError(`the kind "${golden.kind}" does not compute "${name}"`);
		const comparison = compareTensors(name, ours, theirs, golden.tolerance);
		maxAbsError = Math.max(maxAbsError, comparison.maxAbsError);
		maxRelError = Math.max(maxRelError, comparison.maxRelError);
		error ??= comparison.error;
	}
	return { maxAbsError, maxRelError, pass: error === undefined, ...(error !== undefined && { error }) };
}

async function runBuilt(built: BuiltCase, golden: GoldenCase): Promise<Record<string, HostTensor>> {
	const specs = built.parameters.all;
	const parameters = stackParameters(specs, golden.params);
	const used = new Set(unstackParameters(specs, parameters).keys());
	for (const name of golden.params.keys()) {
		if (!used.has(name)) throw new ConfigError(`the model has no parameter "${name}"`, { where: golden.path });
	}
	const feeds: Record<string, HostTensor> = Object.fromEntries(parameters);
	for (const [name, tensor] of Object.entries(built.inputs)) {
		const value = golden.inputs.get(name);
		if (value !== undefined) feeds[(tensor.node.attributes as InputAttributes).name] = value;
	}
	const wanted: Record<string, Tensor> = {};
	for (const name of golden.outputs.keys()) {
		const tensor = built.outputs[name];
		if (tensor !== undefined) wanted[`output.${name}`] = tensor;
	}
	const fromInputs = [...golden.gradients.keys()].filter((name) => name.startsWith('input.'));
	const fromParameters = golden.gradients.size > fromInputs.length ? specs : [];
	const sources = [
		...fromParameters.map((spec) => spec.tensor),
		...fromInputs.map((name) => graphInput(built, name.slice('input.'.length))),
	];
	if (sources.length > 0) {
		gradients(objective(built, golden), sources).forEach((gradient, i) => {
			wanted[`gradient ${i}`] = gradient;
		});
	}
	const results = await (await Program.compile(wanted, { cache: false })).run(feeds);
	const found = (i: number): HostTensor => results[`gradient ${i}`] as HostTensor;
	const stacked = new Map(fromParameters.map((spec, i) => [spec.name, found(i)]));
	for (const [name, value] of unstackParameters(fromParameters, stacked)) results[`grad.${name}`] = value;
	fromInputs.forEach((name, i) => {
		results[`grad.${name}`] = found(fromParameters.length + i);
	});
	for (const [name, value] of Object.entries((await built.more?.(parameters)) ?? {})) results[`output.${name}`] = value;
	return results;
}

/** The scalar whose gradient a case has: `loss`, or the sum of outputs times cotangents. */
function objective(built: BuiltCase, golden: GoldenCase): Tensor {
	if (golden.cotangents.size === 0) return graphOutput(built, 'loss');
	return addAll([...golden.cotangents].map(([name, value]) => sum(mul(graphOutput(built, name), constant(value)))));
}

function graphOutput({ outputs }: BuiltCase, name: string): Tensor {
	const tensor = outputs[name];
	if (tensor === undefined) throw new ConfigError(`the module has no output "${name}" to differentiate`);
	return tensor;
}

function graphInput({ inputs }: BuiltCase, name: string): Tensor {
	const tensor = inputs[name];
	if (tensor === undefined) throw new ConfigError(`the module has no input "${name}"`);
	return tensor;
}
