/** @file Running sums along an axis. */
import { ShapeError } from '../../base/errors.ts';
import { apply1, defineOp, type OpDefinition } from '../op.ts';
import { forEachLine, ndarray } from '../reference.ts';
import { normalizeAxis } from '../shape.ts';
import type { Tensor } from '../tensor.ts';

interface CumulativeAttributes {
	readonly axis: number;
	readonly exclusive: boolean;
	readonly reverse: boolean;
}

const cumSumOp: OpDefinition<CumulativeAttributes> = defineOp<CumulativeAttributes>({
	name: 'cumSum',
	infer: ([x]) => {
		if (!['float32', 'int32', 'int64'].includes(x!.dtype)) {
			throw new ShapeError('cumSum is for float32, int32 and int64', { found: x!.dtype, fix: 'cast it first' });
		}
		return [x!];
	},
	gradient: ({ attributes }, [dy]) => [dy && apply1(cumSumOp, [dy], { ...attributes, reverse: !attributes.reverse })],
	lower: (emitter, [x], { attributes: { axis, exclusive, reverse } }) => [
		emitter.node('CumSum', [x!, emitter.scalar('int64', axis)], {
			attributes: { exclusive: exclusive ? 1 : 0, reverse: reverse ? 1 : 0 },
		}),
	],
	reference: ([x], { axis, exclusive, reverse }) => {
		const result = ndarray(x!.dtype, x!.dims);
		forEachLine(x!.dims, axis, (offset, stride, length) => {
			let total = 0;
			for (let i = 0; i < length; i++) {
				const at = offset + (reverse ? length - 1 - i : i) * stride;
				const value = x!.data[at] as number;
				result.data[at] = exclusive ? total : total + value;
				total += value;
			}
		});
		return [result];
	},
	samples: [
		{ inputs: [{ dims: [3, 4] }], attributes: { axis: 1, exclusive: false, reverse: false } },
		{ inputs: [{ dims: [3, 2, 2] }], attributes: { axis: 0, exclusive: true, reverse: false } },
		{ inputs: [{ dims: [2, 5] }], attributes: { axis: 1, exclusive: false, reverse: true } },
		{ inputs: [{ dims: [2, 5] }], attributes: { axis: 1, exclusive: true, reverse: true } },
		{
			inputs: [{ dims: [6], dtype: 'int64', range: [-9, 9] }],
			attributes: { axis: 0, exclusive: false, reverse: false },
		},
	],
});

export interface CumSumOptions {
	/** Default: the last axis. */
	readonly axis?: number;
	/** Leave each element itself out of its sum. */
	readonly exclusive?: boolean;
	/** Sum from the end. */
	readonly reverse?: boolean;
}

/** Sum of an element and all before it along an axis. */
export function cumSum(x: Tensor, { axis = -1, exclusive = false, reverse = false }: CumSumOptions = {}): Tensor {
	return apply1(cumSumOp, [x], { axis: normalizeAxis(axis, x.rank, 'cumSum'), exclusive, reverse });
}
