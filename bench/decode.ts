/** @file `modelsmith bench decode`: tokens a second of reading a prompt and of writing, against what the memory allows. */
import { availableParallelism } from 'node:os';
import { performance } from 'node:perf_hooks';
import { hostTensor, zeros } from '../src/base/host-tensor.ts';
import { planDecoder } from '../src/generation/decoder-plan.ts';
import { LocalDecoderSession } from '../src/generation/decoder-session.ts';
import { createSampler } from '../src/generation/sampling/sampler.ts';
import { matmul } from '../src/graph/ops/matmul.ts';
import { input } from '../src/graph/ops/source.ts';
import { buildDecoder } from '../src/models/decoder.ts';
import { Program } from '../src/runtime/program.ts';
import { type BenchOptions, machine, median, timeRuns } from './measure.ts';

export interface DecodeBenchOptions extends BenchOptions {
	readonly models?: readonly (keyof typeof MODELS)[];
	/** Tokens before the measured ones. */
	readonly contexts?: readonly number[];
	readonly batches?: readonly number[];
	/** Tokens generated for each figure. */
	readonly steps?: number;
}

const MODELS = {
	'5M': { dim: 256, layers: 4, heads: 4 },
	'25M': { dim: 512, layers: 7, heads: 8 },
} as const;
const VOCAB = 4096;

interface Row {
	readonly batch: number;
	readonly context: number;
	/** Prompt tokens a second, all texts together. */
	readonly prefillTokensPerSecond: number;
	/** Generated tokens a second, all texts together: at the median step, and at the fastest. */
	readonly decodeTokensPerSecond: number;
	readonly bestDecodeTokensPerSecond: number;
	/** Bytes of weights and state that one step must read at least once. */
	readonly bytesReadPerStep: number;
	/** Share of the measured memory bandwidth that reading those bytes takes at the fastest step. */
	readonly shareOfBandwidth: number;
	/** Both buffers of the state. */
	readonly stateMiB: number;
}

/** Prefill and decode rates of two model sizes at several context lengths. */
export async function benchDecode({
	log = () => {},
	threads = availableParallelism(),
	models = ['5M', '25M'],
	contexts = [128, 1024, 4096],
	batches = [1, 8],
	steps = 24,
}: DecodeBenchOptions = {}): Promise<object> {
	let bandwidth = await memoryBandwidth(threads);
	const results: object[] = [];
	for (const name of models) {
		const model = buildDecoder({
			architecture: 'decoder',
			vocabSize: VOCAB,
			maxLength: Math.max(...contexts) + steps + 8,
			position: { kind: 'rope' },
			...MODELS[name],
		});
		const before = process.memoryUsage().rss;
		const started = performance.now();
		const plan = planDecoder(model, model.parameters.initialize(1));
		const session = await LocalDecoderSession.create(plan, { threads });
		const compileMillis = performance.now() - started;
		// The best of several moments: other work on the machine only lowers it.
		bandwidth = Math.max(bandwidth, await memoryBandwidth(threads));
		log(`memory: ${(bandwidth / 1e9).toFixed(1)} GB/s read by a matrix-vector product`);
		const rows: Row[] = [];
		for (const batch of batches) {
			for (const context of contexts) {
				// Eight long texts would measure the machine's patience, not the engine.
				if (batch * context > 8192) continue;
				const row = await measure(session, batch, context, steps, plan.weightBytes, bandwidth);
				log(
					`${name}, ${batch} x ${context} tokens: prefill ${row.prefillTokensPerSecond.toFixed(0)} tokens/s, ` +
						`decode ${row.decodeTokensPerSecond.toFixed(0)} tokens/s (best ${row.bestDecodeTokensPerSecond.toFixed(0)}, ` +
						`${(100 * row.shareOfBandwidth).toFixed(0)}% of the memory bandwidth), state ${row.stateMiB.toFixed(1)} MiB`,
				);
				rows.push(row);
			}
		}
		const rssMiB = (process.memoryUsage().rss - before) / 2 ** 20;
		await session.dispose();
		results.push({
			model: name,
			parameters: model.parameters.count,
			compileMillis,
			weightMiB: plan.weightBytes / 2 ** 20,
			rssMiB,
			rows,
		});
	}
	return {
		benchmark: 'decode',
		machine: machine(),
		threads,
		unit: 'tokens per second, greedy, median and best step',
		memoryBandwidth: bandwidth,
		results,
	};
}

async function measure(
	session: LocalDecoderSession,
	batch: number,
	context: number,
	steps: number,
	weightBytes: number,
	bandwidth: number,
): Promise<Row> {
	const greedy = createSampler({ temperature: 0 });
	const texts = Array.from({ length: batch }, (_, row) =>
		Int32Array.from({ length: context }, (_, i) => (i * 7 + row) % VOCAB),
	);
	const id = await session.open(batch);
	const started = performance.now();
	let logits = await session.extend(id, texts);
	const prefill = performance.now() - started;
	const times: number[] = [];
	for (let step = 0; step < steps; step++) {
		const begun = performance.now();
		const next = texts.map((_, row) => {
			const line = logits.subarray(row * VOCAB, (row + 1) * VOCAB);
			return [greedy.sample(line, { tokens: [], promptLength: 0 }, 0, step).token];
		});
		logits = await session.extend(id, next);
		times.push(performance.now() - begun);
	}
	const stateBytes = session.stateBytes;
	await session.close(id);
	const rate = (millis: number): number => (1000 * batch) / millis;
	const best = Math.min(...times);
	// One of the two buffers is read.
	const bytesReadPerStep = weightBytes + stateBytes / 2;
	return {
		batch,
		context,
		prefillTokensPerSecond: (1000 * batch * context) / prefill,
		decodeTokensPerSecond: rate(median(times)),
		bestDecodeTokensPerSecond: rate(best),
		bytesReadPerStep,
		shareOfBandwidth: bytesReadPerStep / (best / 1000) / bandwidth,
		stateMiB: stateBytes / 2 ** 20,
	};
}

/** Bytes a second at which the engine reads a constant matrix far larger than the caches. */
async function memoryBandwidth(threads: number): Promise<number> {
	const [rows, columns] = [4096, 8192];
	const weight = zeros('float32', [rows, columns]);
	(weight.data as Float32Array).fill(0.5);
	const program = await Program.compile(
		{ y: matmul(input('x', 'float32', [1, rows]), input('w', 'float32', [rows, columns])) },
		{ bound: new Map([['w', weight]]), threads, cache: false },
	);
	const x = hostTensor('float32', [1, rows], new Float32Array(rows).fill(1));
	const millis = await timeRuns(() => program.run({ x }), { runs: 20 });
	await program.session.release();
	return weight.data.byteLength / (Math.min(...millis) / 1000);
}

if (import.meta.main) {
	const result = await benchDecode({ log: (line) => process.stderr.write(`${line}\n`) });
	if (process.argv.includes('--json')) process.stdout.write(`${JSON.stringify(result, null, 1)}\n`);
}
