/**
 * @file Applies an optimizer to all parameters: by elementwise kernels where the rule allows it, by the engine for the rest
 * (Muon's matrices, other devices).
 */
import type { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import { hostTensor } from '../base/host-tensor.ts';
import { input } from '../graph/ops/source.ts';
import { dim } from '../graph/shape.ts';
import type { Tensor } from '../graph/tensor.ts';
import type { Device } from '../runtime/device.ts';
import { compileElementwise, type ElementwiseKernel, isElementwise } from '../runtime/elementwise/kernel.ts';
import { Program } from '../runtime/program.ts';
import { loadOrt, toOrt } from '../runtime/session.ts';
import type { Optimizer } from './optimizer.ts';
import { fitsArena, type Residence, type ResidentTensors } from './resident-tensors.ts';
import { nextName, type ParameterPlan, type Slot } from './slots.ts';
import { scalarName, updateExpression } from './update-expression.ts';

export interface UpdaterOptions {
	readonly optimizer: Optimizer;
	readonly ema: boolean;
	readonly device: Device;
	readonly threads?: number | undefined;
	/** Use elementwise kernels where possible (default true); false lets the engine do it all. */
	readonly kernels?: boolean;
}

/** Where the tensors of each parameter have to live for its update. */
export function residenceOf({
	optimizer,
	ema,
	device,
	kernels = true,
}: UpdaterOptions): (plan: ParameterPlan) => Residence {
	if (device !== 'cpu') return () => 'device';
	const known = new Map<string, boolean>();
	return (plan) => {
		if (!kernels || !plan.rule.elementwise || !fitsArena(plan)) return 'double';
		let possible = known.get(plan.rule.key);
		if (possible === undefined) {
			possible = isElementwise(kernelExpression(optimizer, plan, ema));
			known.set(plan.rule.key, possible);
		}
		return possible ? 'in-place' : 'double';
	};
}

/** The update over arrays of any one length. */
function kernelExpression(optimizer: Optimizer, { rule }: ParameterPlan, ema: boolean): Record<string, Tensor> {
	const inputs = new Map<string, Tensor>();
	return updateExpression(optimizer, rule, ema, (part) => {
		const known = inputs.get(part) ?? input(part, 'float32', [dim('n')]);
		inputs.set(part, known);
		return known;
	});
}

interface KernelGroup {
	readonly kernel: ElementwiseKernel;
	readonly plans: readonly ParameterPlan[];
}

/** A compiled optimizer step. */
export class Updater {
	readonly #groups: readonly KernelGroup[];
	readonly #engine: Program | undefined;
	readonly #enginePlans: readonly ParameterPlan[];
	readonly #residents: ResidentTensors;

	private constructor(
		groups: readonly KernelGroup[],
		engine: Program | undefined,
		enginePlans: readonly ParameterPlan[],
		residents: ResidentTensors,
	) {
		this.#groups = groups;
		this.#engine = engine;
		this.#enginePlans = enginePlans;
		this.#residents = residents;
	}

	static async compile(
		plans: readonly ParameterPlan[],
		residents: ResidentTensors,
		options: UpdaterOptions,
	): Promise<Updater> {
		const { optimizer, ema, device, threads } = options;
		const residence = residenceOf(options);
		const byKey = new Map<string, ParameterPlan[]>();
		const enginePlans: ParameterPlan[] = [];
		for (const plan of plans) {
			if (residence(plan) === 'in-place') byKey.set(plan.rule.key, [...(byKey.get(plan.rule.key) ?? []), plan]);
			else enginePlans.push(plan);
		}
		const groups = [...byKey.values()].map((group) => ({
			kernel: compileElementwise(kernelExpression(optimizer, group[0] as ParameterPlan, ema)),
			plans: group,
		}));
		let engine: Program | undefined;
		if (enginePlans.length > 0) {
			engine = await Program.compile(engineOutputs(optimizer, enginePlans, ema), {
				device,
				keepOnDevice: changedSlots(enginePlans).map(nextName),
				cache: false,
				...(threads !== undefined && { threads }),
			});
		}
		return new Updater(groups, engine, enginePlans, residents);
	}

	/** Changes parameters and state. @param scalars of the step by name, float64 */
	async apply(scalars: Readonly<Record<string, number>>): Promise<void> {
		const named = Object.fromEntries(Object.entries(scalars).map(([name, value]) => [scalarName(name), value]));
		for (const { kernel, plans } of this.#groups) {
			const values = kernel.scalars(named);
			for (const plan of plans) {
				const { arena, tensors } = this.#residents.inPlace(plan);
				arena.run(kernel, tensors, values);
			}
		}
		if (this.#engine !== undefined) await this.#applyEngine(this.#engine, named);
	}

	async #applyEngine(engine: Program, scalars: Readonly<Record<string, number>>): Promise<void> {
		const ort = await loadOrt();
		const feeds: Record<string, OrtTensor> = {};
		const fetches: Record<string, OrtTensor | null> = {};
		for (const { name } of engine.inputs) {
			const scalar = scalars[name];
			feeds[name] = scalar === undefined ? this.#residents.feed(name) : toOrt(ort, hostTensor('float32', [], [scalar]));
		}
		const written = changedSlots(this.#enginePlans);
		for (const slot of written) fetches[nextName(slot)] = this.#residents.target(slot.name);
		const results = await engine.session.run(feeds, fetches as InferenceSession.FetchesType);
		for (const slot of written) this.#residents.replace(slot.name, results[nextName(slot)] as OrtTensor);
	}
}

function changedSlots(plans: readonly ParameterPlan[]): Slot[] {
	return plans.flatMap(({ slots }) => slots.filter(({ part }) => part !== 'gradient'));
}

function engineOutputs(optimizer: Optimizer, plans: readonly ParameterPlan[], ema: boolean): Record<string, Tensor> {
	const outputs: Record<string, Tensor> = {};
	const scalars = new Map<string, Tensor>();
	for (const { spec, rule, slots } of plans) {
		const byPart = new Map(slots.map((slot) => [slot.part, slot]));
		const tensors = new Map(
			slots.map(({ part, name, shape }) => [part, part === 'parameter' ? spec.tensor : input(name, 'float32', shape)]),
		);
		const next = updateExpression(optimizer, rule, ema, (part) => tensors.get(part) as Tensor, scalars);
		for (const [part, tensor] of Object.entries(next)) outputs[nextName(byPart.get(part) as Slot)] = tensor;
	}
	return outputs;
}
