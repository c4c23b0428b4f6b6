/**
 * @file The operations of the GPT for the wasm backend of TensorFlow.js, each with its own gradient. Its matmul is fast
 * (XNNPACK) only for two matrices that are not transposed: 20-30 times the speed of its loop for transposed or batched
 * ones. The library's own gradient of matMul asks for transposed products, so here the transposes are explicit and the
 * heads of the attention are multiplied one by one. The gradient of gather (UnsortedSegmentSum) has no wasm kernel.
 */
import * as tf from '@tensorflow/tfjs-core';

type Gradient = tf.Tensor | tf.Tensor[];
type GradSaver = (tensors: tf.Tensor[]) => void;

/** customGrad with the loose types of the library put in one place. */
function withGradient(
	forward: (...args: [...tf.Tensor[], GradSaver]) => {
		value: tf.Tensor;
		gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => Gradient;
	},
): (...args: tf.Tensor[]) => tf.Tensor {
	return tf.customGrad(forward as Parameters<typeof tf.customGrad>[0]);
}

/**
 * Gradients of the three library operations that the model uses directly. The library's own table of gradients is only
 * in its bundler builds and in the package for browsers, which brings every backend along.
 */
export function registerGradients(): void {
	const whole = (dy: tf.Tensor | tf.Tensor[]) => dy as tf.Tensor;
	tf.registerGradient({
		kernelName: 'Add',
		inputsToSave: ['a', 'b'],
		gradFunc: (dy, saved) => {
			// Broadcasting in this model only ever adds leading axes.
			const reduced = (to: tf.Tensor) => () => {
				const extra = whole(dy).rank - to.rank;
				return extra === 0 ? whole(dy) : tf.sum(whole(dy), [...Array(extra).keys()]);
			};
			return { a: reduced(saved[0] as tf.Tensor), b: reduced(saved[1] as tf.Tensor) };
		},
	});
	tf.registerGradient({
		kernelName: 'Reshape',
		inputsToSave: ['x'],
		gradFunc: (dy, saved) => ({ x: () => tf.reshape(whole(dy), (saved[0] as tf.Tensor).shape) }),
	});
	tf.registerGradient({
		kernelName: 'Transpose',
		gradFunc: (dy, _, attributes) => {
			const { perm } = attributes as unknown as { perm: number[] };
			return {
				x: () =>
					tf.transpose(
						whole(dy),
						perm.map((_, axis) => perm.indexOf(axis)),
					),
			};
		},
	});
}

const at = (tensors: readonly tf.Tensor[], index: number): tf.Tensor2D => tensors[index] as tf.Tensor2D;

/** x^T y for x [n, a] and y [n, b]; transposes whatever is cheaper to transpose. */
function transposedProduct(x: tf.Tensor2D, y: tf.Tensor2D): tf.Tensor2D {
	const [n, a] = x.shape;
	const b = y.shape[1];
	if (n * a <= n * b + a * b) return tf.matMul(tf.transpose(x), y);
	return tf.transpose(tf.matMul(tf.transpose(y), x));
}

/** x [n, in] times weight [in, out] plus bias [out]. */
export const linear = withGradient((...args) => {
	const [x, weight, bias, save] = args as [tf.Tensor2D, tf.Tensor2D, tf.Tensor1D, GradSaver];
	save([x, weight]);
	return {
		value: tf.fused.matMul({ a: x, b: weight, bias }),
		gradFunc: (dy, saved) => {
			const grad = dy as tf.Tensor2D;
			const input = at(saved, 0);
			// As a product the sum over rows shares the packed matrix of the one before it; tf.sum would transpose first.
			const ones = tf.ones([1, grad.shape[0]]) as tf.Tensor2D;
			const dWeight = transposedProduct(input, grad);
			const dBias = tf.reshape(tf.matMul(ones, grad), [-1]);
			return [tf.matMul(grad, tf.transpose(at(saved, 1))), dWeight, dBias];
		},
	};
});

