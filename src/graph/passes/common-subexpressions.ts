/** @file Computes equal expressions once: same op, same inputs, same attributes. */
import type { HostTensor } from '../../base/host-tensor.ts';
import { rewrite } from '../rewrite.ts';
import { SymbolicDim } from '../shape.ts';
import type { GraphNode, Tensor } from '../tensor.ts';

/** Constants above this many elements are compared by identity, not by value. */
const COMPARED_ELEMENTS = 64;

export function shareCommonSubexpressions(outputs: readonly Tensor[]): Tensor[] {
	const seen = new Map<string, GraphNode>();
	return rewrite(outputs, (node) => {
		const key = keyOf(node);
		if (key === undefined) return undefined;
		const known = seen.get(key);
		if (known !== undefined) return known.outputs;
		seen.set(key, node);
		return undefined;
	});
}

const identities = new WeakMap<object, number>();
let nextIdentity = 0;

function identity(object: object): number {
	let id = identities.get(object);
	if (id === undefined) {
		id = nextIdentity++;
		identities.set(object, id);
	}
	return id;
}

/** A text equal for equal computations; undefined for nodes that must stay apart. */
function keyOf(node: GraphNode): string | undefined {
	const { name } = node.op;
	if (name === 'input' || name === 'placeholder') return undefined;
	const inputs = node.inputs.map((tensor) => `${tensor.node.id}.${tensor.index}`).join(',');
	return `${name}(${inputs})${attributesKey(node.attributes)}`;
}

function attributesKey(value: unknown): string {
	if (value instanceof SymbolicDim) return `<${value.key}>`;
	if (Array.isArray(value)) return `[${value.map(attributesKey).join(',')}]`;
	if (ArrayBuffer.isView(value)) return `@${identity(value)}`;
	if (typeof value === 'function') return `@${identity(value)}`;
	if (value !== null && typeof value === 'object') {
		if (isHostTensor(value)) {
			const content =
				value.data.length <= COMPARED_ELEMENTS
					? Array.from(value.data as Float32Array, (item) => (Object.is(item, -0) ? '-0' : String(item))).join(',')
					: `@${identity(value.data)}`;
			return `${value.dtype}[${value.dims.join(',')}]${content}`;
		}
		// Bodies of loops and instances of classes are the same only if they are one object.
		if ('parameters' in value && 'results' in value) return `@${identity(value)}`;
		if (Object.getPrototypeOf(value) !== Object.prototype) return `@${identity(value)}`;
		return `{${Object.entries(value)
			.map(([key, item]) => `${key}:${attributesKey(item)}`)
			.join(';')}}`;
	}
	return Object.is(value, -0) ? '-0' : String(value);
}

function isHostTensor(value: object): value is HostTensor {
	return 'dtype' in value && 'dims' in value && 'data' in value;
}
