/** @file Cross-entropy against integer labels, without a one-hot matrix. */
import { ShapeError } from '../../base/errors.ts';
import { apply, apply1, defineOp, type OpDefinition } from '../op.ts';
import { ndarray } from '../reference.ts';
import { type Dim, dimsEqual, formatShape } from '../shape.ts';
import { isFloat, type Tensor } from '../tensor.ts';
import { greaterEqual, where } from './compare.ts';
import { expandDims } from './movement.ts';

/** Labels below zero (-100 by custom) are not counted. */
export const IGNORE_INDEX = -100;

/** `dy * (softmax - onehot(labels))` from log-probabilities; zero rows where the label is ignored. */
const crossEntropyGradientOp = defineOp<null>({
	name: 'crossEntropyGradient',
	infer: ([logProbabilities]) => [logProbabilities!],
	lower: (emitter, [logProbabilities, labels, dy]) => {
		const scaled = emitter.node('Mul', [emitter.node('Exp', [logProbabilities!]), dy!]);
		const minus = emitter.node('Neg', [dy!]);
		return [emitter.node('ScatterElements', [scaled, labels!, minus], { attributes: { axis: 1, reduction: 'add' } })];
	},
	reference: ([logProbabilities, labels, dy]) => {
		const [rows, classes] = logProbabilities!.dims as [number, number];
		const result = ndarray(logProbabilities!.dtype, [rows, classes]);
		for (let row = 0; row < rows; row++) {
			for (let j = 0; j < classes; j++) {
				const at = row * classes + j;
				const hit = labels!.data[row] === j ? 1 : 0;
				result.data[at] = dy!.data[row]! * (Math.exp(logProbabilities!.data[at]!) - hit);
			}
		}
		return [result];
	},
	samples: [
		{
			inputs: [{ dims: [3, 5], range: [-3, -0.1] }, { dims: [3, 1], dtype: 'int64', range: [0, 4] }, { dims: [3, 1] }],
			attributes: null,
			differentiable: [],
		},
	],
});

/** Outputs: loss per row [rows], and log-probabilities [rows, classes]. */
const crossEntropyOp: OpDefinition<null> = defineOp<null>({
	name: 'crossEntropy',
	infer: ([logits, labels]) => {
		const fits =
			logits!.shape.length === 2 &&
			labels!.shape.length === 1 &&
			dimsEqual(logits!.shape[0] as Dim, labels!.shape[0] as Dim);
		if (!fits || !isFloat(logits!.dtype) || (labels!.dtype !== 'int64' && labels!.dtype !== 'int32')) {
			throw new ShapeError('logits and labels do not fit', {
				expected: 'float logits [rows, classes] and integer labels [rows]',
				found: `${logits!.dtype}${formatShape(logits!.shape)} and ${labels!.dtype}${formatShape(labels!.shape)}`,
			});
		}
		return [{ dtype: logits!.dtype, shape: labels!.shape }, logits!];
	},
	gradient: ({ inputs: [, labels], outputs: [, logProbabilities] }, [dy]) => {
		if (dy === undefined) return [];
		const counted = greaterEqual(labels!, 0);
		const rows = expandDims(where(counted, dy, 0), 1);
		const safe = expandDims(where(counted, labels!, 0), 1);
		return [apply1(crossEntropyGradientOp, [logProbabilities!, safe, rows], null), undefined];
	},
	lower: (emitter, [logits, labels], { inputs }) => {
		const { dtype, shape } = inputs[1]!;
		const logProbabilities = emitter.node('LogSoftmax', [logits!], { attributes: { axis: -1 } });
		const zero = emitter.scalar(dtype, 0);
		const counted = emitter.node('GreaterOrEqual', [labels!, zero]);
		const safe = emitter.node('Where', [counted, labels!, zero]);
		const column = emitter.node('Reshape', [safe, emitter.shape([shape[0] as Dim, 1])]);
		const picked = emitter.node('GatherElements', [logProbabilities, column], { attributes: { axis: 1 } });
		const flat = emitter.node('Reshape', [picked, emitter.shape(shape)]);
		const loss = emitter.node('Where', [counted, emitter.node('Neg', [flat]), emitter.scalar(inputs[0]!.dtype, 0)]);
		return [loss, logProbabilities];
	},
	reference: ([logits, labels]) => {
		const [rows, classes] = logits!.dims as [number, number];
		const [loss, logProbabilities] = [ndarray(logits!.dtype, [rows]), ndarray(logits!.dtype, [rows, classes])];
		for (let row = 0; row < rows; row++) {
			const line = logits!.data.slice(row * classes, (row + 1) * classes);
			const top = Math.max(...line);
			const total = top + Math.log(line.reduce((t, v) => t + Math.exp(v - top), 0));
			line.forEach((value, j) => {
				logProbabilities.data[row * classes + j] = value - total;
			});
			const label = labels!.data[row] as number;
			if (label >= 0) loss.data[row] = total - line[label]!;
		}
		return [loss, logProbabilities];
	},
	// The second output is for the gradient; only the loss is differentiated (see the test of this file).
	samples: [
		{
			inputs: [{ dims: [4, 5] }, { dims: [4], dtype: 'int64', values: [0, 4, -100, 2] }],
			attributes: null,
			differentiable: [],
		},
	],
});

/**
 * Negative log-likelihood of each label: logits [rows, classes], labels [rows] (int64 or int32) -> [rows].
 * A negative label (-100) gives loss 0 and no gradient.
 */
export function crossEntropy(logits: Tensor, labels: Tensor): Tensor {
	return apply(crossEntropyOp, [logits, labels], null)[0] as Tensor;
}