/** x [n, in] times weight [in, out]. */
export const project = withGradient((...args) => {
	const [x, weight, save] = args as [tf.Tensor2D, tf.Tensor2D, GradSaver];
	save([x, weight]);
	return {
		value: tf.matMul(x, weight),
		gradFunc: (dy, saved) => {
			const grad = dy as tf.Tensor2D;
			return [tf.matMul(grad, tf.transpose(at(saved, 1))), transposedProduct(at(saved, 0), grad)];
		},
	};
});

/** Layer norm of x [n, dim] with gain and bias [dim]. */
export function layerNorm(x: tf.Tensor, gain: tf.Tensor, bias: tf.Tensor, eps: number): tf.Tensor {
	return withGradient((...args) => {
		const [input, scale, shift, save] = args as [tf.Tensor, tf.Tensor, tf.Tensor, GradSaver];
		const centred = tf.sub(input, tf.mean(input, -1, true));
		const inverse = tf.rsqrt(tf.add(tf.mean(tf.square(centred), -1, true), eps));
		const normal = tf.mul(centred, inverse);
		save([normal, inverse, scale]);
		return {
			value: tf.add(tf.mul(normal, scale), shift),
			gradFunc: (dy, saved) => {
				const [hat, rstd, g] = saved as [tf.Tensor, tf.Tensor, tf.Tensor];
				const dyHat = tf.mul(dy, hat);
				const scaled = tf.mul(dy, g);
				const along = tf.mean(tf.mul(dyHat, g), -1, true);
				const dx = tf.mul(tf.sub(tf.sub(scaled, tf.mean(scaled, -1, true)), tf.mul(hat, along)), rstd);
				const ones = tf.ones([1, dy.shape[0] as number]) as tf.Tensor2D;
				const rowSum = (t: tf.Tensor) => tf.reshape(tf.matMul(ones, t as tf.Tensor2D), [-1]);
				return [dx, rowSum(dyHat), rowSum(dy)];
			},
		};
	})(x, gain, bias);
}

/** x times the normal distribution function of x (exact, through erf). */
export const gelu = withGradient((...args) => {
	const [x, save] = args as [tf.Tensor, GradSaver];
	const cdf = tf.mul(tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1), 0.5);
	save([x, cdf]);
	return {
		value: tf.mul(x, cdf),
		gradFunc: (dy, saved) => {
			const [input, distribution] = saved as [tf.Tensor, tf.Tensor];
			const density = tf.mul(tf.exp(tf.mul(tf.square(input), -0.5)), 1 / Math.sqrt(2 * Math.PI));
			return tf.mul(dy, tf.add(distribution, tf.mul(input, density)));
		},
	};
});

/** Rows `ids` [n] (int32) of table [vocab, dim]. */
export function embed(table: tf.Tensor, ids: tf.Tensor1D): tf.Tensor {
	return withGradient((...args) => {
		const rows = args[0] as tf.Tensor;
		const { shape } = rows;
		return {
			value: tf.gather(rows, ids),
			gradFunc: (dy) => tf.scatterND(tf.expandDims(ids, 1), dy, shape),
		};
	})(table);
}

/** Mean cross-entropy of logits [n, vocab] against labels [n] (int32). */
export function crossEntropy(logits: tf.Tensor, labels: tf.Tensor1D): tf.Scalar {
	return withGradient((...args) => {
		const [input, save] = args as [tf.Tensor2D, GradSaver];
		const n = input.shape[0];
		const probabilities = tf.softmax(input);
		const places = tf.stack([tf.range(0, n, 1, 'int32'), labels], 1);
		const picked = tf.gatherND(probabilities, places);
		save([probabilities, places, picked]);
		return {
			value: tf.neg(tf.mean(tf.log(picked))),
			gradFunc: (dy, saved) => {
				const [p, where, right] = saved as [tf.Tensor, tf.Tensor, tf.Tensor];
				return tf.mul(tf.tensorScatterUpdate(p, where, tf.sub(right, 1)), tf.div(dy, n));
			},
		};
	})(logits) as tf.Scalar;
}

