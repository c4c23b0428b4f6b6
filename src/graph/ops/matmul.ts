/** @file Matrix products: batched, with operands read transposed in place, and the linear layer's product. */
import { ShapeError } from '../../base/errors.ts';
import { apply1, defineOp } from '../op.ts';
import { broadcastDims, broadcastOffset, forEachIndex, type NDArray, ndarray, stridesOf } from '../reference.ts';
import { broadcastShapes, type Dim, dimsEqual, formatShape } from '../shape.ts';
import { isFloat, type Tensor, type TensorType } from '../tensor.ts';
import { flattenRows, reshape, sumTo } from './movement.ts';
import { sum } from './reduction.ts';

export interface MatmulAttributes {
	/** Read the last two axes of the first operand exchanged. */
	readonly transposeA: boolean;
	readonly transposeB: boolean;
	/** Factor on the product. */
	readonly alpha: number;
}

function matrixDims({ shape }: TensorType, transposed: boolean): [Dim, Dim] {
	const [rows, columns] = [shape[shape.length - 2] as Dim, shape[shape.length - 1] as Dim];
	return transposed ? [columns, rows] : [rows, columns];
}

const matmulOp = defineOp<MatmulAttributes>({
	name: 'matmul',
	infer: ([a, b], { transposeA, transposeB }) => {
		if (a!.shape.length < 2 || b!.shape.length < 2) {
			throw new ShapeError('both operands need at least two axes', {
				found: `${formatShape(a!.shape)} and ${formatShape(b!.shape)}`,
			});
		}
		if (a!.dtype !== b!.dtype)
			throw new ShapeError('operands have different dtypes', { found: `${a!.dtype} and ${b!.dtype}` });
		const [m, k] = matrixDims(a!, transposeA);
		const [k2, n] = matrixDims(b!, transposeB);
		const batch = broadcastShapes(a!.shape.slice(0, -2), b!.shape.slice(0, -2));
		if (!dimsEqual(k, k2) || batch === undefined) {
			throw new ShapeError('matrices cannot be multiplied', {
				expected: `the inner sizes to agree (${k} here) and batch axes that broadcast`,
				found: `${formatShape(a!.shape)}${transposeA ? '^T' : ''} times ${formatShape(b!.shape)}${transposeB ? '^T' : ''}`,
			});
		}
		return [{ dtype: a!.dtype, shape: [...batch, m, n] }];
	},
	gradient: ({ inputs: [a, b], attributes: { transposeA, transposeB, alpha }, needs }, [dy]) => {
		if (dy === undefined) return [undefined, undefined];
		const scaled = { alpha };
		const da = !needs(0)
			? undefined
			: transposeA
				? matmul(b!, dy, { transposeA: transposeB, transposeB: true, ...scaled })
				: matmul(dy, b!, { transposeB: !transposeB, ...scaled });
		const db = !needs(1)
			? undefined
			: transposeB
				? matmul(dy, a!, { transposeA: true, transposeB: transposeA, ...scaled })
				: matmul(a!, dy, { transposeA: !transposeA, ...scaled });
		return [da && sumTo(da, a!.shape), db && sumTo(db, b!.shape)];
	},
	lower: (emitter, names, { inputs: [a, b], attributes: { transposeA, transposeB, alpha } }) => {
		if (!transposeA && !transposeB && alpha === 1) return [emitter.node('MatMul', names)];
		if (a!.rank === 2 && b!.rank === 2) {
			return [
				emitter.node('Gemm', names, {
					attributes: { transA: transposeA ? 1 : 0, transB: transposeB ? 1 : 0, alpha: { float: alpha } },
				}),
			];
		}
		if (emitter.contributed && isFloat(a!.dtype)) {
			return [
				emitter.node('FusedMatMul', names, {
					domain: 'com.microsoft',
					attributes: { transA: transposeA ? 1 : 0, transB: transposeB ? 1 : 0, alpha: { float: alpha } },
				}),
			];
		}
		const turned = names.map((name, i) => {
			const rank = (i === 0 ? a : b)!.rank;
			if (!(i === 0 ? transposeA : transposeB)) return name;
			const perm = Array.from({ length: rank }, (_, axis) => axis);
			[perm[rank - 2], perm[rank - 1]] = [rank - 1, rank - 2];
			return emitter.node('Transpose', [name], { attributes: { perm } });
		});
		const product = emitter.node('MatMul', turned);
		return [alpha === 1 ? product : emitter.node('Mul', [product, emitter.scalar(a!.dtype, alpha)])];
	},
	reference: ([a, b], attributes) => [matmulReference(a!, b!, attributes)],
	samples: [
		{ inputs: [{ dims: [3, 4] }, { dims: [4, 2] }], attributes: { transposeA: false, transposeB: false, alpha: 1 } },
		{ inputs: [{ dims: [4, 3] }, { dims: [2, 4] }], attributes: { transposeA: true, transposeB: true, alpha: 0.5 } },
		{ inputs: [{ dims: [2, 3, 4] }, { dims: [4, 2] }], attributes: { transposeA: false, transposeB: false, alpha: 1 } },
		{
			inputs: [{ dims: [2, 1, 3, 4] }, { dims: [5, 2, 4] }],
			attributes: { transposeA: false, transposeB: true, alpha: 2 },
		},
		{
			inputs: [{ dims: [2, 4, 3] }, { dims: [2, 4, 2] }],
			attributes: { transposeA: true, transposeB: false, alpha: 1 },
		},
	],
});

