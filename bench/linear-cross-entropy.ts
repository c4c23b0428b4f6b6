/**
 * @file Memory and time of the chunked output loss against the loss of full logits: `node bench/linear-cross-entropy.ts`.
 * Every case runs in a process of its own, as peak memory never goes down.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { hostTensor } from '../src/base/host-tensor.ts';
import { RandomStream } from '../src/base/random.ts';
import { gradients, input, linearCrossEntropy, matmul, mean, smoothedCrossEntropy } from '../src/graph/index.ts';
import { Program } from '../src/runtime/program.ts';

const [ROWS, DIM, VOCABULARY] = [1024, 256, 50_257];
const REPEATS = 3;

async function measure(chunk: number | undefined): Promise<void> {
	const hidden = input('hidden', 'float32', [ROWS, DIM]);
	const weight = input('weight', 'float32', [VOCABULARY, DIM]);
	const labels = input('labels', 'int64', [ROWS]);
	const rows =
		chunk === undefined
			? smoothedCrossEntropy(matmul(hidden, weight, { transposeB: true }), labels)
			: linearCrossEntropy(hidden, weight, labels, { chunk });
	const loss = mean(rows);
	const [dh, dw] = gradients(loss, [hidden, weight]);
	const program = await Program.compile({ loss, dh: dh as typeof loss, dw: dw as typeof loss }, { cache: false });
	const random = new RandomStream(1);
	const draw = (count: number, scale: number): Float32Array =>
		Float32Array.from({ length: count }, () => scale * (random.uniform() - 0.5));
	const feeds = {
		hidden: hostTensor('float32', [ROWS, DIM], draw(ROWS * DIM, 2)),
		weight: hostTensor('float32', [VOCABULARY, DIM], draw(VOCABULARY * DIM, 0.2)),
		labels: hostTensor(
			'int64',
			[ROWS],
			Array.from({ length: ROWS }, () => random.integer(VOCABULARY)),
		),
	};
	const before = process.memoryUsage.rss();
	const times: number[] = [];
	let value = 0;
	for (let i = 0; i < REPEATS; i++) {
		const start = performance.now();
		const results = await program.run(feeds);
		times.push(performance.now() - start);
		value = Number(results.loss?.data[0]);
	}
	const peak = process.resourceUsage().maxRSS * 1024 - before;
	const row = {
		chunk: chunk ?? 'full logits',
		loss: value,
		peakMB: Math.round(peak / 1e6),
		ms: Math.round(Math.min(...times)),
	};
	console.log(JSON.stringify(row));
}

const [which] = process.argv.slice(2);
if (which === undefined) {
	console.log(`rows ${ROWS}, dim ${DIM}, vocabulary ${VOCABULARY}; loss and both gradients; best of ${REPEATS}`);
	for (const chunk of ['full', '8192', '2048', '512']) {
		spawnSync(process.execPath, [fileURLToPath(import.meta.url), chunk], { stdio: ['ignore', 'inherit', 'inherit'] });
	}
} else await measure(which === 'full' ? undefined : Number(which));
