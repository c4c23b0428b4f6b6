/**
 * @file The benchmark's GPT in TensorFlow.js on its wasm backend (SIMD and threads). AdamW is written out, because the
 * library's Adam has no decoupled weight decay and no clipping.
 */
import { setThreadsCount, version_wasm } from '@tensorflow/tfjs-backend-wasm';
import * as tf from '@tensorflow/tfjs-core';
import { packedWeights, readPeerInputs, timedSteps, writePeerResult } from './peer-io.ts';
import {
	causalAttention,
	crossEntropy,
	embed,
	gelu,
	layerNorm,
	linear,
	project,
	registerCutKernel,
	registerGradients,
} from './tfjs-ops.ts';
import { enableWasmThreads } from './tfjs-threads.ts';

const inputs = readPeerInputs();
const { args, config } = inputs;
const { dim, heads, seq, batch } = config;

if (args.threads > 1) {
	enableWasmThreads(args.threads);
	tf.env().set('WASM_HAS_MULTITHREAD_SUPPORT', true);
}
tf.env().set('WASM_HAS_SIMD_SUPPORT', true);
setThreadsCount(args.threads);
if (!(await tf.setBackend('wasm'))) throw new Error('the wasm backend of TensorFlow.js did not start');
const { getThreadsCount } = await import('@tensorflow/tfjs-backend-wasm');

registerGradients();
registerCutKernel();
const names: string[] = [];
let parameters: tf.Tensor[] = [];
for (const [name, { data, shape }] of packedWeights(inputs)) {
	names.push(name);
	parameters.push(tf.tensor(data, shape));
}
let first = parameters.map((value) => tf.zerosLike(value));
let second = parameters.map((value) => tf.zerosLike(value));

const causalMask = tf.tidy(() => {
	const rows = tf.range(0, seq);
	const allowed = tf.greaterEqual(tf.reshape(rows, [seq, 1]), tf.reshape(rows, [1, seq]));
	return tf.where(allowed, tf.zeros([seq, seq]), tf.fill([seq, seq], Number.NEGATIVE_INFINITY)) as tf.Tensor2D;
});

const headDim = dim / heads;

/** [batch * time, 3 * dim] to [batch * 3 * heads, time, head_dim]. */
function splitHeads(qkv: tf.Tensor): tf.Tensor3D {
	const split = tf.transpose(tf.reshape(qkv, [batch, seq, 3 * heads, headDim]), [0, 2, 1, 3]);
	return tf.reshape(split, [batch * 3 * heads, seq, headDim]);
}

/** [batch * heads, time, head_dim] to [batch * time, dim]. */
function mergeHeads(x: tf.Tensor): tf.Tensor {
	const merged = tf.transpose(tf.reshape(x, [batch, heads, seq, headDim]), [0, 2, 1, 3]);
	return tf.reshape(merged, [batch * seq, dim]);
}

function lossOf(values: readonly tf.Tensor[], tokens: tf.Tensor1D, labels: tf.Tensor1D): tf.Scalar {
	const byName = new Map(names.map((name, index) => [name, values[index] as tf.Tensor]));
	const get = (name: string) => byName.get(name) as tf.Tensor;
	const norm = (x: tf.Tensor, name: string) =>
		layerNorm(x, get(`${name}.weight`), get(`${name}.bias`), config.layerNormEps);
	const dense = (x: tf.Tensor, name: string) => linear(x, get(`${name}.weight`), get(`${name}.bias`));

	const embedded = tf.reshape(embed(get('embed_tokens'), tokens), [batch, seq, dim]);
	let x: tf.Tensor = tf.reshape(tf.add(embedded, get('embed_positions')), [batch * seq, dim]);
	for (let layer = 0; layer < config.layers; layer++) {
		const prefix = `layers.${layer}`;
		const qkv = dense(norm(x, `${prefix}.self_attn_layer_norm`), `${prefix}.qkv`);
		const mixed = mergeHeads(causalAttention(splitHeads(qkv), heads, causalMask));
		x = tf.add(x, dense(mixed, `${prefix}.out`));
		const hidden = gelu(dense(norm(x, `${prefix}.final_layer_norm`), `${prefix}.fc1`));
		x = tf.add(x, dense(hidden, `${prefix}.fc2`));
	}
	return crossEntropy(project(norm(x, 'layer_norm'), get('output')), labels);
}

/** AdamW after clipping by the global norm; returns the new parameters and moments, in that order. */
function updated(gradients: readonly tf.Tensor[], count: number): tf.Tensor[][] {
	const [beta1, beta2] = config.betas;
	// Rows first: the kernel adds one after the other, and a million float32 squares in one chain lose digits.
	const norm = tf.sqrt(tf.addN(gradients.map((g) => tf.sum(tf.sum(tf.square(g), -1)))));
	const clip = tf.minimum(1, tf.div(config.clipNorm, tf.add(norm, 1e-6)));
	const gain1 = tf.mul(clip, 1 - beta1);
	const gain2 = tf.mul(tf.square(clip), 1 - beta2);
	const rate = config.lr / (1 - beta1 ** count);
	const scale = 1 / Math.sqrt(1 - beta2 ** count);
	const decay = 1 - config.lr * config.weightDecay;
	const results: tf.Tensor[][] = [[], [], []];
	gradients.forEach((g, index) => {
		tf.tidy(() => {
			const m = tf.add(tf.mul(first[index] as tf.Tensor, beta1), tf.mul(g, gain1));
			const v = tf.add(tf.mul(second[index] as tf.Tensor, beta2), tf.mul(tf.square(g), gain2));
			const step = tf.div(tf.mul(m, rate), tf.add(tf.mul(tf.sqrt(v), scale), config.adamEps));
			const value = tf.sub(tf.mul(parameters[index] as tf.Tensor, decay), step);
			[value, m, v].forEach((tensor, kind) => void results[kind]?.push(tf.keep(tensor)));
		});
	});
	return results;
}

async function step(index: number): Promise<number> {
	const loss = tf.tidy(() => {
		const tokens = tf.tensor1d(inputs.tokens(index), 'int32');
		const labels = tf.tensor1d(inputs.labels(index), 'int32');
		const { value, grads } = tf.valueAndGrads((...values: tf.Tensor[]) => lossOf(values, tokens, labels))(parameters);
		const next = updated(grads, index + 1);
		tf.dispose([parameters, first, second]);
		[parameters, first, second] = next as [tf.Tensor[], tf.Tensor[], tf.Tensor[]];
		return value as tf.Scalar;
	});
	// The wasm backend computes at once, so reading the loss is all the waiting there is.
	const [value] = await loss.data();
	loss.dispose();
	return value as number;
}

const measured = await timedSteps(args.steps, step);
writePeerResult(args.out, {
	name: 'tfjs',
	version: `@tensorflow/tfjs-core ${tf.version_core}, tfjs-backend-wasm ${version_wasm}`,
	...measured,
	notes: [
		`wasm with SIMD, ${getThreadsCount()} threads (under Node only after mending the start-up: tfjs-threads.ts)`,
		'no graph compiler; matmuls kept on XNNPACK by explicit transposes and one product a head; own gradients and AdamW',
	],
});
// Worker threads of the backend would keep the process alive.
process.exit(0);
