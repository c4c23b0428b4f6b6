/** @file The decoder: gradients, chain against loop, causality, documents, cached decoding, configurations. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
	emptyState,
	largestDifference,
	logitsOf,
	lossAndGradients,
	randomParameters,
	randomTokens,
	rows,
} from '../../test/support/model-harness.ts';
import { ConfigError, ShapeError } from '../base/errors.ts';
import { type HostTensor, hostTensor } from '../base/host-tensor.ts';
import { evaluate } from '../graph/evaluate.ts';
import { gradients } from '../graph/gradients.ts';
import { crossEntropy } from '../graph/ops/cross-entropy.ts';
import { flattenRows, reshape } from '../graph/ops/movement.ts';
import { mean } from '../graph/ops/reduction.ts';
import { input } from '../graph/ops/source.ts';
import { type NDArray, ndarray } from '../graph/reference.ts';
import { addDims, dim } from '../graph/shape.ts';
import { stackParameters, unstackParameters } from '../nn/parameters.ts';
import { Program } from '../runtime/program.ts';
import { buildDecoder, type Decoder, type DecoderConfig } from './decoder.ts';

const VOCAB = 19;
const small = (config: Partial<DecoderConfig> = {}): Decoder =>
	buildDecoder({ vocabSize: VOCAB, dim: 12, layers: 2, heads: 2, maxLength: 10, ...config });

const VARIANTS: Record<string, Partial<DecoderConfig>> = {
	gpt: {},
	llama: {
		norm: { kind: 'rms' },
		position: { kind: 'rope' },
		mixer: { kind: 'attention', heads: 4, kvHeads: 2, headDim: 6, bias: false, qkNorm: true },
		feedForward: { kind: 'glu' },
		embedding: { tied: false },
	},
	original: {
		residual: { kind: 'post' },
		position: { kind: 'sinusoidal' },
		feedForward: { kind: 'mlp', activation: 'relu', hidden: 20 },
		embedding: { scale: 'sqrt-dim', norm: true },
	},
	t5: { position: { kind: 'relative-bias', buckets: 8, maxDistance: 6 }, mixer: { kind: 'attention', kvHeads: 1 } },
	both: {
		position: {
			kind: 'combined',
			parts: [
				{ kind: 'learned', offset: 2 },
				{ kind: 'rope', variant: 'interleaved', frequencies: 'linspace' },
			],
		},
	},
	nothing: { position: { kind: 'none' }, init: { kind: 'kaiming-uniform' } },
};

for (const [name, config] of Object.entries(VARIANTS)) {
	test(`${name}: gradients against central differences in float64`, () => {
		const model = small({ ...config, layers: 1 });
		const tokens = input('tokens', 'int32', [2, 4]);
		const { hidden } = model.hiddenStates({ tokens }, { training: true });
		const loss = mean(crossEntropy(flattenRows(model.logits(hidden)), reshape(tokens, [-1])));
		const specs = model.parameters.all;
		const parameters = randomParameters(model.parameters);
		const feeds = new Map<typeof tokens, NDArray>([
			[tokens, ndarray('int32', [2, 4], Array.from(randomTokens(1, 2, 4, VOCAB).data, Number))],
		]);
		for (const { name: parameter, tensor } of specs) {
			const { dims, data } = parameters.get(parameter) as HostTensor;
			feeds.set(tensor, ndarray('float32', dims, Array.from(data, Number)));
		}
		const exact = evaluate(
			gradients(
				loss,
				specs.map(({ tensor }) => tensor),
			),
			feeds,
		);
		const lossWith = (tensor: typeof tokens, at: number, delta: number): number => {
			const base = feeds.get(tensor) as NDArray;
			const moved = ndarray(
				base.dtype,
				base.dims,
				base.data.map((value, i) => (i === at ? value + delta : value)),
			);
			return evaluate([loss], new Map([...feeds, [tensor, moved]]))[0]?.data[0] as number;
		};
		specs.forEach(({ name: parameter, tensor }, i) => {
			const size = (feeds.get(tensor) as NDArray).data.length;
			const at = (7 * i + 3) % size;
			const h = 1e-5;
			const numeric = (lossWith(tensor, at, h) - lossWith(tensor, at, -h)) / (2 * h);
			const found = exact[i]?.data[at] as number;
			assert.ok(
				Math.abs(found - numeric) < 1e-7 + 1e-5 * Math.abs(numeric),
				`${parameter}[${at}]: ${found}, ${numeric}`,
			);
		});
	});

	test(`${name}: a loop over layers equals a chain of them`, async () => {
		const regularized = { ...config, dropout: 0.2, attentionDropout: 0.1, activationDropout: 0.1, dropPath: 0.3 };
		const [chain, loop] = (['unroll', 'scan'] as const).map((layerMode) =>
			small({ ...regularized, layers: 3, layerMode }),
		);
		assert.ok(chain !== undefined && loop !== undefined);
		const initial = (model: Decoder) => unstackParameters(model.parameters.all, model.parameters.initialize(5));
		assert.deepEqual(new Map([...initial(loop)].sort()), new Map([...initial(chain)].sort()));
		const values = randomParameters(chain.parameters);
		const stacked = stackParameters(loop.parameters.all, unstackParameters(chain.parameters.all, values));
		const text = { tokens: randomTokens(2, 3, 7, VOCAB) };
		const [a, b] = [await lossAndGradients(chain, text, values, 3), await lossAndGradients(loop, text, stacked, 3)];
		assert.ok(Math.abs(a.loss - b.loss) < 1e-5, `${a.loss} and ${b.loss}`);
		assert.equal(a.gradients.size, b.gradients.size);
		for (const [parameter, gradient] of a.gradients) {
			assert.ok(largestDifference(gradient, b.gradients.get(parameter) as HostTensor) < 1e-5, parameter);
		}
		const other = await lossAndGradients(chain, text, values, 4);
		assert.ok(Math.abs(other.loss - a.loss) > 1e-4, 'another seed gives other noise');
	});

	for (const layerMode of ['unroll', 'scan'] as const) {
		test(`${name}: decoding step by step equals the full pass (${layerMode})`, async () => {
			const model = small({ ...config, layerMode });
			const parameters = randomParameters(model.parameters);
			// Two texts of different length; the shorter one is padded on the left.
			const lengths = [9, 6];
			const full = randomTokens(3, 2, 9, VOCAB);
			const stepped = await decode(model, parameters, full, lengths, [4, 1, 3, 1]);
			for (const [row, length] of lengths.entries()) {
				const own = rows([Array.from(full.data.subarray(row * 9 + 9 - length, (row + 1) * 9), Number)]);
				const expected = await logitsOf(model, { tokens: own }, parameters);
				const found = hostTensor(
					'float32',
					expected.dims,
					(stepped.data as Float32Array).slice((row * 9 + 9 - length) * VOCAB, (row + 1) * 9 * VOCAB),
				);
				assert.ok(largestDifference(found, expected) < 1e-4, `row ${row}: ${largestDifference(found, expected)}`);
			}
			assert.ok(
				stepped.data.every((value) => Number.isFinite(Number(value))),
				'padding gives no NaN',
			);
		});
	}
}

/** Logits [batch, time, vocab] by steps of the given sizes, rows padded on the left to the length of `tokens`. */
async function decode(
	model: Decoder,
	parameters: ReadonlyMap<string, HostTensor>,
	tokens: HostTensor,
	lengths: readonly number[],
	chunks: readonly number[],
): Promise<HostTensor> {
	const [batch, time] = tokens.dims as [number, number];
	const [b, t, past] = [dim('batch'), dim('time'), dim('past')];
	const inputs = {
		tokens: input('tokens', 'int32', [b, t]),
		positions: input('positions', 'int32', [b, t]),
		attentionMask: input('attentionMask', 'bool', [b, addDims(past, t)]),
	};
	const state = model.stateSpecs.map((spec) => input(spec.name, spec.dtype, spec.shape));
	const { hidden, state: next } = model.step({ ...inputs, state });
	const program = await Program.compile({
		logits: model.logits(hidden),
		...Object.fromEntries(next.map((tensor, i) => [`next ${i}`, tensor])),
	});
	let current = emptyState(model.stateSpecs, batch);
	const logits = new Float32Array(batch * time * VOCAB);
	let start = 0;
	for (const count of chunks) {
		const cut = (value: (row: number, column: number) => number): number[][] =>
			lengths.map((_, row) => Array.from({ length: count }, (_value, i) => value(row, start + i)));
		const padding = (row: number): number => time - (lengths[row] as number);
		const results = await program.run({
			...Object.fromEntries(parameters),
			...Object.fromEntries(model.stateSpecs.map(({ name }, i) => [name, current[i] as HostTensor])),
			tokens: rows(cut((row, at) => Number(tokens.data[row * time + at]))),
			positions: rows(cut((row, at) => Math.max(at - padding(row), 0))),
			attentionMask: rows(
				lengths.map((_, row) => Array.from({ length: start + count }, (_value, at) => (at >= padding(row) ? 1 : 0))),
				'bool',
			),
		});
		const part = results.logits as HostTensor;
		for (let row = 0; row < batch; row++) {
			const size = count * VOCAB;
			logits.set((part.data as Float32Array).subarray(row * size, (row + 1) * size), (row * time + start) * VOCAB);
		}
		current = current.map((_, i) => results[`next ${i}`] as HostTensor);
		start += count;
	}
	return hostTensor('float32', [batch, time, VOCAB], logits);
}

