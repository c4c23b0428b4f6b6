/** @file Lowering: walks an optimised graph and lets every op write its ONNX nodes. */
import { ShapeError } from '../base/errors.ts';
import { type DType, type HostTensor, hostTensor } from '../base/host-tensor.ts';
import type { Emitter, LoweredSubgraph, NodeOptions } from '../graph/emitter.ts';
import { optimize } from '../graph/passes/optimize.ts';
import { type Dim, isStatic, type Shape, SymbolicDim, splitNames } from '../graph/shape.ts';
import { type Graph, type InputAttributes, type Subgraph, type Tensor, topologicalOrder } from '../graph/tensor.ts';
import { encodeGraph, type OnnxGraph, type OnnxInitializer, type OnnxNode, type OnnxValue } from './onnx.ts';

export interface LowerOptions {
	/** Inputs with a fixed value: they become initializers, which the engine may repack for speed. */
	readonly bound?: ReadonlyMap<string, HostTensor>;
	/** Keep to standard ONNX where there is a choice (for export to other engines). */
	readonly standardOnly?: boolean;
	/** Names of optional graph passes to leave out. */
	readonly skipPasses?: ReadonlySet<string>;
}

/** A lowered graph: messages to encode, and what is left to feed. */
export interface LoweredGraph {
	readonly onnx: OnnxGraph;
	readonly inputs: readonly OnnxValue[];
	readonly outputs: readonly OnnxValue[];
}

/** Lowers a graph to ONNX. Inputs that no output needs are dropped. */
export function lower(graph: Graph, options: LowerOptions = {}): LoweredGraph {
	const names = [...graph.outputs.keys()];
	const results = optimize([...graph.outputs.values()], options.skipPasses);
	const builder = new GraphBuilder(options);
	return builder.build(names, results);
}

/** What all scopes of one model share: names, constants, sizes. */
class GraphBuilder {
	readonly contributed: boolean;
	readonly initializers: OnnxInitializer[] = [];
	/** Values of an outer scope that a loop body reads; their names are fixed. */
	readonly readInside = new Set<string>();
	readonly root: Scope;
	private readonly bound: ReadonlyMap<string, HostTensor>;
	private readonly constants = new Map<string, string>();
	private readonly byIdentity = new Map<object, string>();
	private readonly sizes = new Map<string, () => string>();
	private readonly sizeNames = new Map<string, string>();
	/** Names given by the user. */
	private readonly taken = new Set<string>();
	private counter = 0;

	constructor({ bound = new Map(), standardOnly = false }: LowerOptions) {
		this.bound = bound;
		this.contributed = !standardOnly;
		this.root = new Scope(this, undefined);
	}

	/** A name that nothing else has. */
	fresh(hint: string): string {
		let name: string;
		do name = `${hint}_${this.counter++}`;
		while (this.taken.has(name));
		return name;
	}

	build(names: readonly string[], results: readonly Tensor[]): LoweredGraph {
		const order = topologicalOrder(results);
		const inputs: OnnxValue[] = [];
		for (const name of names) this.taken.add(name);
		for (const node of order) {
			if (node.op.name !== 'input') continue;
			const { name } = node.attributes as InputAttributes;
			const tensor = node.outputs[0] as Tensor;
			if (this.taken.has(name)) {
				throw new ShapeError(
					names.includes(name)
						? `an input and an output of the graph are both named "${name}"`
						: `two graph inputs are named "${name}"`,
					{ fix: 'give each a name of its own; to use one input twice, make it once' },
				);
			}
			this.taken.add(name);
			const value = this.bound.get(name);
			if (value !== undefined) {
				this.initializers.push({ name, value: checkBound(name, value, tensor) });
			} else {
				inputs.push({ name, dtype: tensor.dtype, shape: tensor.shape });
				this.registerSizes(name, tensor.shape);
			}
			this.root.bind(tensor, name);
		}
		this.root.lowerNodes(order);
		const outputs = results.map((tensor, i) => {
			const name = names[i] as string;
			this.root.written.push(identity(this.root.valueOf(tensor), name));
			return { name, dtype: tensor.dtype, shape: tensor.shape };
		});
		const onnx = {
			name: 'modelsmith',
			nodes: this.withoutOutputCopies(inputs),
			inputs,
			outputs,
			initializers: this.initializers,
		};
		return { onnx, inputs, outputs };
	}

