/** @file What the TypeScript peers share: the command line, the input files, the clock and the result file. */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { InputError } from '../../src/base/errors.ts';
import { readJson, writeFileAtomic } from '../../src/base/files.ts';
import type { HostTensor } from '../../src/base/host-tensor.ts';
import { readSafetensors } from '../../src/formats/safetensors.ts';
import { type PeerConfig, type PeerResult, peerConfigSchema, peerResultSchema } from './protocol.ts';

const count = z.coerce.number().pipe(z.int().min(0));

const argumentsSchema = z.object({
	weights: z.string(),
	batches: z.string(),
	config: z.string(),
	out: z.string(),
	threads: count.pipe(z.int().min(1)),
	steps: count.pipe(z.int().min(1)),
	warmup: count,
});

export type PeerArguments = z.infer<typeof argumentsSchema>;

export interface PeerInputs {
	readonly args: PeerArguments;
	readonly config: PeerConfig;
	/** Parameters by name; linear weights are [out, in]. */
	readonly weights: ReadonlyMap<string, Float32Array>;
	/** Word ids of a step, [batch * seq]. */
	tokens(step: number): Int32Array;
	/** The words to predict, [batch * seq]. */
	labels(step: number): Int32Array;
}

/**
 * Reads the command line and the files it names.
 * @throws InputError when an argument or a batch is missing
 */
export function readPeerInputs(argv: readonly string[] = process.argv.slice(2)): PeerInputs {
	const names = Object.keys(argumentsSchema.shape);
	const { values } = parseArgs({
		args: [...argv],
		options: Object.fromEntries(names.map((name) => [name, { type: 'string' as const }])),
	});
	const parsed = argumentsSchema.safeParse(values);
	if (!parsed.success) throw new InputError(`bad arguments\n${z.prettifyError(parsed.error)}`);
	const args = parsed.data;
	const config = peerConfigSchema.parse(readJson(args.config, 'the configuration of the peer'));
	const weights = new Map<string, Float32Array>();
	for (const [name, { data }] of readSafetensors(args.weights)) weights.set(name, data as Float32Array);
	const batches = readSafetensors(args.batches);
	const [tokens, labels] = ['tokens', 'labels'].map((name) => batches.get(name)) as [HostTensor, HostTensor];
	const size = config.batch * config.seq;
	if (tokens.data.length < args.steps * size) {
		throw new InputError('too few batches', {
			where: args.batches,
			expected: `${args.steps} for --steps`,
			found: `${tokens.dims[0]}`,
		});
	}
	const row = (of: HostTensor, step: number) => (of.data as Int32Array).subarray(step * size, (step + 1) * size);
	return { args, config, weights, tokens: (step) => row(tokens, step), labels: (step) => row(labels, step) };
}

/** [rows, columns] to [columns, rows]. */
export function transposed(matrix: Float32Array, rows: number, columns: number): Float32Array<ArrayBuffer> {
	const result = new Float32Array(matrix.length);
	for (let i = 0; i < rows; i++) {
		for (let j = 0; j < columns; j++) result[j * rows + i] = matrix[i * columns + j] as number;
	}
	return result;
}

/** A tensor of the packed model: data and shape. */
export interface Packed {
	readonly shape: number[];
	readonly data: Float32Array<ArrayBuffer>;
}

/**
 * The weights as a fast program keeps them: linears as [in, out], and q, k and v of a layer stacked into one
 * `layers.N.qkv.{weight,bias}`. AdamW works element by element and the clipping norm is over all elements, so this
 * changes nothing in the training. Embeddings stay [vocab, dim] and [seq, dim].
 */
export function packedWeights({ config, weights }: Pick<PeerInputs, 'config' | 'weights'>): Map<string, Packed> {
	const { dim, ffn, vocab, seq } = config;
	const get = (name: string): Float32Array => {
		const value = weights.get(name);
		if (value === undefined) throw new InputError('parameter is missing', { where: name });
		return value;
	};
	const result = new Map<string, Packed>();
	const add = (name: string, shape: number[], data: Float32Array) =>
		result.set(name, { shape, data: Float32Array.from(data) });
	const linear = (name: string, sources: readonly string[], input: number, out: number) => {
		const stacked = (kind: string) => Float32Array.from(sources.flatMap((source) => [...get(`${source}.${kind}`)]));
		add(`${name}.weight`, [input, out], transposed(stacked('weight'), out, input));
		add(`${name}.bias`, [out], stacked('bias'));
	};
	const norm = (name: string) => {
		add(`${name}.weight`, [dim], get(`${name}.weight`));
		add(`${name}.bias`, [dim], get(`${name}.bias`));
	};
	add('embed_tokens', [vocab, dim], get('embed_tokens.weight'));
	add('embed_positions', [seq, dim], get('embed_positions.weight'));
	for (let layer = 0; layer < config.layers; layer++) {
		const prefix = `layers.${layer}`;
		norm(`${prefix}.self_attn_layer_norm`);
		const projections = ['q', 'k', 'v'].map((part) => `${prefix}.self_attn.${part}_proj`);
		linear(`${prefix}.qkv`, projections, dim, 3 * dim);
		linear(`${prefix}.out`, [`${prefix}.self_attn.out_proj`], dim, dim);
		norm(`${prefix}.final_layer_norm`);
		linear(`${prefix}.fc1`, [`${prefix}.ffn.fc1`], dim, ffn);
		linear(`${prefix}.fc2`, [`${prefix}.ffn.fc2`], ffn, dim);
	}
	norm('layer_norm');
	add('output', [dim, vocab], transposed(get('output_projection.weight'), vocab, dim));
	return result;
}

/** Runs `step(index)`, whose promise must settle only when every result of the step is in memory. */
export async function timedSteps(
	steps: number,
	step: (index: number) => Promise<number>,
): Promise<Pick<PeerResult, 'losses' | 'stepMillis'>> {
	const losses: number[] = [];
	const stepMillis: number[] = [];
	for (let index = 0; index < steps; index++) {
		const start = performance.now();
		losses.push(await step(index));
		stepMillis.push(performance.now() - start);
	}
	return { losses, stepMillis };
}

/** Highest resident memory. On Linux from /proc: the figure of getrusage survives exec and may be the parent's. */
function peakRssBytes(): number {
	try {
		const found = /^VmHWM:\s*(\d+) kB/m.exec(readFileSync('/proc/self/status', 'utf8'));
		if (found) return Number(found[1]) * 1024;
	} catch {
		// not Linux
	}
	return process.resourceUsage().maxRSS * 1024;
}

export function writePeerResult(path: string, result: Omit<PeerResult, 'peakRssBytes'>): void {
	writeFileAtomic(path, JSON.stringify(peerResultSchema.parse({ ...result, peakRssBytes: peakRssBytes() })));
}
