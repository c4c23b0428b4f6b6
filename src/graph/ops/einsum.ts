/** @file Einstein summation, taken apart into transposes, reshapes, matrix products and sums; gradients follow. */
import { ShapeError } from '../../base/errors.ts';
import { callerLine } from '../caller.ts';
import { type Dim, dimsEqual, formatShape, sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { mul } from './arithmetic.ts';
import { equal, where } from './compare.ts';
import { matmul } from './matmul.ts';
import { expandDims, reshape, transpose } from './movement.ts';
import { arange } from './ranges.ts';
import { sum } from './reduction.ts';

/** A tensor with a letter for each of its axes. */
interface Term {
	readonly tensor: Tensor;
	readonly letters: readonly string[];
}

/**
 * `einsum('bqhd,bkhd->bhqk', q, k)`: letters name axes; axes of one letter have one size; letters not in the result are
 * summed. `...` stands for any further leading axes, the same in all operands that have it. Without `->` the result
 * has the letters that occur once, in alphabetical order.
 * @throws ShapeError when the equation and the shapes do not fit
 */
export function einsum(equation: string, ...operands: readonly Tensor[]): Tensor {
	const fail = (problem: string, expected: string): never => {
		const shapes = operands.map(({ shape }) => formatShape(shape)).join(', ');
		throw new ShapeError(`${problem}${callerLine()}`, { where: `einsum("${equation}", ${shapes})`, expected });
	};
	const compact = equation.replaceAll(' ', '');
	if (!/^[A-Za-z.]*(,[A-Za-z.]*)*(->[A-Za-z.]*)?$/.test(compact)) {
		fail('not an equation', 'letters, commas, "..." and one "->", as in "bij,bjk->bik"');
	}
	const [left, right] = compact.split('->') as [string, string | undefined];
	const parts = left.split(',');
	if (parts.length !== operands.length) fail(`${parts.length} terms for ${operands.length} tensors`, 'one term each');
	const terms = parts.map((part, i): Term => {
		const tensor = operands[i] as Tensor;
		return { tensor, letters: lettersOf(part, tensor.rank, fail) };
	});
	const ellipsis = terms.flatMap(({ letters }) => letters.filter((letter) => letter.startsWith('.')));
	const leading = [...new Set(ellipsis)].sort().reverse();
	const all = terms.flatMap(({ letters }) => letters);
	const once = [...new Set(all)].filter((letter) => !letter.startsWith('.') && count(all, letter) === 1).sort();
	const result =
		right === undefined
			? [...leading, ...once]
			: lettersOf(right, right.replace('...', '').length + leading.length, fail);
	for (const letter of result) {
		if (!all.includes(letter)) fail(`the result has "${letter}", which no operand has`, 'a letter of an operand');
		if (count(result, letter) > 1) fail(`the result has "${letter}" twice`, 'every letter once');
	}
	const sizes = new Map<string, Dim>();
	for (const { tensor, letters } of terms) {
		letters.forEach((letter, axis) => {
			const size = tensor.shape[axis] as Dim;
			const known = sizes.get(letter) ?? size;
			if (!dimsEqual(known, size)) fail(`"${letter}" has the sizes ${known} and ${size}`, 'one size for a letter');
			sizes.set(letter, known);
		});
	}

	const [first, ...rest] = terms.map(takeDiagonals);
	let total = first as Term;
	rest.forEach((next, i) => {
		const kept = new Set([...result, ...rest.slice(i + 1).flatMap(({ letters }) => letters)]);
		total = contract(total, next, kept);
	});
	return arrange(sumAway(total, new Set(result)), result).tensor;
}

type Fail = (problem: string, expected: string) => never;

/** Letters of a term; the axes of `...` are called `.0`, `.1`, ... counted from the last of them. */
function lettersOf(part: string, rank: number, fail: Fail): string[] {
	const [before, after, ...more] = part.split('...') as [string, string | undefined];
	if (more.length > 0 || part.replace('...', '').includes('.')) fail(`"${part}" is not a term`, 'at most one "..."');
	const named = before.length + (after?.length ?? 0);
	if (after === undefined ? named !== rank : named > rank) fail(`"${part}" names ${named} axes`, `${rank} axes`);
	if (after === undefined) return [...before];
	const extra = Array.from({ length: rank - named }, (_, i) => `.${rank - named - 1 - i}`);
	return [...before, ...extra, ...after];
}

const count = (letters: readonly string[], letter: string): number => letters.filter((item) => item === letter).length;

/** Axes of one tensor that share a letter become one, by keeping the diagonal. */
function takeDiagonals({ tensor, letters }: Term): Term {
	const again = letters.findIndex((letter, i) => letters.indexOf(letter) < i);
	if (again < 0) return { tensor, letters };
	const firstAxis = letters.indexOf(letters[again] as string);
	const index = (axis: number): Tensor => {
		const others = tensor.shape.map((_, i) => i).filter((i) => i !== axis);
		return expandDims(arange(0, tensor.shape[axis] as Dim), others);
	};
	const kept = sum(where(equal(index(firstAxis), index(again)), tensor, 0), { axis: again });
	return takeDiagonals({ tensor: kept, letters: letters.filter((_, i) => i !== again) });
}

/** Sums the axes that nothing needs any more. */
function sumAway({ tensor, letters }: Term, kept: ReadonlySet<string>): Term {
	const axis = letters.flatMap((letter, i) => (kept.has(letter) ? [] : [i]));
	if (axis.length === 0) return { tensor, letters };
	return { tensor: sum(tensor, { axis }), letters: letters.filter((letter) => kept.has(letter)) };
}

/** Puts the axes in the given order. */
function arrange({ tensor, letters }: Term, order: readonly string[]): Term {
	return {
		tensor: transpose(
			tensor,
			order.map((letter) => letters.indexOf(letter)),
		),
		letters: order,
	};
}

/** The product of two terms, with the letters in neither `kept` summed: one matrix product where there is a sum. */
function contract(a: Term, b: Term, kept: ReadonlySet<string>): Term {
	const left = sumAway(a, new Set([...kept, ...b.letters]));
	const right = sumAway(b, new Set([...kept, ...a.letters]));
	const shared = left.letters.filter((letter) => right.letters.includes(letter));
	const batch = shared.filter((letter) => kept.has(letter));
	const summed = shared.filter((letter) => !kept.has(letter));
	const rows = left.letters.filter((letter) => !shared.includes(letter));
	const columns = right.letters.filter((letter) => !shared.includes(letter));
	const size = ({ tensor, letters }: Term, wanted: readonly string[]): Dim[] =>
		wanted.map((letter) => tensor.shape[letters.indexOf(letter)] as Dim);
	const outer = [...size(left, batch), ...size(left, rows), ...size(right, columns)];
	const letters = [...batch, ...rows, ...columns];
	const [l, r] = [arrange(left, [...batch, ...rows, ...summed]), arrange(right, [...batch, ...summed, ...columns])];
	if (summed.length === 0) {
		const widened = reshape(l.tensor, [...size(left, batch), ...size(left, rows), ...columns.map(() => 1)]);
		const other = reshape(r.tensor, [...size(left, batch), ...rows.map(() => 1), ...size(right, columns)]);
		return { tensor: mul(widened, other), letters };
	}
	const merged = (group: Dim[]): Dim => sizeOf(group);
	const inner = merged(size(left, summed));
	const product = matmul(
		reshape(l.tensor, [...size(left, batch), merged(size(left, rows)), inner]),
		reshape(r.tensor, [...size(left, batch), inner, merged(size(right, columns))]),
	);
	return { tensor: reshape(product, outer), letters };
}
