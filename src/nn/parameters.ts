/**
 * @file Parameters of a model: named graph inputs with a shape, an initialiser and hints for optimizers. Modules are plain
 * functions: `(scope, config) => (x) => y` create their parameters in a scope once and return what they compute.
 */
import { ConfigError, ShapeError } from '../base/errors.ts';
import { elementCount, type HostTensor } from '../base/host-tensor.ts';
import { deriveSeed, RandomStream } from '../base/random.ts';
import { input } from '../graph/ops/source.ts';
import type { Tensor } from '../graph/tensor.ts';

/** Fills a new parameter: shape of one layer's parameter, a stream seeded by its name -> values. */
export type Initializer = (dims: readonly number[], random: RandomStream) => Float32Array;

/** What a parameter is for; optimizers choose by it (Muon: matrices only; weight decay: not vectors by default). */
export type ParameterRole = 'matrix' | 'vector' | 'embedding' | 'output';

export interface ParameterSpec {
	/** Dotted name; `*` stands for the layer index of a stacked parameter (`layers.*.ffn.fc1.weight`). */
	readonly name: string;
	/** Shape of one layer's parameter. */
	readonly shape: readonly number[];
	/** Number of layers whose parameters are stacked along a new first axis; absent for a single one. */
	readonly stacked?: number;
	readonly initializer: Initializer;
	readonly role: ParameterRole;
	readonly trainable: boolean;
	/** The graph input: of `shape`, or [stacked, ...shape]. Its input name is `name`. */
	readonly tensor: Tensor;
}

export interface ParameterOptions {
	readonly role?: ParameterRole;
	readonly trainable?: boolean;
}

/** All parameters of a model, in order of creation. */
export class ParameterTree {
	private readonly specs = new Map<string, ParameterSpec>();

	add(spec: ParameterSpec): void {
		if (this.specs.has(spec.name)) throw new ConfigError(`two parameters are named "${spec.name}"`);
		this.specs.set(spec.name, spec);
	}

	get(name: string): ParameterSpec | undefined {
		return this.specs.get(name);
	}

	get all(): readonly ParameterSpec[] {
		return [...this.specs.values()];
	}

	get trainable(): readonly ParameterSpec[] {
		return this.all.filter((spec) => spec.trainable);
	}

	/** Number of numbers in all parameters. */
	get count(): number {
		return this.all.reduce((total, spec) => total + elementCount(fullShape(spec)), 0);
	}

	/** Initial values by graph input name; the same seed gives the same values, scanned or unrolled. */
	initialize(seed: number): Map<string, HostTensor> {
		return new Map(this.all.map((spec) => [spec.name, initializeParameter(spec, seed)]));
	}
}

/** Shape of the graph input: with the layer axis where stacked. */
export function fullShape({ shape, stacked }: ParameterSpec): readonly number[] {
	return stacked === undefined ? shape : [stacked, ...shape];
}

/** Names under which a parameter is saved: one a layer for stacked ones. */
export function savedNames({ name, stacked }: ParameterSpec): string[] {
	return stacked === undefined
		? [name]
		: Array.from({ length: stacked }, (_, layer) => name.replace('*', String(layer)));
}

function initializeParameter(spec: ParameterSpec, seed: number): HostTensor {
	const size = elementCount(spec.shape);
	const names = savedNames(spec);
	const data = new Float32Array(size * names.length);
	names.forEach((name, i) => {
		const values = spec.initializer(spec.shape, new RandomStream(deriveSeed(seed, name)));
		if (values.length !== size)
			throw new ShapeError(`the initialiser of "${name}" made ${values.length} values`, { expected: `${size}` });
		data.set(values, i * size);
	});
	return { dtype: 'float32', dims: [...fullShape(spec)], data };
}