/** The two methods of the wasm backend that a kernel written in JavaScript needs. */
interface HeapBackend {
	makeOutput(shape: number[], dtype: 'float32'): tf.TensorInfo;
	typedArrayFromHeap(tensor: tf.TensorInfo): Float32Array;
}

/**
 * A kernel that cuts [n, rows, columns] into n matrices. The library's slice, unstack and split copy their whole input
 * out of the wasm memory for every piece they cut.
 */
export function registerCutKernel(): void {
	tf.registerKernel({
		kernelName: 'CutMatrices',
		backendName: 'wasm',
		kernelFunc: ({ inputs, backend }) => {
			const heap = backend as HeapBackend;
			const x = inputs.x as tf.TensorInfo;
			const [n, rows, columns] = x.shape as [number, number, number];
			const size = rows * columns;
			const pieces = Array.from({ length: n }, () => heap.makeOutput([rows, columns], 'float32'));
			// Allocation may move the heap, so views of it are made only now.
			const source = heap.typedArrayFromHeap(x);
			pieces.forEach((piece, i) => {
				heap.typedArrayFromHeap(piece).set(source.subarray(i * size, (i + 1) * size));
			});
			return pieces;
		},
	});
}

function matrices(x: tf.Tensor): tf.Tensor2D[] {
	return tf.engine().runKernel('CutMatrices', { x }) as unknown as tf.Tensor2D[];
}

/**
 * Causal attention, head by head.
 * @param qkv [batch * 3 * heads, time, head_dim]: the queries of all heads, then the keys, then the values, by batch row
 * @param mask [time, time], 0 or -infinity
 * @returns [batch * heads, time, head_dim]
 */
export function causalAttention(qkv: tf.Tensor3D, heads: number, mask: tf.Tensor2D): tf.Tensor3D {
	const scale = 1 / Math.sqrt(qkv.shape[2]);
	const count = qkv.shape[0] / 3;
	/** Index in qkv of part 0, 1, 2 (q, k, v) of a head counted over the whole batch. */
	const place = (head: number, part: number) => (Math.floor(head / heads) * 3 + part) * heads + (head % heads);
	return withGradient((...args) => {
		const [packed, save] = args as [tf.Tensor3D, GradSaver];
		const parts = matrices(packed);
		const outputs: tf.Tensor2D[] = [];
		const kept: tf.Tensor2D[] = [];
		for (let head = 0; head < count; head++) {
			const [q, k, v] = [0, 1, 2].map((part) => at(parts, place(head, part))) as [
				tf.Tensor2D,
				tf.Tensor2D,
				tf.Tensor2D,
			];
			const scores = tf.mul(tf.matMul(q, tf.transpose(k)), scale);
			const weights = tf.softmax(tf.add(scores, mask)) as tf.Tensor2D;
			outputs.push(tf.matMul(weights, v));
			kept.push(q, k, v, weights);
		}
		save(kept);
		return {
			value: tf.stack(outputs),
			gradFunc: (dy, saved) => {
				const gradients = new Array<tf.Tensor2D>(3 * count);
				matrices(dy).forEach((grad, head) => {
					const [q, k, v, weights] = saved.slice(4 * head, 4 * head + 4) as [
						tf.Tensor2D,
						tf.Tensor2D,
						tf.Tensor2D,
						tf.Tensor2D,
					];
					const dWeights = tf.mul(tf.matMul(grad, tf.transpose(v)), weights);
					const dScores = tf.mul(tf.sub(dWeights, tf.mul(weights, tf.sum(dWeights, -1, true))), scale);
					gradients[place(head, 0)] = tf.matMul(dScores as tf.Tensor2D, k);
					gradients[place(head, 1)] = tf.matMul(tf.transpose(dScores as tf.Tensor2D), q);
					gradients[place(head, 2)] = tf.matMul(tf.transpose(weights), grad);
				});
				return tf.stack(gradients);
			},
		};
	})(qkv) as tf.Tensor3D;
}
