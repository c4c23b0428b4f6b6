/**
 * @file Language-model losses over a large vocabulary: label smoothing and z-loss, and a cross-entropy that multiplies by
 * the output matrix chunk by chunk and never holds all logits (online log-sum-exp, Milakov & Gimelshein 2018; recomputed
 * in the backward pass as in Wijmans et al. 2024, "Cut your losses").
 */
import { ShapeError } from '../../base/errors.ts';
import { customGradient } from '../alias.ts';
import { callerLine } from '../caller.ts';
import { zerosLike } from '../gradients.ts';
import { scan } from '../scan.ts';
import { type Dim, dimsEqual, formatShape, staticDim } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { add, maximum, minimum, mul, sub } from './arithmetic.ts';
import { cast } from './cast.ts';
import { greaterEqual, less, logicalAnd, where } from './compare.ts';
import { crossEntropy } from './cross-entropy.ts';
import { addAt, gather } from './indexing.ts';
import { linear, matmul } from './matmul.ts';
import { expand, expandDims, reshape, squeeze } from './movement.ts';
import { arange } from './ranges.ts';
import { logSumExp, max, mean, sum } from './reduction.ts';
import { slice } from './slicing.ts';
import { constantOf, scalar } from './source.ts';
import { exp, log } from './unary.ts';

export interface LossOptions {
	/** Share of the target spread evenly over all classes (Szegedy et al. 2016), default 0. */
	readonly labelSmoothing?: number;
	/** Factor on `logSumExp(logits)^2` (PaLM, Chowdhery et al. 2022), default 0. */
	readonly zLoss?: number;
}

function checkedOptions({ labelSmoothing = 0, zLoss = 0 }: LossOptions): Required<LossOptions> {
	if (!(labelSmoothing >= 0 && labelSmoothing < 1 && zLoss >= 0)) {
		throw new ShapeError(`loss settings are out of range${callerLine()}`, {
			expected: 'labelSmoothing in [0, 1) and zLoss from 0',
			found: `${labelSmoothing} and ${zLoss}`,
		});
	}
	return { labelSmoothing, zLoss };
}

/**
 * Cross-entropy with label smoothing and z-loss: logits [rows, classes], labels [rows] (int64 or int32) -> [rows].
 * A negative label gives loss 0 and no gradient.
 */
export function smoothedCrossEntropy(logits: Tensor, labels: Tensor, options: LossOptions = {}): Tensor {
	const { labelSmoothing, zLoss } = checkedOptions(options);
	const plain = crossEntropy(logits, labels);
	if (labelSmoothing === 0 && zLoss === 0) return plain;
	const total = logSumExp(logits, { axis: -1 });
	let loss = mul(plain, 1 - labelSmoothing);
	if (labelSmoothing > 0) loss = add(loss, mul(sub(total, mean(logits, { axis: -1 })), labelSmoothing));
	if (zLoss > 0) loss = add(loss, mul(mul(total, total), zLoss));
	return where(greaterEqual(labels, 0), loss, 0);
}

export interface LinearCrossEntropyOptions extends LossOptions {
	/** Classes per chunk, default 2048: memory is rows * chunk numbers. */
	readonly chunk?: number;
}

/** Low enough to vanish in a sum of exponentials, and finite, so that differences stay numbers. */
const NOTHING = -1e30;

/**
 * `smoothedCrossEntropy(hidden weight^T, labels)` without all logits in memory, forward or backward:
 * hidden [rows, dim], weight [vocab, dim], labels [rows] (int64 or int32) -> [rows]. Costs one more product in the
 * backward pass. A negative label gives loss 0 and no gradient.
 * @throws ShapeError when operands do not fit, or the size of the vocabulary is not known at build time
 */
export function linearCrossEntropy(
	hidden: Tensor,
	weight: Tensor,
	labels: Tensor,
	options: LinearCrossEntropyOptions = {},
): Tensor {
	const { labelSmoothing, zLoss } = checkedOptions(options);
	const fits =
		hidden.rank === 2 &&
		weight.rank === 2 &&
		labels.rank === 1 &&
		hidden.dtype === 'float32' &&
		weight.dtype === 'float32' &&
		(labels.dtype === 'int64' || labels.dtype === 'int32') &&
		dimsEqual(hidden.shape[1] as Dim, weight.shape[1] as Dim) &&
		dimsEqual(hidden.shape[0] as Dim, labels.shape[0] as Dim);
	if (!fits) {
		throw new ShapeError(`operands of the loss do not fit${callerLine()}`, {
			where: 'linearCrossEntropy',
			expected: 'float32 hidden [rows, dim], float32 weight [vocab, dim], integer labels [rows]',
			found: [hidden, weight, labels].map(({ dtype, shape }) => `${dtype}${formatShape(shape)}`).join(', '),
		});
	}
	const vocabulary = staticDim(weight.shape[0] as Dim, 'the vocabulary of linearCrossEntropy');
	const { chunk: wanted = 2048 } = options;
	if (!Number.isInteger(wanted) || wanted < 1) {
		throw new ShapeError(`a chunk has at least one class${callerLine()}`, {
			where: 'linearCrossEntropy',
			found: `chunk ${wanted}`,
		});
	}
	const plan: Plan = { vocabulary, chunk: Math.min(wanted, vocabulary), labelSmoothing, zLoss };
	const [loss] = customGradient(
		[hidden, weight, labels],
		(h, w, y) => forward(h as Tensor, w as Tensor, y as Tensor, plan),
		([h, w, y], [, total], [dy]) => {
			if (dy === undefined) return [];
			return [...backward(h as Tensor, w as Tensor, y as Tensor, total as Tensor, dy, plan), undefined];
		},
	);
	return loss as Tensor;
}

