/**
 * @file One optimizer step as compiled graphs. Without accumulation forward, backward, clipping and update are one graph;
 * with it there are two: one adds a micro-batch's gradients, one applies them.
 */
import type { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import { ConfigError } from '../base/errors.ts';
import type { HostTensor } from '../base/host-tensor.ts';
import { gradients } from '../graph/gradients.ts';
import { add, addAll, div, mul } from '../graph/ops/arithmetic.ts';
import { input } from '../graph/ops/source.ts';
import type { Tensor } from '../graph/tensor.ts';
import type { CausalLanguageModel } from '../models/language-model.ts';
import { fullShape, type ParameterSpec } from '../nn/parameters.ts';
import type { Device } from '../runtime/device.ts';
import { Program } from '../runtime/program.ts';
import { loadOrt, toOrt } from '../runtime/session.ts';
import { autocast } from './autocast.ts';
import { type Batch, type BatchShape, batchFeeds, batchInputs } from './batch.ts';
import { LossScaler } from './loss-scale.ts';
import type { Objective } from './objective.ts';
import type { Optimizer, StepPlace } from './optimizer.ts';
import { ResidentTensors } from './resident-tensors.ts';
import { buildUpdate, type Slot, scalarName } from './update-graph.ts';

export interface TrainStepOptions {
	readonly model: CausalLanguageModel;
	readonly objective: Objective;
	readonly optimizer: Optimizer;
	/** Shape of every micro-batch. */
	readonly batch: BatchShape;
	/** Micro-batches of one step, default 1. */
	readonly accumulation?: number;
	/** Largest global norm of the gradient; absent: no clipping. */
	readonly clip?: number | undefined;
	/** Decay of a moving average of the parameters; absent: none is kept. */
	readonly emaDecay?: number | undefined;
	/** `mixed`: matrix products in float16 with loss scaling; not on the CPU. */
	readonly precision?: 'float32' | 'mixed';
	readonly device?: Device;
	readonly threads?: number | undefined;
	/** Update large tensors in pieces that fit the cache (default true). */
	readonly pieces?: boolean;
	/** Also return the gradients of every run (before clipping); for tests. Needs accumulation 1 or gives the sums. */
	readonly keepGradients?: boolean;
}

export interface StepResult {
	/** What was minimised: mean over the labels of the step, plus auxiliary losses. */
	readonly loss: number;
	/** Mean negative log-likelihood of the labels. */
	readonly likelihood: number;
	/** Global norm of the gradient before clipping. */
	readonly gradientNorm: number;
	/** False where a scaled step overflowed and changed nothing. */
	readonly applied: boolean;
	/** By parameter name, where asked for. */
	readonly gradients?: ReadonlyMap<string, HostTensor>;
}

/** Forward and backward of one micro-batch as a graph. */
export interface LossGraph {
	readonly loss: Tensor;
	readonly likelihood: Tensor;
	readonly gradients: readonly Tensor[];
}

/**
 * Builds loss and gradients. Inputs beside the batch and the parameters: `labelCount` (labels of the whole step),
 * `microShare` (1 / micro-batches), `seed`, and `scalar.lossScale` with mixed precision.
 */
export function buildLoss(options: TrainStepOptions, specs: readonly ParameterSpec[]): LossGraph {
	const { model, objective } = options;
	const context = { training: true, seed: input('seed', 'int32', []) };
	const result = objective.loss(model, batchInputs(options.batch), context);
	const labelCount = input('labelCount', 'float32', []);
	const auxiliary = result.auxiliaryLosses;
	let loss = div(result.lossSum, labelCount);
	if (auxiliary.length > 0) loss = add(loss, mul(addAll(auxiliary), input('microShare', 'float32', [])));
	let likelihood = div(result.likelihoodSum, labelCount);
	const mixed = options.precision === 'mixed';
	if (mixed) [loss, likelihood] = autocast([loss, likelihood]) as [Tensor, Tensor];
	const minimised = mixed ? mul(loss, input(scalarName('lossScale'), 'float32', [])) : loss;
	const found = gradients(
		minimised,
		specs.map(({ tensor }) => tensor),
	);
	return { loss, likelihood, gradients: found };
}

/** The compiled step and everything it changes. */
export class TrainStep {
	readonly slots: readonly Slot[];
	readonly scaler: LossScaler | undefined;
	readonly #options: TrainStepOptions;
	readonly #specs: readonly ParameterSpec[];
	readonly #frozen: Readonly<Record<string, OrtTensor>>;
	readonly #residents: ResidentTensors;
	readonly #sums: ResidentTensors | undefined;
	readonly #zeros: Readonly<Record<string, OrtTensor>>;
	readonly #micro: Program | undefined;
	readonly #apply: Program;
	readonly #wrap: (value: HostTensor) => OrtTensor;

	private constructor(parts: {
		options: TrainStepOptions;
		slots: readonly Slot[];
		frozen: Readonly<Record<string, OrtTensor>>;
		residents: ResidentTensors;
		sums: ResidentTensors | undefined;
		zeros: Readonly<Record<string, OrtTensor>>;
		micro: Program | undefined;
		apply: Program;
		wrap: (value: HostTensor) => OrtTensor;
	}) {
		this.#options = parts.options;
		this.#specs = parts.options.model.parameters.trainable;
		this.slots = parts.slots;
		this.#frozen = parts.frozen;
		this.#residents = parts.residents;
		this.#sums = parts.sums;
		this.#zeros = parts.zeros;
		this.#micro = parts.micro;
		this.#apply = parts.apply;
		this.#wrap = parts.wrap;
		this.scaler = parts.options.precision === 'mixed' ? new LossScaler() : undefined;
	}

	/**
	 * Builds and compiles the graphs.
	 * @param values of all parameters by graph input name; copied
	 * @throws ConfigError where the precision does not fit the device, DeviceError where the device is missing
	 */
	static async compile(options: TrainStepOptions, values: ReadonlyMap<string, HostTensor>): Promise<TrainStep> {
		const { model, optimizer, clip, device = 'cpu', threads, accumulation = 1 } = options;
		if (options.precision === 'mixed' && device === 'cpu') {
			throw new ConfigError('mixed precision does not pay on the CPU, which computes in float32', {
				where: 'training.precision',
				expected: '"float32", or the device "webgpu" or "cuda"',
				found: '"mixed" on "cpu"',
				fix: 'set training.precision to float32',
			});
		}
		const ort = await loadOrt();
		const wrap = (value: HostTensor): OrtTensor => toOrt(ort, value);
		const specs = model.parameters.trainable;
		const graph = buildLoss(options, specs);
		const compile = (outputs: Readonly<Record<string, Tensor>>): Promise<Program> =>
			Program.compile(outputs, {
				device,
				keepOnDevice: device !== 'cpu',
				cache: false,
				...(threads !== undefined && { threads }),
			});
		const update = (found: readonly Tensor[]) =>
			buildUpdate({
				optimizer,
				specs,
				gradients: found,
				clip,
				ema: options.emaDecay !== undefined,
				scaled: options.precision === 'mixed',
				...(options.pieces !== undefined && { pieces: options.pieces }),
			});
		const losses = { loss: graph.loss, likelihood: graph.likelihood };
		const frozen = Object.fromEntries(
			model.parameters.all
				.filter(({ trainable }) => !trainable)
				.map(({ name }) => [name, wrap(values.get(name) as HostTensor)]),
		);
		let parts: { slots: readonly Slot[]; micro?: Program; apply: Program; sums?: ResidentTensors };
		if (accumulation === 1) {
			const { outputs, slots } = update(graph.gradients);
			const kept = options.keepGradients === true ? named('gradient', specs, graph.gradients) : {};
			parts = { slots, apply: await compile({ ...losses, ...outputs, ...kept }) };
		} else {
			const sumInputs = specs.map((spec) => input(`sum.${spec.name}`, 'float32', fullShape(spec)));
			const sums = graph.gradients.map((gradient, i) => add(sumInputs[i] as Tensor, gradient));
			const { outputs, slots } = update(sumInputs);
			parts = {
				slots,
				micro: await compile({ ...losses, ...named('next.sum', specs, sums) }),
				apply: await compile(outputs),
				sums: await ResidentTensors.allocate(specs.map(sumSlot), device),
			};
		}
		const residents = await ResidentTensors.allocate(parts.slots, device);
		const step = new TrainStep({
			options,
			slots: parts.slots,
			frozen,
			residents,
			sums: parts.sums,
			zeros: parts.sums === undefined ? {} : zeroSums(specs, wrap),
			micro: parts.micro,
			apply: parts.apply,
			wrap,
		});
		for (const { name, kind, spec } of parts.slots) {
			if (kind !== 'state') residents.set(name, values.get(spec.name) as HostTensor);
		}
		return step;
	}

	/** Bytes of parameters, optimizer state and gradient sums, double buffers included. */
	get byteLength(): number {
		return this.#residents.byteLength + (this.#sums?.byteLength ?? 0);
	}

	/**
	 * Computes one step from `accumulation` batches. The new values count only after `accept()`.
	 * @param place number of this update (from 1) and schedule factor
	 * @param seed of dropout and other noise in this step
	 */
	async run(batches: readonly Batch[], place: StepPlace, seed: number): Promise<StepResult> {
		const { optimizer, emaDecay } = this.#options;
		const labelCount = Math.max(
			1,
			batches.reduce((total, { targetCount }) => total + targetCount, 0),
		);
		const shared: Record<string, OrtTensor> = {
			labelCount: this.#scalar(labelCount),
			microShare: this.#scalar(1 / batches.length),
		};
		for (const [name, value] of Object.entries(optimizer.scalars(place))) {
			shared[scalarName(name)] = this.#scalar(value);
		}
		if (emaDecay !== undefined) {
			// The average follows quickly at first and slows down to the decay asked for.
			const decay = Math.min(emaDecay, (1 + place.step) / (10 + place.step));
			shared[scalarName('emaDecay')] = this.#scalar(decay);
			shared[scalarName('emaShare')] = this.#scalar(1 - decay);
		}
		if (this.scaler !== undefined) shared[scalarName('lossScale')] = this.#scalar(this.scaler.scale);
		let loss = 0;
		let likelihood = 0;
		let results: Record<string, OrtTensor>;
		const sums = this.#sums;
		if (this.#micro === undefined || sums === undefined) {
			const [batch] = batches as [Batch];
			results = await this.#run(this.#apply, { ...shared, ...this.#batch(batch, seed, 0) }, [this.#residents]);
			loss = await number(results.loss);
			likelihood = await number(results.likelihood);
		} else {
			for (const [index, batch] of batches.entries()) {
				const feeds = { ...shared, ...this.#batch(batch, seed, index) };
				const own = index === 0 ? this.#zeros : {};
				const partial = await this.#run(this.#micro, feeds, [sums], [this.#residents], own);
				sums.accept();
				loss += await number(partial.loss);
				likelihood += await number(partial.likelihood);
			}
			results = await this.#run(this.#apply, shared, [this.#residents], [sums]);
		}
		const gradientNorm = await number(results.gradientNorm);
		const finite = Number.isFinite(gradientNorm);
		this.scaler?.update(finite);
		const kept = this.#options.keepGradients === true ? await this.#gradients(results) : undefined;
		return {
			loss,
			likelihood,
			gradientNorm,
			applied: this.scaler === undefined || finite,
			...(kept !== undefined && { gradients: kept }),
		};
	}

	/** Takes over what `run` computed. */
	accept(): void {
		this.#residents.accept();
	}

	/** Drops what `run` computed; parameters and state stay as they were. */
	reject(): void {
		this.#residents.reject();
	}

	/** Current values of all parameters by graph input name, frozen ones included. Views; see ResidentTensors.get. */
	async parameters(kind: 'parameter' | 'ema' = 'parameter'): Promise<Map<string, HostTensor>> {
		const result = new Map<string, HostTensor>();
		for (const slot of this.slots) {
			if (slot.kind !== kind) continue;
			const { data } = await this.#residents.get(slot.name);
			result.set(slot.spec.name, { dtype: 'float32', dims: fullShape(slot.spec), data });
		}
		for (const [name, tensor] of Object.entries(this.#frozen)) {
			result.set(name, { dtype: 'float32', dims: tensor.dims, data: tensor.data as Float32Array });
		}
		return result;
	}

	/** Current value of a slot in its parameter's full shape. */
	async get(slot: Slot): Promise<HostTensor> {
		const { data } = await this.#residents.get(slot.name);
		return { dtype: 'float32', dims: fullShape(slot.spec), data };
	}

	/** Replaces the value of a slot. */
	set(slot: Slot, value: HostTensor): void {
		this.#residents.set(slot.name, value);
	}

	#scalar(value: number): OrtTensor {
		return this.#wrap({ dtype: 'float32', dims: [], data: Float32Array.of(value) });
	}

	#batch(batch: Batch, seed: number, micro: number): Record<string, OrtTensor> {
		const feeds: Record<string, OrtTensor> = {};
		for (const [name, value] of Object.entries(batchFeeds(batch))) feeds[name] = this.#wrap(value);
		feeds.seed = this.#wrap({
			dtype: 'int32',
			dims: [],
			data: Int32Array.of((seed + Math.imul(micro, 0x9e3779b9)) | 0),
		});
		return feeds;
	}

	/** Runs a program: `written` are read and written, `read` only read, `own` overrides. */
	async #run(
		program: Program,
		feeds: Readonly<Record<string, OrtTensor>>,
		written: readonly ResidentTensors[],
		read: readonly ResidentTensors[] = [],
		own: Readonly<Record<string, OrtTensor>> = {},
	): Promise<Record<string, OrtTensor>> {
		const all: Record<string, OrtTensor> = { ...this.#frozen, ...feeds };
		for (const tensors of [...written, ...read]) tensors.feed(all);
		Object.assign(all, own);
		const given = Object.fromEntries(program.inputs.map(({ name }) => [name, all[name] as OrtTensor]));
		const fetches: Record<string, OrtTensor | null> = {};
		for (const { name } of program.outputs) fetches[name] = null;
		for (const tensors of written) tensors.fetch(fetches);
		const results = (await program.session.run(given, fetches as InferenceSession.FetchesType)) as Record<
			string,
			OrtTensor
		>;
		for (const tensors of written) tensors.received(results);
		return results;
	}

	async #gradients(results: Readonly<Record<string, OrtTensor>>): Promise<Map<string, HostTensor>> {
		const found = new Map<string, HostTensor>();
		for (const spec of this.#specs) {
			const data =
				this.#sums === undefined
					? await (results[`gradient.${spec.name}`] as OrtTensor).getData()
					: (await this.#sums.get(`sum.${spec.name}`)).data;
			found.set(spec.name, { dtype: 'float32', dims: fullShape(spec), data: Float32Array.from(data as Float32Array) });
		}
		return found;
	}
}

