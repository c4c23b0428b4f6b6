/**
 * @file The benchmark's GPT in jax-js on its wasm backend: one jitted step. Arrays of jax-js are counted by hand: an
 * operation consumes its arguments, `.ref` keeps one. Its optax package is not on npm, so AdamW is written out. Picking
 * by label is a masked sum, which its compiler fuses; takeAlongAxis would be a scatter on one thread when differentiated.
 */
import { readFileSync } from 'node:fs';
import type { numpy } from '@jax-js/jax';
import { enableWorkers } from './jax-js-worker.ts';
import { packedWeights, readPeerInputs, timedSteps, writePeerResult } from './peer-io.ts';

type Tree = Record<string, numpy.Array>;

const inputs = readPeerInputs();
const { args, config } = inputs;
const { dim, heads, seq, batch, vocab } = config;

// jax-js looks for workers when it is loaded, so it is loaded after they are there.
if (args.threads > 1) enableWorkers(args.threads);
const {
	blockUntilReady,
	defaultDevice,
	init,
	jit,
	lax,
	nn,
	numpy: np,
	tree,
	valueAndGrad,
} = await import('@jax-js/jax');
if (!(await init('wasm')).includes('wasm')) throw new Error('the wasm backend of jax-js did not start');
defaultDevice('wasm');

const packed = [...packedWeights(inputs)];
const filled = (make: (data: Float32Array<ArrayBuffer>) => Float32Array<ArrayBuffer>): Tree =>
	Object.fromEntries(packed.map(([name, { shape, data }]) => [name, np.array(make(data), { shape })]));

function layerNorm(x: numpy.Array, gain: numpy.Array, bias: numpy.Array): numpy.Array {
	const centred = x.ref.sub(np.mean(x, -1, { keepdims: true }));
	const variance = np.mean(np.square(centred.ref), -1, { keepdims: true });
	return centred
		.div(np.sqrt(variance.add(config.layerNormEps)))
		.mul(gain)
		.add(bias);
}

function gelu(x: numpy.Array): numpy.Array {
	return x.ref.mul(0.5).mul(lax.erf(x.mul(Math.SQRT1_2)).add(1));
}

/** Mean cross-entropy; consumes its arguments. tokens and labels are int32 [batch * time]. */
function lossOf(params: Tree, tokens: numpy.Array, labels: numpy.Array): numpy.Array {
	const get = (name: string) => params[name] as numpy.Array;
	const norm = (x: numpy.Array, name: string) => layerNorm(x, get(`${name}.weight`), get(`${name}.bias`));
	const dense = (x: numpy.Array, name: string) => np.matmul(x, get(`${name}.weight`)).add(get(`${name}.bias`));
	// The positions are widened, not the embeddings reshaped: jit of jax-js 0.1.25 fails when what flows back into the
	// gather, whose gradient is a scatter routine, is a mere view ("routine primitive scatter input is not imm").
	const positions = np.broadcastTo(get('embed_positions').reshape([1, seq, dim]), [batch, seq, dim]);
	let x = np.take(get('embed_tokens'), tokens, 0).add(positions.reshape([batch * seq, dim]));
	for (let layer = 0; layer < config.layers; layer++) {
		const prefix = `layers.${layer}`;
		const qkv = dense(norm(x.ref, `${prefix}.self_attn_layer_norm`), `${prefix}.qkv`);
		const [q, k, v] = np.split(qkv, 3, 1).map((part) => part.reshape([batch, seq, heads, dim / heads])) as [
			numpy.Array,
			numpy.Array,
			numpy.Array,
		];
		const mixed = nn.dotProductAttention(q, k, v, { isCausal: true }).reshape([batch * seq, dim]);
		x = x.add(dense(mixed, `${prefix}.out`));
		x = x.ref.add(dense(gelu(dense(norm(x, `${prefix}.final_layer_norm`), `${prefix}.fc1`)), `${prefix}.fc2`));
	}
	const logits = np.matmul(norm(x, 'layer_norm'), get('output'));
	const isLabel = np
		.arange(vocab)
		.reshape([1, vocab])
		.equal(labels.reshape([batch * seq, 1]));
	const picked = np.sum(np.where(isLabel, logits.ref, 0), -1);
	return np.mean(nn.logsumexp(logits, -1).sub(picked));
}

const [beta1, beta2] = config.betas;
const decay = 1 - config.lr * config.weightDecay;

/** One training step; `rate` and `scale` carry the bias corrections of AdamW. Consumes its arguments. */
const trainStep = jit(
	(
		params: Tree,
		first: Tree,
		second: Tree,
		tokens: numpy.Array,
		labels: numpy.Array,
		rate: numpy.Array,
		scale: numpy.Array,
	) => {
		const [loss, grads] = valueAndGrad(lossOf)(tree.ref(params), tokens, labels) as [numpy.Array, Tree];
		// Rows first: in one chain a million float32 squares would lose digits, and keep to one thread.
		const squares = Object.values(grads).map((g) => np.sum(np.sum(np.square(g.ref), -1)));
		const norm = np.sqrt(squares.reduce((sum, square) => sum.add(square)));
		const clip = np.minimum(1, np.array(config.clipNorm).div(norm.add(1e-6)));
		const next: [Tree, Tree, Tree] = [{}, {}, {}];
		for (const name of Object.keys(params)) {
			const g = (grads[name] as numpy.Array).mul(clip.ref);
			const m = (first[name] as numpy.Array).mul(beta1).add(g.ref.mul(1 - beta1));
			const v = (second[name] as numpy.Array).mul(beta2).add(np.square(g).mul(1 - beta2));
			const update = m.ref.mul(rate.ref).div(np.sqrt(v.ref).mul(scale.ref).add(config.adamEps));
			next[0][name] = (params[name] as numpy.Array).mul(decay).sub(update);
			next[1][name] = m;
			next[2][name] = v;
		}
		for (const scalar of [clip, rate, scale]) scalar.dispose();
		return [loss, ...next] as [numpy.Array, Tree, Tree, Tree];
	},
);

let state: [Tree, Tree, Tree] = [
	filled((data) => data),
	filled((data) => new Float32Array(data.length)),
	filled((data) => new Float32Array(data.length)),
];

async function step(index: number): Promise<number> {
	const ids = (values: Int32Array) => np.array(Int32Array.from(values), { dtype: np.int32 });
	const rate = np.array(config.lr / (1 - beta1 ** (index + 1)));
	const scale = np.array(1 / Math.sqrt(1 - beta2 ** (index + 1)));
	const [loss, ...next] = trainStep(...state, ids(inputs.tokens(index)), ids(inputs.labels(index)), rate, scale);
	state = next;
	await blockUntilReady(state);
	const [value] = await loss.data();
	return value as number;
}

const measured = await timedSteps(args.steps, step);
const manifest = new URL('package.json', new URL('../', import.meta.resolve('@jax-js/jax')));
const { version } = JSON.parse(readFileSync(manifest, 'utf8')) as { version: string };
writePeerResult(args.out, {
	name: 'jax-js',
	version: `@jax-js/jax ${version}`,
	...measured,
	notes: [
		`wasm with SIMD, ${args.threads} threads (under Node only with the Worker of jax-js-worker.ts)`,
		'one jitted step, AdamW inside; the first step holds the compilation',
	],
});
// Its worker threads would keep the process alive.
process.exit(0);