/** The product in plain loops. */
export function matmulReference(a: NDArray, b: NDArray, { transposeA, transposeB, alpha }: MatmulAttributes): NDArray {
	const size = (x: NDArray, fromEnd: number): number => x.dims[x.dims.length - fromEnd] as number;
	const [m, k] = transposeA ? [size(a, 1), size(a, 2)] : [size(a, 2), size(a, 1)];
	const n = transposeB ? size(b, 2) : size(b, 1);
	const batch = broadcastDims(a.dims.slice(0, -2), b.dims.slice(0, -2));
	const result = ndarray(a.dtype, [...batch, m, n]);
	const [stridesA, stridesB] = [stridesOf(a.dims), stridesOf(b.dims)];
	forEachIndex(batch, (index, flat) => {
		const baseA = broadcastOffset(index, a.dims.slice(0, -2), stridesA);
		const baseB = broadcastOffset(index, b.dims.slice(0, -2), stridesB);
		for (let i = 0; i < m; i++) {
			for (let j = 0; j < n; j++) {
				let total = 0;
				for (let l = 0; l < k; l++) {
					const left = a.data[baseA + (transposeA ? l * m + i : i * k + l)] as number;
					total += left * (b.data[baseB + (transposeB ? j * k + l : l * n + j)] as number);
				}
				result.data[(flat * m + i) * n + j] = alpha * total;
			}
		}
	});
	return result;
}

/**
 * Matrix product over the last two axes; leading axes broadcast.
 * A product of many rows with one matrix is one large GEMM, forward and backward.
 * a [..., m, k], b [..., k, n] -> [..., m, n]
 */
export function matmul(a: Tensor, b: Tensor, options: Partial<MatmulAttributes> = {}): Tensor {
	const attributes = { transposeA: false, transposeB: false, alpha: 1, ...options };
	if (b.rank === 2 && a.rank > 2 && !attributes.transposeA) {
		const rows = matmul(flattenRows(a), b, attributes);
		return reshape(rows, [...a.shape.slice(0, -1), rows.shape[1] as Dim]);
	}
	return apply1(matmulOp, [a, b], attributes);
}

const linearOp = defineOp<null>({
	name: 'linear',
	infer: ([x, weight, bias]) => {
		const fits =
			x!.shape.length === 2 &&
			weight!.shape.length === 2 &&
			dimsEqual(x!.shape[1] as Dim, weight!.shape[1] as Dim) &&
			(bias === undefined || (bias.shape.length === 1 && dimsEqual(bias.shape[0] as Dim, weight!.shape[0] as Dim)));
		if (!fits) {
			throw new ShapeError('operands of a linear layer do not fit', {
				expected: 'x [..., in], weight [out, in], bias [out]',
				found: [x, weight, bias]
					.filter((t) => t !== undefined)
					.map((t) => formatShape(t.shape))
					.join(', '),
			});
		}
		return [{ dtype: x!.dtype, shape: [x!.shape[0] as Dim, weight!.shape[0] as Dim] }];
	},
	gradient: ({ inputs: [x, weight, bias], needs }, [dy]) =>
		dy === undefined
			? []
			: [
					needs(0) ? matmul(dy, weight!) : undefined,
					needs(1) ? matmul(dy, x!, { transposeA: true }) : undefined,
					bias && needs(2) ? sum(dy, { axis: 0 }) : undefined,
				],
	lower: (emitter, inputs) => [emitter.node('Gemm', inputs, { attributes: { transB: 1 } })],
	reference: ([x, weight, bias]) => {
		const y = matmulReference(x!, weight!, { transposeA: false, transposeB: true, alpha: 1 });
		if (bias !== undefined)
			y.data.forEach((_, i) => {
				y.data[i]! += bias.data[i % bias.data.length] as number;
			});
		return [y];
	},
	samples: [
		{ inputs: [{ dims: [3, 4] }, { dims: [2, 4] }, { dims: [2] }], attributes: null },
		{ inputs: [{ dims: [3, 4] }, { dims: [2, 4] }], attributes: null },
	],
});

/** `x W^T + b` (torch.nn.functional.linear): x [..., in], weight [out, in], bias [out] -> [..., out]. */
export function linear(x: Tensor, weight: Tensor, bias?: Tensor): Tensor {
	const inputs = [flattenRows(x), weight, ...(bias === undefined ? [] : [bias])];
	const y = apply1(linearOp, inputs, null);
	return reshape(y, [...x.shape.slice(0, -1), weight.shape[0] as Dim]);
}
