/** @file Validation: the mean negative log-likelihood of held-out labels, without dropout. */
import { type HostTensor, hostTensor } from '../base/host-tensor.ts';
import type { CausalLanguageModel } from '../models/language-model.ts';
import type { Device } from '../runtime/device.ts';
import { Program } from '../runtime/program.ts';
import { type Batch, type BatchShape, batchFeeds, batchInputs } from './batch.ts';
import type { Objective } from './objective.ts';

export interface EvaluatorOptions {
	readonly model: CausalLanguageModel;
	readonly objective: Objective;
	readonly batch: BatchShape;
	readonly device?: Device;
	readonly threads?: number | undefined;
}

export interface Evaluation {
	/** Mean negative log-likelihood in nats. */
	readonly loss: number;
	readonly labels: number;
}

/** A compiled forward pass. */
export class Evaluator {
	readonly #program: Program;

	private constructor(program: Program) {
		this.#program = program;
	}

	static async compile({ model, objective, batch, device, threads }: EvaluatorOptions): Promise<Evaluator> {
		const { likelihoodSum } = objective.loss(model, batchInputs(batch), { training: false });
		const options = { ...(device !== undefined && { device }), ...(threads !== undefined && { threads }) };
		return new Evaluator(await Program.compile({ likelihoodSum }, { ...options, cache: false }));
	}

	/**
	 * Means over all labels of the batches.
	 * @param values of all parameters by graph input name
	 * @param pause called between batches; the engine blocks the thread
	 */
	async evaluate(
		batches: Iterable<Batch>,
		values: ReadonlyMap<string, HostTensor>,
		pause: () => Promise<void> = async () => {},
	): Promise<Evaluation> {
		const parameters = { ...Object.fromEntries(values), seed: hostTensor('int32', [], [0]) };
		let total = 0;
		let labels = 0;
		for (const batch of batches) {
			const { likelihoodSum } = await this.#program.run({ ...parameters, ...batchFeeds(batch) });
			total += Number(likelihoodSum?.data[0]);
			labels += batch.targetCount;
			await pause();
		}
		return { loss: labels === 0 ? Number.NaN : total / labels, labels };
	}
}