function named(prefix: string, specs: readonly ParameterSpec[], tensors: readonly Tensor[]): Record<string, Tensor> {
	return Object.fromEntries(specs.map(({ name }, i) => [`${prefix}.${name}`, tensors[i] as Tensor]));
}

function sumSlot(spec: ParameterSpec) {
	const shape = fullShape(spec);
	return { name: `sum.${spec.name}`, output: `next.sum.${spec.name}`, inputShape: shape, outputShape: shape };
}

/** What the first micro-batch of a step adds to: one block of zeros seen in every shape. */
function zeroSums(specs: readonly ParameterSpec[], wrap: (value: HostTensor) => OrtTensor): Record<string, OrtTensor> {
	const sizes = specs.map((spec) => fullShape(spec).reduce((a, b) => a * b, 1));
	const block = new Float32Array(sizes.reduce((a, b) => Math.max(a, b), 0));
	return Object.fromEntries(
		specs.map((spec, i) => [
			`sum.${spec.name}`,
			wrap({ dtype: 'float32', dims: fullShape(spec), data: block.subarray(0, sizes[i]) }),
		]),
	);
}

async function number(tensor: OrtTensor | undefined): Promise<number> {
	const data = await (tensor as OrtTensor).getData();
	return Number((data as Float32Array)[0]);
}
