/**
 * @file Finds where numbers went wrong: runs a step again with a probe on every tensor, loops included, and names the first
 * one (in order of computation) that is not finite.
 */
import { type HostTensor, hostTensor } from '../base/host-tensor.ts';
import { apply } from '../graph/op.ts';
import { cast } from '../graph/ops/cast.ts';
import { greater, isNan, less, logicalOr, where } from '../graph/ops/compare.ts';
import { max } from '../graph/ops/reduction.ts';
import { scalar } from '../graph/ops/source.ts';
import { inlineCheckpoints } from '../graph/passes/inline-checkpoints.ts';
import { mergeScans } from '../graph/passes/merge-scans.ts';
import { type ScanAttributes, scanOp } from '../graph/scan.ts';
import { type GraphNode, type InputAttributes, isFloat, type Tensor, topologicalOrder } from '../graph/tensor.ts';
import { Program } from '../runtime/program.ts';
import { type Batch, batchFeeds } from './batch.ts';
import { buildLoss, type LossOptions } from './loss-graph.ts';
import { scalarName } from './update-expression.ts';

/** Largest float32; what is above is infinite. */
const LARGEST = 3.4028234663852886e38;
/** Codes of a probe. Minus infinity alone is the usual mask of attention scores and only a second suspicion. */
const [BAD, MASKED] = [2, 1];
const UNTESTED = new Set(['input', 'constant', 'placeholder']);

/** The first tensor found, in words. */
export type NonFinite = string;

interface Probe {
	readonly name: (layer: number) => string;
	/** A scalar, or one code a step of a loop. */
	readonly code: Tensor;
}

/** Probes in order of computation: of one node, or of a loop, where every step goes through all of them. */
interface ProbeGroup {
	readonly probes: readonly Probe[];
	/** The loop runs from its last step to its first. */
	readonly reverse: boolean;
}

/**
 * Looks for the first non-finite tensor of a step.
 * @param values of all parameters by graph input name, as they were before the step
 * @returns undefined when everything is finite this time
 */
export async function findNonFinite(
	options: LossOptions & { readonly threads?: number | undefined },
	values: ReadonlyMap<string, HostTensor>,
	batches: readonly Batch[],
	seed: number,
): Promise<NonFinite | undefined> {
	for (const [name, { data }] of values) {
		if ((data as Float32Array).some((value) => !Number.isFinite(value))) return `the parameter ${name}`;
	}
	const specs = options.model.parameters.trainable;
	// Without half precision: what overflows only there is the loss scaler's affair.
	const graph = buildLoss({ ...options, precision: 'float32' }, specs);
	const results = mergeScans(inlineCheckpoints([graph.loss, ...graph.gradients]));
	const forward = new Set(topologicalOrder(results.slice(0, 1)));
	const groups: ProbeGroup[] = topologicalOrder(results).map((node) => {
		const phase = forward.has(node) ? '' : ', in the backward pass';
		if (node.op === scanOp) return loopProbes(node, phase);
		return { probes: nodeProbes(node, [], () => phase), reverse: false };
	});
	specs.forEach(({ name }, i) => {
		const probe = { name: () => `the gradient of ${name}`, code: codeOf(results[i + 1] as Tensor) };
		groups.push({ probes: [probe], reverse: false });
	});
	const outputs = Object.fromEntries(
		groups.flatMap(({ probes }, g) => probes.map(({ code }, i) => [`probe.${g}.${i}`, code] as const)),
	);
	const program = await Program.compile(outputs, {
		cache: false,
		...(options.threads !== undefined && { threads: options.threads }),
	});
	const labelCount = Math.max(
		1,
		batches.reduce((total, { targetCount }) => total + targetCount, 0),
	);
	let masked: NonFinite | undefined;
	for (const [micro, batch] of batches.entries()) {
		const found = await program.run({
			...Object.fromEntries(values),
			...batchFeeds(batch),
			labelCount: hostTensor('float32', [], [labelCount]),
			microShare: hostTensor('float32', [], [1 / batches.length]),
			[scalarName('lossScale')]: hostTensor('float32', [], [1]),
			seed: hostTensor('int32', [], [(seed + Math.imul(micro, 0x9e3779b9)) | 0]),
		});
		for (const [g, group] of groups.entries()) {
			const codes = group.probes.map((_, i) => (found[`probe.${g}.${i}`] as HostTensor).data as Float32Array);
			const bad = firstWith(BAD, group, codes);
			if (bad !== undefined) return bad;
			masked ??= firstWith(MASKED, group, codes);
		}
	}
	return masked;
}

