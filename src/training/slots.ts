/** @file The tensors a run carries from step to step: for every parameter its value, its gradient and the optimizer's state. */
import { fullShape, type ParameterSpec } from '../nn/parameters.ts';
import type { UpdateRule } from './optimizer.ts';

/** `parameter`, `gradient`, `ema`, or the name of an optimizer state. */
export type SlotPart = string;

export interface Slot {
	readonly spec: ParameterSpec;
	readonly part: SlotPart;
	/** Name of the graph input that reads it. */
	readonly name: string;
	/** Shape in graphs: the parameter's full shape. */
	readonly shape: readonly number[];
}

/** How one parameter is updated, and what that takes. */
export interface ParameterPlan {
	readonly spec: ParameterSpec;
	readonly rule: UpdateRule;
	/** Parameter, gradient, states, moving average: all of one shape. */
	readonly slots: readonly Slot[];
}

/** Name of the graph input of a slot. A parameter keeps the name the model gave it. */
export function slotName(part: SlotPart, parameter: string): string {
	return part === 'parameter' ? parameter : `${part}.${parameter}`;
}

/** Name of the graph output with a slot's next value. */
export function nextName(slot: Slot): string {
	return `next.${slot.name}`;
}

/** Parts of a parameter in order; the first two are always its value and its gradient. */
export function partsOf(rule: UpdateRule, ema: boolean): SlotPart[] {
	return ['parameter', 'gradient', ...rule.slots, ...(ema ? ['ema'] : [])];
}

export function planParameter(spec: ParameterSpec, rule: UpdateRule, ema: boolean): ParameterPlan {
	const shape = fullShape(spec);
	const slots = partsOf(rule, ema).map((part) => ({ spec, part, name: slotName(part, spec.name), shape }));
	return { spec, rule, slots };
}
