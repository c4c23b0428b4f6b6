/** @file Between the tensors of a step and the names they are saved under (stacked layers apart, one tensor a layer). */
import { ConfigError } from '../base/errors.ts';
import type { HostTensor } from '../base/host-tensor.ts';
import { type ParameterSpec, savedNames, stackParameters, unstackParameters } from '../nn/parameters.ts';
import type { CheckpointTensors } from './checkpoints.ts';
import type { Slot } from './slots.ts';
import type { TrainStep } from './train-step.ts';

/** All tensors of a step by saved name: views of live arrays on the CPU. */
export async function tensorsToSave(step: TrainStep, specs: readonly ParameterSpec[]): Promise<CheckpointTensors> {
	const optimizer = new Map<string, HostTensor>();
	for (const slot of step.slots.filter(isState)) {
		const parts = unstackParameters([slot.spec], new Map([[slot.spec.name, await step.get(slot)]]));
		for (const [name, value] of parts) optimizer.set(`${slot.part}.${name}`, value);
	}
	const model = unstackParameters(specs, await step.parameters());
	if (!step.slots.some(({ part }) => part === 'ema')) return { model, optimizer };
	return { model, optimizer, ema: unstackParameters(specs, await step.parameters('ema')) };
}

/** Puts saved tensors into a step. @throws ConfigError naming what is missing or does not fit */
export function restoreTensors(step: TrainStep, { model, optimizer, ema }: CheckpointTensors): void {
	for (const slot of step.slots) {
		if (slot.part === 'gradient') continue;
		const source = slot.part === 'parameter' ? model : slot.part === 'ema' ? ema : optimizer;
		if (source === undefined) throw new ConfigError('the checkpoint has no moving averages', { where: 'training.ema' });
		const prefix = isState(slot) ? `${slot.part}.` : '';
		const values = stackParameters([slot.spec], { get: (name) => source.get(`${prefix}${name}`) });
		step.set(slot, values.get(slot.spec.name) as HostTensor);
	}
	const known = step.slots
		.filter(isState)
		.flatMap(({ part, spec }) => savedNames(spec).map((name) => `${part}.${name}`));
	const strange = [...optimizer.keys()].find((name) => !known.includes(name));
	if (strange !== undefined) {
		throw new ConfigError('the checkpoint has state of another optimizer', {
			where: 'training.optimizer',
			found: strange,
		});
	}
}

function isState({ part }: Slot): boolean {
	return part !== 'parameter' && part !== 'gradient' && part !== 'ema';
}