/** Name of the first tensor of a group with a code: the earliest step of the loop decides, then the order in the step. */
function firstWith(code: number, { probes, reverse }: ProbeGroup, codes: readonly Float32Array[]): string | undefined {
	const steps = codes[0]?.length ?? 0;
	for (let turn = 0; turn < steps; turn++) {
		const step = reverse ? steps - 1 - turn : turn;
		const i = codes.findIndex((values) => values[step] === code);
		if (i >= 0) return (probes[i] as Probe).name(step);
	}
	return undefined;
}

/** Scalar: BAD where any element is NaN or +Inf, MASKED where any is -Inf, else 0. */
function codeOf(tensor: Tensor): Tensor {
	const x = cast(tensor, 'float32');
	const bad = logicalOr(isNan(x), greater(x, LARGEST));
	const code = where(bad, scalar(BAD), where(less(x, -LARGEST), scalar(MASKED), scalar(0)));
	return code.rank === 0 ? code : max(code);
}

function nodeProbes(
	node: GraphNode,
	parameterNames: readonly NamedTensor[],
	suffix: (layer: number) => string,
): Probe[] {
	if (UNTESTED.has(node.op.name) || node.op.view === true) return [];
	return node.outputs
		.filter(({ dtype }) => isFloat(dtype))
		.map((output) => ({
			name: (layer) => `the result of ${describe(node, parameterNames, layer)}${suffix(layer)}`,
			code: codeOf(output),
		}));
}

interface NamedTensor {
	readonly tensor: Tensor;
	readonly name: string;
}

/** Probes inside a loop: a second loop over the same inputs that stacks one code a tensor and step. */
function loopProbes(node: GraphNode, phase: string): ProbeGroup {
	const attributes = node.attributes as ScanAttributes;
	const { parameters, results } = attributes.body;
	const named = parameters.flatMap((tensor, i) => {
		const source = (node.inputs[i] as Tensor).node;
		return source.op.name === 'input' ? [{ tensor, name: (source.attributes as InputAttributes).name }] : [];
	});
	const inner = topologicalOrder(inlineCheckpoints(results)).flatMap((bodyNode) =>
		bodyNode.op === scanOp ? [] : nodeProbes(bodyNode, named, (layer) => ` in layer ${layer}${phase}`),
	);
	const body = { parameters, results: [...results, ...inner.map(({ code }) => code)] };
	const stacked = apply(scanOp, node.inputs, { ...attributes, body });
	const probes = inner.map((probe, i) => ({ ...probe, code: stacked[results.length + i] as Tensor }));
	return { probes, reverse: attributes.reverse };
}

/** An op and the parameter it works with, or the nearest one before it. */
function describe(node: GraphNode, named: readonly NamedTensor[], layer: number): string {
	let level: readonly GraphNode[] = [node];
	for (let distance = 0; distance < 8 && level.length > 0; distance++) {
		for (const current of level) {
			for (const tensor of current.inputs) {
				const name =
					named.find((candidate) => candidate.tensor === tensor)?.name ??
					(tensor.node.op.name === 'input' ? (tensor.node.attributes as InputAttributes).name : undefined);
				if (name === undefined || !name.includes('.')) continue;
				return `${node.op.name} ${distance === 0 ? 'with' : 'after'} ${name.replace('*', String(layer))}`;
			}
		}
		level = level.flatMap(({ inputs }) => inputs.map((tensor) => tensor.node));
	}
	return node.op.name;
}
