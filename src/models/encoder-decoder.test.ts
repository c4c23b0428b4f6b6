/** @file The encoder-decoder: cached decoding equals the full pass, padding of the source is hidden, tables are shared. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
	emptyState,
	largestDifference,
	randomParameters,
	randomTokens,
	rows,
} from '../../test/support/model-harness.ts';
import { ConfigError } from '../base/errors.ts';
import { type HostTensor, hostTensor } from '../base/host-tensor.ts';
import { input } from '../graph/ops/source.ts';
import { dim } from '../graph/shape.ts';
import { stackParameters, unstackParameters } from '../nn/parameters.ts';
import { Program } from '../runtime/program.ts';
import { buildEncoderDecoder, type EncoderDecoder } from './encoder-decoder.ts';
import type { StackConfigInput } from './stack-config.ts';

const VOCAB = 15;
const BATCH = 2;
const side: StackConfigInput = { dim: 12, layers: 2, heads: 2, maxLength: 12 };
const model = (decoder: Partial<StackConfigInput> = {}, encoder = decoder, sharedEmbeddings = false): EncoderDecoder =>
	buildEncoderDecoder({
		architecture: 'encoder-decoder',
		vocabSize: VOCAB,
		sharedEmbeddings,
		encoder: { ...side, ...encoder },
		decoder: { ...side, layers: 3, ...decoder },
	});

const source = randomTokens(1, BATCH, 7, VOCAB);
const target = randomTokens(2, BATCH, 6, VOCAB);
const mask = rows(
	[
		[1, 1, 1, 1, 1, 0, 0],
		[1, 1, 1, 1, 1, 1, 1],
	],
	'bool',
);

async function fullPass(
	built: EncoderDecoder,
	parameters: ReadonlyMap<string, HostTensor>,
	text: Record<'source' | 'mask' | 'target', HostTensor> = { source, mask, target },
): Promise<HostTensor> {
	const [b, s, t] = [dim('batch'), dim('source'), dim('time')];
	const inputs = {
		source: input('source', 'int32', [b, s]),
		mask: input('mask', 'bool', [b, s]),
		target: input('target', 'int32', [b, t]),
	};
	const context = { training: false };
	const { hidden } = built.encode({ tokens: inputs.source, paddingMask: inputs.mask }, context);
	const decoded = built.decode({ tokens: inputs.target }, { hidden, mask: inputs.mask }, context);
	const program = await Program.compile({ logits: built.logits(decoded.hidden) });
	const results = await program.run({ ...Object.fromEntries(parameters), ...text });
	return results.logits as HostTensor;
}

async function stepped(built: EncoderDecoder, parameters: ReadonlyMap<string, HostTensor>): Promise<Float32Array> {
	const [b, s, t] = [dim('batch'), dim('source'), dim('time')];
	const tokens = input('source', 'int32', [b, s]);
	const sourceMask = input('mask', 'bool', [b, s]);
	const { hidden } = built.encode({ tokens, paddingMask: sourceMask }, { training: false });
	const kept = built.memory(hidden);
	assert.equal(kept.length, built.memorySpecs.length);
	const names = built.memorySpecs.map(({ name }) => `memory ${name}`);
	const prepare = await Program.compile(Object.fromEntries(kept.map((tensor, i) => [names[i] as string, tensor])));
	const weights = Object.fromEntries(parameters);
	const memory = await prepare.run({ ...weights, source, mask });

	const state = built.stateSpecs.map(({ name, dtype, shape }) => input(name, dtype, shape));
	const result = built.step({
		tokens: input('tokens', 'int32', [b, t]),
		positions: input('positions', 'int32', [b, t]),
		state,
		memory: built.memorySpecs.map(({ dtype, shape }, i) => input(names[i] as string, dtype, shape)),
		sourceMask,
	});
	const program = await Program.compile({
		logits: built.logits(result.hidden),
		...Object.fromEntries(result.state.map((tensor, i) => [`next ${i}`, tensor])),
	});
	let current = emptyState(built.stateSpecs, BATCH);
	const time = target.dims[1] as number;
	const logits = new Float32Array(BATCH * time * VOCAB);
	for (let at = 0; at < time; at++) {
		const results = await program.run({
			...weights,
			...memory,
			...Object.fromEntries(built.stateSpecs.map(({ name }, i) => [name, current[i] as HostTensor])),
			mask,
			tokens: rows(Array.from({ length: BATCH }, (_, row) => [Number(target.data[row * time + at])])),
			positions: rows(Array.from({ length: BATCH }, () => [at])),
		});
		const part = (results.logits as HostTensor).data as Float32Array;
		for (let row = 0; row < BATCH; row++) {
			logits.set(part.subarray(row * VOCAB, (row + 1) * VOCAB), (row * time + at) * VOCAB);
		}
		current = current.map((_, i) => results[`next ${i}`] as HostTensor);
	}
	return logits;
}

for (const layerMode of ['unroll', 'scan'] as const) {
	for (const position of [{ kind: 'learned', offset: 2 }, { kind: 'rope' }, { kind: 'relative-bias' }]) {
		test(`decoding step by step equals the full pass (${layerMode}, ${position.kind})`, async () => {
			const built = model({ layerMode, position });
			const parameters = randomParameters(built.parameters);
			const expected = await fullPass(built, parameters);
			const found = hostTensor('float32', expected.dims, await stepped(built, parameters));
			assert.ok(largestDifference(found, expected) < 1e-4, `${largestDifference(found, expected)}`);
		});
	}
}

test('a loop over layers equals a chain of them', async () => {
	const [chain, loop] = [model({ layerMode: 'unroll' }), model({ layerMode: 'scan' })];
	const parameters = randomParameters(chain.parameters);
	const stacked = stackParameters(loop.parameters.all, unstackParameters(chain.parameters.all, parameters));
	assert.ok(largestDifference(await fullPass(chain, parameters), await fullPass(loop, stacked)) < 1e-5);
});

test('padding of the source is hidden', async () => {
	const built = model();
	const parameters = randomParameters(built.parameters);
	const padded = await fullPass(built, parameters, { source, mask, target });
	const size = (target.dims[1] as number) * VOCAB;
	const alone = await fullPass(built, parameters, {
		source: rows([Array.from(source.data.subarray(0, 5), Number)]),
		mask: rows([[1, 1, 1, 1, 1]], 'bool'),
		target: rows([Array.from(target.data.subarray(0, target.dims[1]), Number)]),
	});
	const first = hostTensor('float32', alone.dims, (padded.data as Float32Array).slice(0, size));
	assert.ok(largestDifference(first, alone) < 1e-5, `${largestDifference(first, alone)}`);
});

test('one table for all, names with their side', () => {
	const names = model({}, {}, true).parameters.all.map(({ name }) => name);
	assert.ok(names.includes('encoder.embed_tokens.weight'));
	assert.ok(!names.includes('decoder.embed_tokens.weight') && !names.includes('decoder.output_projection.weight'));
	assert.ok(names.includes('decoder.layers.2.encoder_attn.k_proj.weight'));
	assert.ok(names.includes('decoder.layers.0.encoder_attn_layer_norm.bias'));
	assert.throws(
		() => model({ dim: 24 }, {}),
		(error) => error instanceof ConfigError && /decoder\.dim/.test(error.message),
	);
});