	/** Gives a computed value its output name directly instead of copying it, where nothing else fixes its name. */
	private withoutOutputCopies(inputs: readonly OnnxValue[]): OnnxNode[] {
		const fixed = new Set([...inputs, ...this.initializers].map(({ name }) => name));
		const renamed = new Map<string, string>();
		const kept: OnnxNode[] = [];
		for (const node of this.root.written) {
			const [from] = node.inputs;
			const copies = node.type === 'Identity' && from !== undefined;
			if (copies && !fixed.has(from) && !renamed.has(from) && !this.readInside.has(from)) renamed.set(from, node.name);
			else kept.push(node);
		}
		const name = (value: string): string => renamed.get(value) ?? value;
		return kept.map((node) => ({ ...node, inputs: node.inputs.map(name), outputs: node.outputs.map(name) }));
	}

	constant(value: HostTensor): string {
		const small = value.data.length <= 64;
		const key = small
			? `${value.dtype}[${value.dims.join(',')}]${Array.from(value.data as Float32Array, (item) => (Object.is(item, -0) ? '-0' : String(item))).join(',')}`
			: undefined;
		const known = key === undefined ? this.byIdentity.get(value.data) : this.constants.get(key);
		if (known !== undefined) return known;
		const name = this.fresh('constant');
		if (key === undefined) this.byIdentity.set(value.data, name);
		else this.constants.set(key, name);
		this.initializers.push({ name, value });
		return name;
	}

	/** Scalar int64 value of a named size, read from the shape of the first input that has it. */
	size(name: string): string {
		const known = this.sizeNames.get(name);
		if (known !== undefined) return known;
		const make = this.sizes.get(name);
		if (make === undefined) {
			throw new ShapeError(`the size of dimension "${name}" cannot be found from any graph input`, {
				fix: `let the outputs depend on an input that has an axis of size dim("${name}"), for example by making the loss an output`,
			});
		}
		const value = make();
		// Loop bodies may read it later.
		this.readInside.add(value);
		this.sizeNames.set(name, value);
		return value;
	}

	private registerSizes(input: string, shape: Shape): void {
		shape.forEach((size, axis) => {
			if (!(size instanceof SymbolicDim) || size.terms.size !== 1) return;
			const [names, factor] = [...size.terms][0] as [string, number];
			if (factor !== 1 || splitNames(names).length !== 1 || this.sizes.has(names)) return;
			this.sizes.set(names, () => {
				const one = this.root.node('Shape', [input], { attributes: { start: axis, end: axis + 1 } });
				return this.root.node('Reshape', [one, this.constant(hostTensor('int64', [0], []))]);
			});
		});
	}
}

function checkBound(name: string, value: HostTensor, tensor: Tensor): HostTensor {
	const same =
		value.dtype === tensor.dtype &&
		value.dims.length === tensor.rank &&
		tensor.shape.every((size, i) => typeof size !== 'number' || size === value.dims[i]);
	if (!same)
		throw new ShapeError(`the value bound to "${name}" does not fit`, {
			expected: String(tensor),
			found: `${value.dtype}[${value.dims.join(', ')}]`,
		});
	return value;
}

function identity(from: string, to: string): OnnxNode {
	return { type: 'Identity', name: to, domain: '', inputs: [from], outputs: [to], attributes: {} };
}

/** One graph or loop body being written. */
class Scope implements Emitter {
	readonly written: OnnxNode[] = [];
	private readonly builder: GraphBuilder;
	private readonly parent: Scope | undefined;
	private readonly values = new Map<Tensor, string>();
	private readonly shapes = new Map<string, string>();

	constructor(builder: GraphBuilder, parent: Scope | undefined) {
		this.builder = builder;
		this.parent = parent;
	}

	get contributed(): boolean {
		return this.builder.contributed;
	}

