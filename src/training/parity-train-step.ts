/**
 * @file Golden cases of kind `train.step`: runs the steps of a case with our optimizer and gives the results under the
 * names of the case file (loss, losses, grad_norm, param.*, and gradients of the first step).
 */
import { z } from 'zod';
import { ConfigError } from '../base/errors.ts';
import { type HostTensor, hostTensor } from '../base/host-tensor.ts';
import type { CausalLanguageModel } from '../models/language-model.ts';
import { stackParameters, unstackParameters } from '../nn/parameters.ts';
import type { Batch } from './batch.ts';
import { causalLm } from './objectives/causal-lm.ts';
import type { Optimizer } from './optimizer.ts';
import { adamRule, adamScalars } from './optimizers/adamw.ts';
import { TrainStep } from './train-step.ts';

const trainStepCase = z.object({
	steps: z.int().min(1),
	accumulation: z.int().min(1),
	batch: z.int().min(1),
	seq: z.int().min(1),
	clip_norm: z.number().positive().nullish(),
	ignore_index: z.literal(-100).default(-100),
	optimizer: z.object({
		type: z.literal('adamw'),
		/** One learning rate a step. */
		lr: z.array(z.number()),
		betas: z.tuple([z.number(), z.number()]),
		eps: z.number(),
		weight_decay: z.number(),
		/** Saved names of parameters without decay. */
		no_decay: z.array(z.string()),
	}),
});

export interface TrainStepParity {
	/** By the name after `output.`. */
	readonly outputs: Map<string, HostTensor>;
	/** By saved parameter name. */
	readonly gradients: Map<string, HostTensor>;
}

/**
 * Runs a `train.step` case.
 * @param model built from `config.model` with unrolled layers (decay may differ from layer to layer)
 * @param config of the case
 * @param inputs `tokens` and `labels` [steps, accumulation, batch, seq], int64
 * @param parameters official values by saved name
 * @throws ConfigError where the case asks for what is not known, or weights are missing
 */
export async function runTrainStepCase(
	model: CausalLanguageModel,
	config: unknown,
	inputs: ReadonlyMap<string, HostTensor>,
	parameters: ReadonlyMap<string, HostTensor>,
): Promise<TrainStepParity> {
	const parsed = trainStepCase.safeParse(config);
	if (!parsed.success) {
		throw new ConfigError('is no train.step case', { where: 'config', found: z.prettifyError(parsed.error) });
	}
	const { steps, accumulation, batch, seq, clip_norm, optimizer } = parsed.data;
	const step = await TrainStep.compile(
		{
			model,
			objective: causalLm.create({ kind: 'causal-lm', labelSmoothing: 0, zLoss: 0 }),
			optimizer: officialAdam(optimizer),
			batch: { batchSize: batch, time: seq, segmented: false },
			accumulation,
			clip: clip_norm ?? undefined,
		},
		stackParameters(model.parameters.all, parameters),
	);
	const losses: number[] = [];
	const norms: number[] = [];
	let gradients = new Map<string, HostTensor>();
	for (let index = 0; index < steps; index++) {
		const batches = Array.from({ length: accumulation }, (_, micro) =>
			cutBatch(inputs, (index * accumulation + micro) * batch * seq, batch, seq),
		);
		const factor = optimizer.lr[Math.min(index, optimizer.lr.length - 1)] as number;
		const result = await step.compute(batches, 0);
		losses.push(result.loss);
		norms.push(result.gradientNorm);
		if (index === 0) gradients = copyOf(unstackParameters(model.parameters.trainable, await step.gradients()));
		await step.apply(result, { step: index + 1, factor });
	}
	const outputs = new Map<string, HostTensor>([
		['loss', hostTensor('float32', [], losses.slice(0, 1))],
		['losses', hostTensor('float32', [steps], losses)],
		['grad_norm', hostTensor('float32', [steps], norms)],
	]);
	for (const [name, value] of unstackParameters(model.parameters.all, await step.parameters())) {
		outputs.set(`param.${name}`, value);
	}
	return { outputs, gradients };
}

function copyOf(values: ReadonlyMap<string, HostTensor>): Map<string, HostTensor> {
	return new Map([...values].map(([name, value]) => [name, { ...value, data: value.data.slice() }]));
}

/** AdamW whose learning rate is the step's factor and whose decay follows a list of names. */
function officialAdam(official: z.output<typeof trainStepCase>['optimizer']): Optimizer {
	const { betas, eps: epsilon, weight_decay: weightDecay } = official;
	const settings = { learningRate: 1, betas, epsilon, weightDecay };
	const spared = new Set(official.no_decay);
	return {
		rule: ({ name }) => adamRule(settings, weightDecay > 0 && !spared.has(name)),
		scalars: (place) => adamScalars(settings, place),
		learningRate: ({ factor }) => factor,
	};
}

function cutBatch(inputs: ReadonlyMap<string, HostTensor>, start: number, batch: number, seq: number): Batch {
	const cut = (name: string): Int32Array => {
		const tensor = inputs.get(name);
		if (tensor === undefined) throw new ConfigError(`the case has no input "${name}"`);
		return Int32Array.from(tensor.data.subarray(start, start + batch * seq) as BigInt64Array, Number);
	};
	const labels = cut('labels');
	const targetCount = labels.reduce((count, label) => count + (label >= 0 ? 1 : 0), 0);
	return { dims: [batch, seq], tokens: cut('tokens'), labels, targetCount };
}
