/**
 * @file One optimizer step: the engine computes loss and gradients of each micro-batch into preallocated arrays, then the
 * optimizer changes parameters and state where they lie (see docs/decisions/002).
 */
import type { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import { ConfigError } from '../base/errors.ts';
import type { HostTensor } from '../base/host-tensor.ts';
import { fullShape } from '../nn/parameters.ts';
import type { Device } from '../runtime/device.ts';
import { finishProfile, type Profile } from '../runtime/profile.ts';
import { Program } from '../runtime/program.ts';
import { loadOrt, toOrt } from '../runtime/session.ts';
import { type Batch, batchFeeds } from './batch.ts';
import { requireHalfPrecision } from './half-precision.ts';
import { gradientOutputs, gradientSlot, type LossOptions } from './loss-graph.ts';
import { LossScaler } from './loss-scale.ts';
import type { Optimizer, StepPlace } from './optimizer.ts';
import { ResidentTensors } from './resident-tensors.ts';
import { nextName, type ParameterPlan, planParameter, type Slot } from './slots.ts';
import { gradientScale, scalarName } from './update-expression.ts';
import { residenceOf, Updater } from './updater.ts';

export interface TrainStepOptions extends LossOptions {
	readonly optimizer: Optimizer;
	/** Largest global norm of the gradient; absent: no clipping. */
	readonly clip?: number | undefined;
	/** Decay of a moving average of the parameters; absent: none is kept. */
	readonly emaDecay?: number | undefined;
	readonly device?: Device;
	readonly threads?: number | undefined;
	/** Record the engine's time in every op; see finishProfile. */
	readonly profilePrefix?: string | undefined;
	/** Use elementwise kernels for the update where possible (default true). */
	readonly kernels?: boolean;
}

/** Loss and gradient of one step, computed and not yet applied. */
export interface StepResult {
	/** What was minimised: mean over the labels of the step, plus auxiliary losses. */
	readonly loss: number;
	/** Mean negative log-likelihood of the labels. */
	readonly likelihood: number;
	/** Global norm of the gradient before clipping. */
	readonly gradientNorm: number;
}

/** The compiled step and everything it changes. */
export class TrainStep {
	/** Every tensor that lives from step to step, in order of the parameters. */
	readonly slots: readonly Slot[];
	/** With mixed precision. */
	readonly scaler: LossScaler | undefined;
	readonly #options: TrainStepOptions;
	readonly #plans: readonly ParameterPlan[];
	readonly #frozen: Readonly<Record<string, OrtTensor>>;
	readonly #residents: ResidentTensors;
	readonly #program: Program;
	readonly #updater: Updater;
	readonly #zeros: Readonly<Record<string, OrtTensor>>;
	readonly #wrap: (value: HostTensor) => OrtTensor;

	private constructor(parts: {
		options: TrainStepOptions;
		plans: readonly ParameterPlan[];
		frozen: Readonly<Record<string, OrtTensor>>;
		residents: ResidentTensors;
		program: Program;
		updater: Updater;
		wrap: (value: HostTensor) => OrtTensor;
	}) {
		this.#options = parts.options;
		this.#plans = parts.plans;
		this.slots = parts.plans.flatMap(({ slots }) => slots);
		this.#frozen = parts.frozen;
		this.#residents = parts.residents;
		this.#program = parts.program;
		this.#updater = parts.updater;
		this.#wrap = parts.wrap;
		this.#zeros = (parts.options.accumulation ?? 1) > 1 ? zeroGradients(parts.plans, parts.wrap) : {};
		this.scaler = parts.options.precision === 'mixed' ? new LossScaler() : undefined;
	}

	/**
	 * Builds and compiles the graphs.
	 * @param values of all parameters by graph input name; copied
	 * @throws ConfigError where the precision does not fit the device, DeviceError where the device or its float16 is missing
	 */
	static async compile(options: TrainStepOptions, values: ReadonlyMap<string, HostTensor>): Promise<TrainStep> {
		const { model, optimizer, device = 'cpu', threads } = options;
		if (options.precision === 'mixed' && device === 'cpu') {
			throw new ConfigError('mixed precision does not pay on the CPU, which computes in float32', {
				where: 'training.precision',
				expected: '"float32", or the device "webgpu" or "cuda"',
				found: '"mixed" on "cpu"',
				fix: 'set training.precision to float32',
			});
		}
		if (options.precision === 'mixed') await requireHalfPrecision(device);
		const ort = await loadOrt();
		const wrap = (value: HostTensor): OrtTensor => toOrt(ort, value);
		const ema = options.emaDecay !== undefined;
		const plans = model.parameters.trainable.map((spec) => planParameter(spec, optimizer.rule(spec), ema));
		const updaterOptions = {
			optimizer,
			ema,
			device,
			threads,
			...(options.kernels !== undefined && { kernels: options.kernels }),
		};
		const residents = await ResidentTensors.allocate(plans, residenceOf(updaterOptions));
		const frozen = model.parameters.all
			.filter(({ trainable }) => !trainable)
			.map(({ name }) => [name, wrap(values.get(name) as HostTensor)]);
		const program = await Program.compile(gradientOutputs(options, plans), {
			device,
			keepOnDevice: plans.map((plan) => nextName(gradientSlot(plan))),
			cache: false,
			...(threads !== undefined && { threads }),
			...(options.profilePrefix !== undefined && { profilePrefix: options.profilePrefix }),
		});
		const updater = await Updater.compile(plans, residents, updaterOptions);
		const step = new TrainStep({
			options,
			plans,
			frozen: Object.fromEntries(frozen),
			residents,
			program,
			updater,
			wrap,
		});
		for (const slot of step.slots) {
			if (slot.part === 'parameter' || slot.part === 'ema') step.set(slot, values.get(slot.spec.name) as HostTensor);
		}
		return step;
	}

	/** Bytes of parameters, gradients and optimizer state. */
	get byteLength(): number {
		return this.#residents.byteLength;
	}

	/**
	 * Computes loss and gradient of one step from `accumulation` batches. `apply` may follow.
	 * @param seed of dropout and other noise in this step
	 */
	async compute(batches: readonly Batch[], seed: number): Promise<StepResult> {
		const targets = batches.reduce((total, { targetCount }) => total + targetCount, 0);
		const shared: Record<string, OrtTensor> = {
			...this.#frozen,
			labelCount: this.#scalar(Math.max(1, targets)),
			microShare: this.#scalar(1 / batches.length),
			[scalarName('lossScale')]: this.#scalar(this.scaler?.scale ?? 1),
		};
		const total = { loss: 0, likelihood: 0, gradientNorm: 0 };
		for (const [index, batch] of batches.entries()) {
			const feeds = { ...shared, ...this.#batch(batch, seed, index), ...(index === 0 ? this.#zeros : {}) };
			const results = await this.#run(feeds);
			total.loss += await number(results.loss);
			total.likelihood += await number(results.likelihood);
			total.gradientNorm = await number(results.gradientNorm);
		}
		return total;
	}

	/**
	 * Changes the parameters by the gradient of the last `compute`.
	 * @param place number of this update (from 1) and schedule factor
	 * @returns false where mixed precision overflowed: nothing is changed and the loss scale is halved
	 */
	async apply({ gradientNorm }: StepResult, place: StepPlace): Promise<boolean> {
		const { optimizer, emaDecay, clip } = this.#options;
		const lossScale = this.scaler?.scale ?? 1;
		if (this.scaler !== undefined) {
			this.scaler.update(Number.isFinite(gradientNorm));
			if (!Number.isFinite(gradientNorm)) return false;
		}
		// The average follows quickly at first and slows down to the decay asked for.
		const decay = emaDecay === undefined ? 0 : Math.min(emaDecay, (1 + place.step) / (10 + place.step));
		await this.#updater.apply({
			...optimizer.scalars(place),
			gradientScale: gradientScale(gradientNorm, clip, lossScale),
			...(emaDecay !== undefined && { emaDecay: decay, emaShare: 1 - decay }),
		});
		return true;
	}

	/**
	 * Current values of all parameters by graph input name, frozen ones included. On the CPU these are the live arrays.
	 * @param part `ema` for the moving averages
	 */
	async parameters(part: 'parameter' | 'ema' = 'parameter'): Promise<Map<string, HostTensor>> {
		const result = new Map<string, HostTensor>();
		for (const slot of this.slots) if (slot.part === part) result.set(slot.spec.name, await this.get(slot));
		for (const [name, tensor] of Object.entries(this.#frozen)) {
			result.set(name, { dtype: 'float32', dims: tensor.dims, data: tensor.data as Float32Array });
		}
		return result;
	}

	/** Gradients of the last `compute` by graph input name, before clipping; with the loss scale of mixed precision. */
	async gradients(): Promise<Map<string, HostTensor>> {
		const result = new Map<string, HostTensor>();
		for (const plan of this.#plans) result.set(plan.spec.name, await this.get(gradientSlot(plan)));
		return result;
	}

	/** Ends recording and leaves a Chrome trace at `path`; only for a step compiled with `profilePrefix`. */
	finishProfile(path: string): Profile {
		return finishProfile(this.#program, this.#options.profilePrefix as string, path);
	}

	/** Current value of a slot in its parameter's full shape. */
	async get(slot: Slot): Promise<HostTensor> {
		return { ...(await this.#residents.get(slot.name)), dims: fullShape(slot.spec) };
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
		const mixed = (seed + Math.imul(micro, 0x9e3779b9)) | 0;
		feeds.seed = this.#wrap({ dtype: 'int32', dims: [], data: Int32Array.of(mixed) });
		return feeds;
	}

	async #run(given: Readonly<Record<string, OrtTensor>>): Promise<InferenceSession.OnnxValueMapType> {
		const feeds: Record<string, OrtTensor> = {};
		for (const { name } of this.#program.inputs) feeds[name] = given[name] ?? this.#residents.feed(name);
		const fetches: Record<string, OrtTensor | null> = {};
		for (const { name } of this.#program.outputs) fetches[name] = null;
		const written = this.#plans.map(gradientSlot);
		// With accumulation a gradient is read and written in one buffer: only the last addition reads it, element by element.
		for (const slot of written) fetches[nextName(slot)] = this.#residents.target(slot.name);
		const results = await this.#program.session.run(feeds, fetches as InferenceSession.FetchesType);
		for (const slot of written) this.#residents.replace(slot.name, results[nextName(slot)] as OrtTensor);
		return results;
	}
}

/** What the first micro-batch of a step adds to: one block of zeros seen in every shape. */
function zeroGradients(
	plans: readonly ParameterPlan[],
	wrap: (value: HostTensor) => OrtTensor,
): Record<string, OrtTensor> {
	const slots = plans.map(gradientSlot);
	const sizes = slots.map(({ shape }) => shape.reduce((a, b) => a * b, 1));
	const block = new Float32Array(sizes.reduce((a, b) => Math.max(a, b), 0));
	return Object.fromEntries(
		slots.map(({ name, shape }, i) => [
			name,
			wrap({ dtype: 'float32', dims: shape, data: block.subarray(0, sizes[i]) }),
		]),
	);
}

async function number(tensor: InferenceSession.OnnxValueMapType[string] | undefined): Promise<number> {
	const data = await (tensor as OrtTensor).getData();
	return Number((data as Float32Array)[0]);
}