	bind(tensor: Tensor, name: string): void {
		this.values.set(tensor, name);
	}

	lowerNodes(order: ReturnType<typeof topologicalOrder>): void {
		for (const node of order) {
			if (node.outputs.every((output) => this.values.has(output))) continue;
			const names = node.op.lower(
				this,
				node.inputs.map((input) => this.valueOf(input)),
				{
					attributes: node.attributes,
					inputs: node.inputs,
					outputs: node.outputs,
					node,
				},
			);
			node.outputs.forEach((output, i) => void this.values.set(output, names[i] as string));
		}
	}

	valueOf(tensor: Tensor): string {
		const own = this.values.get(tensor);
		if (own !== undefined) return own;
		const name = this.parent?.valueOf(tensor);
		if (name !== undefined) this.builder.readInside.add(name);
		else throw new ShapeError(`${tensor} is used outside the body it belongs to`);
		return name;
	}

	node(type: string, inputs: readonly string[], options: NodeOptions = {}): string {
		return this.emit(type, inputs, { ...options, outputs: 1 })[0] as string;
	}

	nodes(type: string, inputs: readonly string[], options: NodeOptions & { readonly outputs: number }): string[] {
		return this.emit(type, inputs, options);
	}

	private emit(
		type: string,
		inputs: readonly string[],
		{ attributes = {}, domain = '', outputs = 1 }: NodeOptions,
	): string[] {
		const name = this.builder.fresh(type);
		const results = Array.from({ length: outputs }, (_, i) => (outputs === 1 ? name : `${name}.${i}`));
		this.written.push({ type, name, domain, inputs, outputs: results, attributes });
		return results;
	}

	constant(value: HostTensor): string {
		return this.builder.constant(value);
	}

	scalar(dtype: DType, value: number): string {
		return this.constant(hostTensor(dtype, [], [value]));
	}

	integers(values: readonly number[]): string {
		return this.constant(hostTensor('int64', [values.length], values));
	}

	shape(shape: Shape): string {
		if (isStatic(shape)) return this.integers(shape);
		const key = shape.map(String).join(',');
		const known = this.shapes.get(key);
		if (known !== undefined) return known;
		const parts = shape.map((size) =>
			typeof size === 'number'
				? this.integers([size])
				: this.node('Reshape', [this.dimension(size), this.integers([1])]),
		);
		const name = parts.length === 1 ? (parts[0] as string) : this.node('Concat', parts, { attributes: { axis: 0 } });
		this.shapes.set(key, name);
		return name;
	}

	dimension(value: Dim): string {
		if (typeof value === 'number') return this.scalar('int64', value);
		const terms = [...value.terms].map(([names, factor]) => {
			const factors = splitNames(names).map((name) => this.builder.size(name));
			if (factor !== 1 || factors.length === 0) factors.push(this.scalar('int64', factor));
			return factors.reduce((product, next) => this.node('Mul', [product, next]));
		});
		return terms.reduce((total, next) => this.node('Add', [total, next]));
	}

	subgraph(
		body: Subgraph,
		name: string,
		{ names, own }: { readonly names: readonly string[]; readonly own: number },
	): LoweredSubgraph {
		const scope = new Scope(this.builder, this);
		const inputs = body.parameters.slice(0, own).map((parameter) => {
			const value = { name: this.builder.fresh('slice'), dtype: parameter.dtype, shape: parameter.shape };
			scope.bind(parameter, value.name);
			return value;
		});
		body.parameters.slice(own).forEach((parameter, i) => {
			const outer = names[own + i] as string;
			this.builder.readInside.add(outer);
			scope.bind(parameter, outer);
		});
		scope.lowerNodes(topologicalOrder(body.results));
		const outputs = body.results.map((tensor) => {
			const output = this.builder.fresh('result');
			scope.written.push(identity(scope.valueOf(tensor), output));
			return { name: output, dtype: tensor.dtype, shape: tensor.shape };
		});
		return {
			bytes: encodeGraph({ name: this.builder.fresh(name), nodes: scope.written, inputs, outputs, initializers: [] }),
		};
	}
}