test('a token changes nothing before it', async () => {
	const model = small({ layers: 3 });
	const parameters = randomParameters(model.parameters);
	const tokens = randomTokens(4, 1, 8, VOCAB);
	const changed = hostTensor(
		'int32',
		[1, 8],
		Array.from(tokens.data, Number).map((id, at) => (at === 5 ? (id + 1) % VOCAB : id)),
	);
	const [a, b] = [
		await logitsOf(model, { tokens }, parameters),
		await logitsOf(model, { tokens: changed }, parameters),
	];
	const part = (value: HostTensor, from: number, to: number): HostTensor =>
		hostTensor('float32', [to - from, VOCAB], (value.data as Float32Array).slice(from * VOCAB, to * VOCAB));
	assert.equal(largestDifference(part(a, 0, 5), part(b, 0, 5)), 0);
	assert.ok(largestDifference(part(a, 6, 8), part(b, 6, 8)) > 1e-4);
});

for (const position of [{ kind: 'learned' }, { kind: 'rope' }, { kind: 'relative-bias' }]) {
	test(`packed documents do not see each other (${position.kind})`, async () => {
		const model = small({ position });
		const parameters = randomParameters(model.parameters);
		const [first, second] = [randomTokens(5, 1, 3, VOCAB), randomTokens(6, 1, 5, VOCAB)];
		const packed = await logitsOf(
			model,
			{
				tokens: hostTensor('int32', [1, 8], [...first.data, ...second.data].map(Number)),
				positions: rows([[0, 1, 2, 0, 1, 2, 3, 4]]),
				segmentIds: rows([[0, 0, 0, 1, 1, 1, 1, 1]]),
			},
			parameters,
		);
		const alone = [
			await logitsOf(model, { tokens: first }, parameters),
			await logitsOf(model, { tokens: second }, parameters),
		];
		const joined = hostTensor(
			'float32',
			[1, 8, VOCAB],
			alone.flatMap(({ data }) => Array.from(data, Number)),
		);
		assert.ok(largestDifference(packed, joined) < 1e-5, `${largestDifference(packed, joined)}`);
	});
}