interface Plan extends Required<LossOptions> {
	readonly vocabulary: number;
	readonly chunk: number;
}

/** First class of every chunk; the last chunk may reach beyond the vocabulary. */
function chunkStarts({ vocabulary, chunk }: Plan): Tensor {
	const count = Math.ceil(vocabulary / chunk);
	const starts = Array.from({ length: count }, (_, i) => i * chunk);
	return constantOf(starts, [count], 'int64');
}

interface Chunk {
	/** Rows of the output matrix [chunk, dim]; beyond the vocabulary, copies of the last one. */
	readonly rows: Tensor;
	/** [rows, chunk], very low beyond the vocabulary. */
	readonly logits: Tensor;
	/** 1 inside the vocabulary and 0 beyond it [chunk]; absent when every chunk is full. */
	readonly valid: Tensor | undefined;
}

function chunkAt(start: Tensor, hidden: Tensor, weight: Tensor, { vocabulary, chunk }: Plan): Chunk {
	const classes = add(arange(0, chunk), start);
	const full = vocabulary % chunk === 0;
	const rows = gather(weight, full ? classes : minimum(classes, vocabulary - 1), 0);
	if (full) return { rows, logits: linear(hidden, rows), valid: undefined };
	const valid = cast(less(classes, vocabulary), hidden.dtype);
	return { rows, logits: linear(hidden, rows, mul(sub(1, valid), NOTHING)), valid };
}

/** Loss [rows] and log-sum-exp of the logits [rows, 1]. */
function forward(hidden: Tensor, weight: Tensor, labels: Tensor, plan: Plan): readonly Tensor[] {
	const { labelSmoothing, zLoss } = plan;
	const column = [hidden.shape[0] as Dim, 1];
	const { carry } = scan(
		[expand(scalar(NOTHING), column), expand(scalar(0), column)],
		[chunkStarts(plan)],
		([top, total], [start]) => {
			const { logits } = chunkAt(start as Tensor, hidden, weight, plan);
			const next = maximum(top as Tensor, max(logits, { axis: 1, keepDims: true }));
			const here = sum(exp(sub(logits, next)), { axis: 1, keepDims: true });
			return { carry: [next, add(mul(total as Tensor, exp(sub(top as Tensor, next))), here)] };
		},
	);
	const logTotal = add(carry[0] as Tensor, log(carry[1] as Tensor));
	const flat = squeeze(logTotal, 1);
	const counted = greaterEqual(labels, 0);
	// The logit of a label is one dot product; no chunk has to be searched for it.
	const own = sum(mul(hidden, gather(weight, where(counted, labels, 0), 0)), { axis: 1 });
	let loss = sub(flat, labelSmoothing > 0 ? mul(own, 1 - labelSmoothing) : own);
	if (labelSmoothing > 0) {
		const average = matmul(hidden, expandDims(mean(weight, { axis: 0 }), 1));
		loss = sub(loss, mul(squeeze(average, 1), labelSmoothing));
	}
	if (zLoss > 0) loss = add(loss, mul(mul(flat, flat), zLoss));
	return [where(counted, loss, 0), logTotal];
}

/** Gradients of hidden and weight; the logits of every chunk are computed again. */
function backward(
	hidden: Tensor,
	weight: Tensor,
	labels: Tensor,
	logTotal: Tensor,
	dy: Tensor,
	plan: Plan,
): readonly Tensor[] {
	const { vocabulary, labelSmoothing, zLoss } = plan;
	const perRow = expandDims(where(greaterEqual(labels, 0), dy, 0), 1);
	const softmaxFactor = zLoss > 0 ? mul(perRow, add(mul(logTotal, 2 * zLoss), 1)) : perRow;
	const minusLabel = mul(perRow, labelSmoothing - 1);
	const everyClass = mul(perRow, labelSmoothing / vocabulary);
	const target = expandDims(cast(labels, 'int64'), 1);
	const { carry, stacked } = scan([zerosLike(hidden)], [chunkStarts(plan)], ([sumSoFar], [start]) => {
		const { rows, logits, valid } = chunkAt(start as Tensor, hidden, weight, plan);
		let gradient = mul(exp(sub(logits, logTotal)), softmaxFactor);
		if (labelSmoothing > 0) gradient = sub(gradient, valid === undefined ? everyClass : mul(everyClass, valid));
		// One number of each row at most is the label's.
		const place = sub(target, start as Tensor);
		const inside = logicalAnd(greaterEqual(place, 0), less(place, plan.chunk));
		gradient = addAt(gradient, where(inside, place, 0), where(inside, minusLabel, 0), 1);
		return {
			carry: [add(sumSoFar as Tensor, matmul(gradient, rows))],
			stacked: [matmul(gradient, hidden, { transposeA: true })],
		};
	});
	const chunks = stacked[0] as Tensor;
	const allRows = reshape(chunks, [-1, weight.shape[1] as Dim]);
	return [carry[0] as Tensor, slice(allRows, 0, 0, vocabulary)];
}
