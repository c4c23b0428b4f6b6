/** @file `modelsmith bench matmul`: float32 matrix products of the engine against JAX and PyTorch on the same threads. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { readJson } from '../src/base/files.ts';
import { hostTensor, zeros } from '../src/base/host-tensor.ts';
import { RandomStream } from '../src/base/random.ts';
import { matmul } from '../src/graph/ops/matmul.ts';
import { input } from '../src/graph/ops/source.ts';
import { Program } from '../src/runtime/program.ts';
import { type BenchOptions, machine, median, timeRuns } from './measure.ts';
import { peerPython, threadEnvironment } from './peers/run-peer.ts';

const SIZES = [256, 512, 1024, 2048] as const;
const peerSchema = z.object({
	version: z.string(),
	results: z.array(z.object({ n: z.number(), gflops: z.number(), bestGflops: z.number() })),
});

interface Row {
	readonly name: string;
	readonly version: string;
	readonly results: readonly { readonly n: number; readonly gflops: number; readonly bestGflops: number }[];
}

/** Times the list is gone through, so that a slow moment of the machine does not hit one engine alone. */
const ROUNDS = 3;

/** GFLOP/s of square products: ours with a fed and with a constant second operand, and the peers. */
export async function benchMatmul({
	log = () => {},
	threads = availableParallelism(),
}: BenchOptions = {}): Promise<object> {
	const engines: Readonly<Record<string, () => Promise<Row> | Row | string>> = {
		modelsmith: () => ours('modelsmith', false, threads),
		'modelsmith, constant weights': () => ours('modelsmith, constant weights', true, threads),
		jax: () => peer('jax', threads),
		torch: () => peer('torch', threads),
	};
	const found = new Map<string, Row[]>();
	for (let round = 0; round < ROUNDS; round++) {
		for (const [name, run] of Object.entries(engines)) {
			const row = await run();
			if (typeof row === 'string') {
				if (round === 0) log(`${name}: ${row}`);
				continue;
			}
			found.set(name, [...(found.get(name) ?? []), row]);
			log(
				`round ${round + 1} ${name}: ${row.results.map(({ n, gflops }) => `${n}: ${gflops.toFixed(0)}`).join('  ')} GFLOP/s`,
			);
		}
	}
	const rows = [...found.values()].map((rounds): Row => {
		const [first] = rounds as [Row];
		const results = first.results.map(({ n }, i) => {
			const here = rounds.map(({ results: of }) => of[i] as Row['results'][number]);
			return {
				n,
				gflops: median(here.map(({ gflops }) => gflops)),
				bestGflops: Math.max(...here.map(({ bestGflops }) => bestGflops)),
			};
		});
		return { ...first, results };
	});
	const unit = `GFLOP/s: median of ${ROUNDS} rounds' medians, and best`;
	return { benchmark: 'matmul', machine: machine(), threads, unit, rows };
}

async function ours(name: string, constantWeights: boolean, threads: number): Promise<Row> {
	const results: { n: number; gflops: number; bestGflops: number }[] = [];
	for (const n of SIZES) {
		const random = new RandomStream(n);
		const values = (): ReturnType<typeof hostTensor> =>
			hostTensor(
				'float32',
				[n, n],
				Float32Array.from({ length: n * n }, () => random.uniform() - 0.5),
			);
		const [a, b] = [values(), values()];
		const product = matmul(input('a', 'float32', [n, n]), input('b', 'float32', [n, n]));
		const program = await Program.compile(
			{ y: product },
			{ threads, cache: false, ...(constantWeights && { bound: new Map([['b', b]]) }) },
		);
		const y = zeros('float32', [n, n]);
		const millis = await timeRuns(() => program.run({ a, b }, { y }), { seconds: 1 });
		const rate = (time: number): number => (2 * n ** 3) / time / 1e6;
		results.push({ n, gflops: rate(median(millis)), bestGflops: rate(Math.min(...millis)) });
	}
	return {
		name,
		version: `onnxruntime-node ${(await import('onnxruntime-node')).default.env.versions.node ?? ''}`.trim(),
		results,
	};
}

function peer(framework: string, threads: number): Row | string {
	const python = peerPython();
	const folder = mkdtempSync(join(tmpdir(), 'modelsmith-matmul-'));
	try {
		const out = join(folder, 'result.json');
		const script = fileURLToPath(new URL('./peers/matmul.py', import.meta.url));
		const { status, stderr, error } = spawnSync(
			python,
			[script, '--framework', framework, '--sizes', SIZES.join(','), '--threads', String(threads), '--out', out],
			{ env: { ...process.env, ...threadEnvironment(threads) }, encoding: 'utf8' },
		);
		if (error !== undefined || status !== 0)
			return `not available (${error?.message ?? stderr.trim().split('\n').at(-1)})`;
		return { name: framework, ...peerSchema.parse(readJson(out, 'the result of a benchmark peer')) };
	} finally {
		rmSync(folder, { recursive: true });
	}
}
