/** @file Dimensions: a number, or a polynomial over named sizes (`batch`, `time`, `past`) that are known at run time. */
import { ShapeError } from '../base/errors.ts';
import { callerLine } from './caller.ts';

/** A symbolic size such as `batch * time` or `past + time`: a sum of products of names with integer factors. */
export class SymbolicDim {
	/** Monomial (names sorted and joined by `*`, empty for the constant) to its non-zero integer factor. */
	readonly terms: ReadonlyMap<string, number>;
	/** Canonical text; equal dimensions have equal keys. */
	readonly key: string;

	constructor(terms: ReadonlyMap<string, number>) {
		this.terms = terms;
		this.key = [...terms]
			.sort(([a], [b]) => (a < b ? 1 : a > b ? -1 : 0))
			.map(([names, factor]) => (names === '' ? `${factor}` : factor === 1 ? names : `${factor}*${names}`))
			.join('+');
	}

	toString(): string {
		return this.key;
	}
}

/** One dimension of a shape. */
export type Dim = number | SymbolicDim;
/** The dimensions of a tensor, outermost first. */
export type Shape = readonly Dim[];

/** A named dimension whose size is taken from the tensors fed at run time. */
export function dim(name: string): SymbolicDim {
	if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
		throw new ShapeError(`"${name}" is not a dimension name`, { expected: 'letters, digits and _, such as "batch"' });
	}
	return new SymbolicDim(new Map([[name, 1]]));
}

function termsOf(value: Dim): ReadonlyMap<string, number> {
	if (value instanceof SymbolicDim) return value.terms;
	return value === 0 ? new Map() : new Map([['', value]]);
}

function fromTerms(terms: Map<string, number>): Dim {
	for (const [names, factor] of terms) if (factor === 0) terms.delete(names);
	if (terms.size === 0) return 0;
	const constant = terms.get('');
	return terms.size === 1 && constant !== undefined ? constant : new SymbolicDim(terms);
}

export function addDims(a: Dim, b: Dim): Dim {
	if (typeof a === 'number' && typeof b === 'number') return a + b;
	const sum = new Map(termsOf(a));
	for (const [names, factor] of termsOf(b)) sum.set(names, (sum.get(names) ?? 0) + factor);
	return fromTerms(sum);
}

export function multiplyDims(a: Dim, b: Dim): Dim {
	if (typeof a === 'number' && typeof b === 'number') return a * b;
	const result = new Map<string, number>();
	for (const [namesA, factorA] of termsOf(a)) {
		for (const [namesB, factorB] of termsOf(b)) {
			const names = [...splitNames(namesA), ...splitNames(namesB)].sort().join('*');
			result.set(names, (result.get(names) ?? 0) + factorA * factorB);
		}
	}
	return fromTerms(result);
}

export function subtractDims(a: Dim, b: Dim): Dim {
	return addDims(a, multiplyDims(b, -1));
}

/** Exact quotient when `b` is a number or a single product of names; undefined when it does not divide evenly. */
export function divideDims(a: Dim, b: Dim): Dim | undefined {
	if (typeof a === 'number' && typeof b === 'number') return b !== 0 && a % b === 0 ? a / b : undefined;
	if (dimsEqual(a, b)) return 1;
	const divisor = [...termsOf(b)];
	if (divisor.length !== 1) return undefined;
	const [divisorNames, divisorFactor] = divisor[0] as [string, number];
	const result = new Map<string, number>();
	for (const [names, factor] of termsOf(a)) {
		if (factor % divisorFactor !== 0) return undefined;
		const rest = splitNames(names);
		for (const name of splitNames(divisorNames)) {
			const at = rest.indexOf(name);
			if (at < 0) return undefined;
			rest.splice(at, 1);
		}
		result.set(rest.join('*'), factor / divisorFactor);
	}
	return fromTerms(result);
}

export function splitNames(monomial: string): string[] {
	return monomial === '' ? [] : monomial.split('*');
}

export function dimsEqual(a: Dim, b: Dim): boolean {
	if (typeof a === 'number' || typeof b === 'number') return a === b;
	return a.key === b.key;
}

export function shapesEqual(a: Shape, b: Shape): boolean {
	return a.length === b.length && a.every((value, axis) => dimsEqual(value, b[axis] as Dim));
}

/** Number of elements as a dimension; 1 for a scalar. */
export function sizeOf(shape: Shape): Dim {
	let size: Dim = 1;
	for (const value of shape) size = multiplyDims(size, value);
	return size;
}

export function isStatic(shape: Shape): shape is readonly number[] {
	return shape.every((value) => typeof value === 'number');
}

/**
 * The shape as plain numbers.
 * @throws ShapeError when a dimension is symbolic
 */
export function staticShape(shape: Shape, why: string): readonly number[] {
	if (isStatic(shape)) return shape;
	throw new ShapeError(`${why} needs a shape known at build time${callerLine()}`, { found: formatShape(shape) });
}

/** A dimension that must be a number. */
export function staticDim(value: Dim, why: string): number {
	if (typeof value === 'number') return value;
	throw new ShapeError(`${why} needs a size known at build time${callerLine()}`, { found: value.key });
}

export function formatShape(shape: Shape): string {
	return `[${shape.map(String).join(', ')}]`;
}

/** Size of a dimension once every name has a value. */
export function evaluateDim(value: Dim, sizes: ReadonlyMap<string, number>): number {
	if (typeof value === 'number') return value;
	let total = 0;
	for (const [names, factor] of value.terms) {
		let product = factor;
		for (const name of splitNames(names)) {
			const size = sizes.get(name);
			if (size === undefined) throw new ShapeError(`the size of dimension "${name}" is not known`);
			product *= size;
		}
		total += product;
	}
	return total;
}

const noSizes: ReadonlyMap<string, number> = new Map();

/** A shape whose sizes are all numbers by now, as references of ops get it. */
export function concreteShape(shape: Shape): number[] {
	return shape.map((value) => evaluateDim(value, noSizes));
}

/** A size that is a number by now. */
export function concreteDim(value: Dim): number {
	return evaluateDim(value, noSizes);
}

/** NumPy broadcasting of two shapes, or undefined when they do not fit. */
export function broadcastShapes(a: Shape, b: Shape): Shape | undefined {
	const rank = Math.max(a.length, b.length);
	const result: Dim[] = [];
	for (let i = 0; i < rank; i++) {
		const left = a[a.length - rank + i] ?? 1;
		const right = b[b.length - rank + i] ?? 1;
		if (dimsEqual(left, right) || right === 1) result.push(left);
		else if (left === 1) result.push(right);
		else return undefined;
	}
	return result;
}

/**
 * Turns a possibly negative axis into a non-negative one.
 * @throws ShapeError when it is out of range
 */
export function normalizeAxis(axis: number, rank: number, what: string): number {
	const result = axis < 0 ? axis + rank : axis;
	if (!Number.isInteger(axis) || result < 0 || result >= rank) {
		throw new ShapeError(`axis ${axis} does not exist${callerLine()}`, {
			where: what,
			expected: `an axis of a rank-${rank} tensor`,
		});
	}
	return result;
}
