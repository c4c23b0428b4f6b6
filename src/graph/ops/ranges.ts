/** @file Values made from sizes alone: dimensions as tensors, consecutive integers. */
import type { DType } from '../../base/host-tensor.ts';
import { apply1, defineOp } from '../op.ts';
import { ndarray } from '../reference.ts';
import { concreteDim, type Dim, subtractDims } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { cast } from './cast.ts';
import { constantOf } from './source.ts';

const dimValueOp = defineOp<{ readonly value: Dim }>({
	name: 'dimValue',
	infer: () => [{ dtype: 'int64', shape: [] }],
	lower: (emitter, _, { attributes: { value } }) => [emitter.dimension(value)],
	reference: (_, { value }) => [ndarray('int64', [], [concreteDim(value)])],
	samples: [{ inputs: [], attributes: { value: 7 } }],
});

/** A dimension as a scalar tensor; its size is read from a graph input that has it. */
export function dimValue(value: Dim, dtype: DType = 'int64'): Tensor {
	if (typeof value === 'number') return constantOf([value], [], dtype);
	return cast(apply1(dimValueOp, [], { value }), dtype);
}

const arangeOp = defineOp<{ readonly start: Dim; readonly end: Dim }>({
	name: 'arange',
	infer: (_, { start, end }) => [{ dtype: 'int64', shape: [subtractDims(end, start)] }],
	lower: (emitter, _, { attributes: { start, end } }) => [
		emitter.node('Range', [emitter.dimension(start), emitter.dimension(end), emitter.scalar('int64', 1)]),
	],
	reference: (_, { start, end }) => {
		const [from, to] = [concreteDim(start), concreteDim(end)];
		return [
			ndarray(
				'int64',
				[to - from],
				Float64Array.from({ length: to - from }, (_value, i) => from + i),
			),
		];
	},
	samples: [{ inputs: [], attributes: { start: 2, end: 9 } }],
});

/** The integers start, start+1, ..., end-1. */
export function arange(start: Dim, end: Dim, dtype: DType = 'int64'): Tensor {
	return cast(apply1(arangeOp, [], { start, end }), dtype);
}
