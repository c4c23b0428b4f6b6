/** @file What a kind of golden case is: how to build its module from the official config and which numbers it gives. */
import type { z } from 'zod';
import type { HostTensor } from '../../base/host-tensor.ts';
import type { Tensor } from '../../graph/tensor.ts';
import type { ParameterTree } from '../../nn/parameters.ts';
import type { GoldenCase } from './golden-case.ts';

/** A module on symbolic tensors, ready to be run and differentiated. */
export interface BuiltCase {
	/** Graph inputs by the case's input names. */
	readonly inputs: Readonly<Record<string, Tensor>>;
	readonly parameters: ParameterTree;
	/** Outputs by name. */
	readonly outputs: Readonly<Record<string, Tensor>>;
	/** Outputs that take more than one run, such as decoding token by token; gets the parameter values by graph input. */
	readonly more?: (parameters: ReadonlyMap<string, HostTensor>) => Promise<Readonly<Record<string, HostTensor>>>;
}

export interface ParityOptions {
	/** How models run their layers. */
	readonly layerMode: 'unroll' | 'scan';
}

export interface ParityKind<Schema extends z.ZodType = z.ZodType> {
	readonly kind: string;
	/** Schema of the official config. */
	readonly config: Schema;
	/** The official option of this case that is not implemented, if any. */
	readonly unsupported?: (config: z.output<Schema>) => string | undefined;
	/** Builds the module; gradients of its outputs are taken by the runner. */
	readonly build?: (config: z.output<Schema>, golden: GoldenCase, options: ParityOptions) => BuiltCase;
	/** In place of `build`: computes everything itself, by full tensor name such as `output.loss` or `grad.fc1.weight`. */
	readonly run?: (config: z.output<Schema>, golden: GoldenCase) => Promise<Readonly<Record<string, HostTensor>>>;
}

const registry = new Map<string, ParityKind>();

/** Adds a kind. */
export function defineParityKind<Schema extends z.ZodType>(kind: ParityKind<Schema>): void {
	if (registry.has(kind.kind)) throw new Error(`parity kind "${kind.kind}" is defined twice`);
	registry.set(kind.kind, kind as unknown as ParityKind);
}

export function parityKind(name: string): ParityKind | undefined {
	return registry.get(name);
}