/** Splits stacked parameters into one tensor a layer, under the names they are saved with. Views, not copies. */
export function unstackParameters(
	specs: readonly ParameterSpec[],
	values: ReadonlyMap<string, HostTensor>,
): Map<string, HostTensor> {
	const result = new Map<string, HostTensor>();
	for (const spec of specs) {
		const value = values.get(spec.name);
		if (value === undefined) throw new ShapeError(`no value for parameter "${spec.name}"`);
		const size = elementCount(spec.shape);
		savedNames(spec).forEach((name, i) => {
			const data = value.data.subarray(i * size, (i + 1) * size);
			result.set(name, { dtype: value.dtype, dims: [...spec.shape], data });
		});
	}
	return result;
}

/** The reverse of unstackParameters: looks up every saved name and checks its shape. @throws ConfigError naming what is missing or does not fit */
export function stackParameters(
	specs: readonly ParameterSpec[],
	saved: { get(name: string): HostTensor | undefined },
): Map<string, HostTensor> {
	const result = new Map<string, HostTensor>();
	for (const spec of specs) {
		const size = elementCount(spec.shape);
		// Nothing is allocated before the shapes are known to be those of tensors that exist.
		const parts = savedNames(spec).map((name) => savedTensor(name, spec, saved));
		const data = new Float32Array(size * parts.length);
		parts.forEach((part, i) => {
			data.set(part.data as Float32Array, i * size);
		});
		result.set(spec.name, { dtype: 'float32', dims: [...fullShape(spec)], data });
	}
	return result;
}

function savedTensor(
	name: string,
	spec: ParameterSpec,
	saved: { get(name: string): HostTensor | undefined },
): HostTensor {
	const value = saved.get(name);
	const expected = `float32[${spec.shape.join(', ')}]`;
	if (value === undefined) throw new ConfigError(`the weights have no tensor "${name}"`, { expected });
	const found = `${value.dtype}[${value.dims.join(', ')}]`;
	if (found !== expected) {
		const what = value.dims.join() === spec.shape.join() ? 'dtype' : 'shape';
		throw new ConfigError(`the tensor "${name}" has another ${what} than the model`, { expected, found });
	}
	return value;
}

/** Turns a full name, the shape of one layer's parameter and hints into a tensor. */
export type ParameterMaker = (
	name: string,
	shape: readonly number[],
	initializer: Initializer,
	options: ParameterOptions,
) => Tensor;

/** Where a module makes its parameters: a prefix, and how a parameter becomes a tensor. */
export class ParameterScope {
	readonly prefix: string;
	private readonly make: ParameterMaker;

	constructor(prefix: string, make: ParameterMaker) {
		this.prefix = prefix;
		this.make = make;
	}

	/** A scope that records every parameter in `tree` as a graph input of its own. */
	static of(tree: ParameterTree): ParameterScope {
		return new ParameterScope('', (name, shape, initializer, options) => {
			const tensor = input(name, 'float32', shape);
			tree.add(specOf(name, shape, initializer, options, tensor));
			return tensor;
		});
	}

	/** A scope below this one: names get `name.` in front. */
	child(name: string): ParameterScope {
		return new ParameterScope(this.prefix === '' ? name : `${this.prefix}.${name}`, this.make);
	}

	/** Makes a float32 parameter. The role defaults to matrix for two or more axes, else vector. */
	parameter(name: string, shape: readonly number[], initializer: Initializer, options: ParameterOptions = {}): Tensor {
		const full = this.prefix === '' ? name : `${this.prefix}.${name}`;
		return this.make(full, shape, initializer, options);
	}

	/** A scope below which `make` decides where parameters come from; names start anew. */
	static from(make: ParameterMaker): ParameterScope {
		return new ParameterScope('', make);
	}
}

/** A spec from what a scope was asked for. The role defaults to matrix for two or more axes, else vector. */
export function specOf(
	name: string,
	shape: readonly number[],
	initializer: Initializer,
	{ role, trainable = true }: ParameterOptions,
	tensor: Tensor,
): ParameterSpec {
	return { name, shape, initializer, role: role ?? (shape.length >= 2 ? 'matrix' : 'vector'), trainable, tensor };
}