test('rows of padding alone stay finite, forward and backward', async () => {
	const model = small();
	const parameters = randomParameters(model.parameters);
	const text = {
		tokens: randomTokens(7, 2, 6, VOCAB),
		paddingMask: rows(
			[
				[0, 0, 0, 0, 0, 0],
				[0, 0, 1, 1, 1, 1],
			],
			'bool',
		),
	};
	const { loss, gradients: found } = await lossAndGradients(model, text, parameters);
	assert.ok(Number.isFinite(loss));
	for (const [name, { data }] of found)
		assert.ok(
			data.every((value) => Number.isFinite(Number(value))),
			name,
		);
});

for (const layerMode of ['unroll', 'scan'] as const) {
	test(`checkpointed layers give the same gradients (${layerMode})`, async () => {
		const text = { tokens: randomTokens(8, 2, 6, VOCAB) };
		const settings = { layerMode, dropout: 0.3 };
		const [plain, again] = [small(settings), small({ ...settings, checkpointing: 'layer' })];
		const parameters = randomParameters(plain.parameters);
		const [a, b] = [
			await lossAndGradients(plain, text, parameters, 1),
			await lossAndGradients(again, text, parameters, 1),
		];
		assert.ok(Math.abs(a.loss - b.loss) < 1e-6);
		for (const [name, gradient] of a.gradients) {
			assert.ok(largestDifference(gradient, b.gradients.get(name) as HostTensor) < 1e-6, name);
		}
	});
}

