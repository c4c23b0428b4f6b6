/** @file Triangles of matrices, causal masks, one-hot rows. */
import { ShapeError } from '../../base/errors.ts';
import type { DType } from '../../base/host-tensor.ts';
import { apply1, defineOp, type OpDefinition } from '../op.ts';
import { forEachIndex, ndarray } from '../reference.ts';
import { type Dim, formatShape, subtractDims } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { cast } from './cast.ts';
import { equal, lessEqual } from './compare.ts';
import { expandDims } from './movement.ts';
import { arange } from './ranges.ts';

interface TriangleAttributes {
	readonly upper: boolean;
	readonly diagonal: number;
}

const triangleOp: OpDefinition<TriangleAttributes> = defineOp<TriangleAttributes>({
	name: 'triangle',
	infer: ([x], { diagonal }) => {
		if (x!.shape.length < 2) throw new ShapeError('needs at least two axes', { found: formatShape(x!.shape) });
		if (!Number.isInteger(diagonal)) throw new ShapeError(`diagonal ${diagonal} is not an integer`);
		return [x!];
	},
	gradient: ({ attributes }, [dy]) => [dy && apply1(triangleOp, [dy], attributes)],
	lower: (emitter, [x], { attributes: { upper, diagonal } }) => [
		emitter.node('Trilu', [x!, emitter.scalar('int64', diagonal)], { attributes: { upper: upper ? 1 : 0 } }),
	],
	reference: ([x], { upper, diagonal }) => {
		const result = ndarray(x!.dtype, x!.dims);
		forEachIndex(x!.dims, (index, flat) => {
			const [row, column] = index.slice(-2) as [number, number];
			const kept = upper ? column - row >= diagonal : column - row <= diagonal;
			if (kept) result.data[flat] = x!.data[flat] as number;
		});
		return [result];
	},
	samples: [
		{ inputs: [{ dims: [4, 4] }], attributes: { upper: false, diagonal: 0 } },
		{ inputs: [{ dims: [2, 3, 5] }], attributes: { upper: true, diagonal: 1 } },
		{ inputs: [{ dims: [4, 3] }], attributes: { upper: false, diagonal: -1 } },
		{ inputs: [{ dims: [3, 3], dtype: 'int64', range: [1, 9] }], attributes: { upper: true, diagonal: 0 } },
		{ inputs: [{ dims: [3, 3], dtype: 'bool', range: [1, 1] }], attributes: { upper: false, diagonal: 0 } },
	],
});

/** Matrices [..., rows, columns] with zeros above the given diagonal (0: the main one; above it: positive). */
export function tril(x: Tensor, diagonal = 0): Tensor {
	return apply1(triangleOp, [x], { upper: false, diagonal });
}

/** Matrices [..., rows, columns] with zeros below the given diagonal. */
export function triu(x: Tensor, diagonal = 0): Tensor {
	return apply1(triangleOp, [x], { upper: true, diagonal });
}

/**
 * What a query may see: [queries, keys], bool, true where the key is not later than the query.
 * The last query belongs to the last key, so with a cache `keys` is `past + time` and `queries` is `time`.
 */
export function causalMask(queries: Dim, keys: Dim = queries): Tensor {
	return lessEqual(arange(0, keys), expandDims(arange(subtractDims(keys, queries), keys), 1));
}

/** Rows with a 1 at each index: indices [...] -> [..., depth]. An index outside [0, depth) gives a row of zeros. */
export function oneHot(indices: Tensor, depth: Dim, dtype: DType = 'float32'): Tensor {
	if (indices.dtype !== 'int64' && indices.dtype !== 'int32') {
		throw new ShapeError('indices must be integers', {
			where: 'oneHot',
			expected: 'int64 or int32',
			found: indices.dtype,
		});
	}
	return cast(equal(expandDims(indices, -1), arange(0, depth, indices.dtype)), dtype);
}