test('some layers may have other parts', async () => {
	const model = small({
		layers: 4,
		layerOverrides: [
			{ layers: { every: 2, from: 1 }, feedForward: { kind: 'glu', hidden: 5 } },
			{ layers: [3], mixer: { kind: 'attention', kvHeads: 1 } },
		],
	});
	const shapeOf = (name: string) => model.parameters.get(name)?.shape;
	assert.deepEqual(shapeOf('layers.0.ffn.fc1.weight'), [48, 12]);
	assert.deepEqual(shapeOf('layers.1.ffn.gate.weight'), [5, 12]);
	assert.deepEqual(shapeOf('layers.1.self_attn.k_proj.weight'), [12, 12]);
	assert.deepEqual(shapeOf('layers.3.self_attn.k_proj.weight'), [6, 12]);
	const logits = await logitsOf(model, { tokens: randomTokens(9, 1, 4, VOCAB) }, randomParameters(model.parameters));
	assert.deepEqual(logits.dims, [1, 4, VOCAB]);
});

test('depth chooses the mode, and depth does not grow the graph', () => {
	assert.equal(small({ layers: 23 }).stack.mode, 'unroll');
	assert.equal(small({ layers: 24 }).stack.mode, 'scan');
	assert.equal(small({ layers: 1000 }).parameters.all.length, small({ layers: 30 }).parameters.all.length);
	assert.equal(small({ layers: 1000 }).parameters.get('layers.*.ffn.fc1.weight')?.stacked, 1000);
});

test('parameter names, tied and untied output', () => {
	const names = small({ layers: 1, embedding: { norm: true, tied: false } }).parameters.all.map(({ name }) => name);
	const pair = (name: string): string[] => [`${name}.weight`, `${name}.bias`];
	assert.deepEqual(
		[...names].sort(),
		[
			'embed_tokens.weight',
			'embed_positions.weight',
			'output_projection.weight',
			...['layernorm_embedding', 'layer_norm'].flatMap(pair),
			...['q_proj', 'k_proj', 'v_proj', 'out_proj'].flatMap((name) => pair(`layers.0.self_attn.${name}`)),
			...['self_attn_layer_norm', 'final_layer_norm', 'ffn.fc1', 'ffn.fc2'].flatMap((name) => pair(`layers.0.${name}`)),
		].sort(),
	);
	const tied = small();
	assert.equal(tied.outputWeight, tied.parameters.get('embed_tokens.weight')?.tensor);
	assert.equal(small({ residual: { kind: 'post' } }).parameters.get('layer_norm.weight'), undefined);
});

test('length limits', () => {
	assert.equal(small().maxLength, 10);
	assert.equal(small({ position: { kind: 'rope' } }).maxLength, undefined);
	const tokens = input('tokens', 'int32', [1, 11]);
	assert.throws(
		() => small().hiddenStates({ tokens }, { training: false }),
		(error) => error instanceof ShapeError && /at most 10/.test(error.message),
	);
});

test('contradictions are configuration errors', () => {
	const bad: readonly [Partial<DecoderConfig>, RegExp][] = [
		[{ heads: 5 }, /model\.heads/],
		[{ mixer: { kind: 'attention', kvHeads: 3 } }, /kvHeads/],
		[{ mixer: { kind: 'attention', headDim: 5 }, position: { kind: 'rope' } }, /even/],
		[{ dim: 9, heads: 3, position: { kind: 'sinusoidal' } }, /even/],
		[{ position: { kind: 'relative-bias', buckets: 32, maxDistance: 4 } }, /maxDistance/],
		[{ position: { kind: 'combined', parts: [{ kind: 'rope' }, { kind: 'rope' }] } }, /one scheme/],
		[{ layerMode: 'scan', layerOverrides: [{ layers: [0], feedForward: { kind: 'glu' } }] }, /layerMode/],
		[{ position: { kind: 'relative-bias' }, mixer: { kind: 'attention', heads: 4 } }, /model\.mixer\.heads/],
		[{ dropout: 1 }, /model\.dropout/],
	];
	for (const [config, message] of bad) {
		const build = (): unknown =>
			small(config).hiddenStates({ tokens: input('tokens', 'int32', [1, 4]) }, { training: false });
		assert.throws(
			build,
			(error) => (error instanceof ConfigError || error instanceof ShapeError) && message.test(error.message),
			JSON.stringify(config),
		);
	}
	const dropping = small({ dropout: 0.1 });
	assert.throws(() => dropping.hiddenStates({ tokens: input('tokens', 'int32', [1, 4]) }, { training: true }), /seed/);
});

test('a state that does not fit is refused', () => {
	const model = small();
	const tokens = input('tokens', 'int32', [1, 1]);
	assert.throws(() => model.step({ tokens, positions: tokens, state: [] }), ShapeError);
});
