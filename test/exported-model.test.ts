/** @file An exported model gives the same logits elsewhere: ONNX Runtime for Python, and onnxruntime-web in Chromium. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, extname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type HostTensor, hostTensor } from '../src/base/host-tensor.ts';
import { exportOnnx } from '../src/generation/export-onnx.ts';
import { input } from '../src/graph/ops/source.ts';
import { dim } from '../src/graph/shape.ts';
import { buildDecoder, type Decoder } from '../src/models/decoder.ts';
import { Program } from '../src/runtime/program.ts';
import { createObjective } from '../src/training/objective-registry.ts';
import { createOptimizer, optimizerConfig } from '../src/training/optimizer-registry.ts';
import { TrainStep } from '../src/training/train-step.ts';
import { python, skipWithout } from './support/python.ts';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const chromium = process.env.MODELSMITH_CHROMIUM ?? '/usr/bin/chromium';
const referee = `
import sys, json, numpy, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
rows = json.load(open(sys.argv[2]))
print(json.dumps(session.run(["logits"], {"input_ids": numpy.array(rows, dtype=numpy.int64)})[0].ravel().tolist()))
`;

const models = {
	gpt: buildDecoder({ vocabSize: 97, dim: 32, layers: 2, heads: 4, maxLength: 16 }),
	'llama-like': buildDecoder({
		vocabSize: 97,
		dim: 32,
		layers: 2,
		heads: 4,
		maxLength: 16,
		norm: { kind: 'rms' },
		position: { kind: 'rope' },
		mixer: { kind: 'attention', kvHeads: 2, bias: false },
		feedForward: { kind: 'glu' },
	}),
	'loop over layers': buildDecoder({ vocabSize: 97, dim: 32, layers: 3, heads: 4, maxLength: 16, layerMode: 'scan' }),
};
const rows = [
	[1, 5, 9, 2, 96, 40, 7],
	[3, 3, 3, 0, 12, 55, 81],
];

/** A few steps of training, so that what is exported is a trained model. */
async function trained(model: Decoder): Promise<ReadonlyMap<string, HostTensor>> {
	const step = await TrainStep.compile(
		{
			model,
			objective: createObjective({ kind: 'causal-lm', labelSmoothing: 0, zLoss: 0 }),
			optimizer: createOptimizer(optimizerConfig.parse({ kind: 'adamw', learningRate: 0.01 })),
			batch: { batchSize: 2, time: 7, segmented: false },
		},
		model.parameters.initialize(4),
	);
	const tokens = Int32Array.from(rows.flat());
	const labels = tokens.map((token) => (token + 1) % 97);
	const losses: number[] = [];
	for (let i = 1; i <= 10; i++) {
		const result = await step.compute([{ tokens, labels, dims: [2, 7], targetCount: 14 }], 0);
		await step.apply(result, { step: i, factor: 1 });
		losses.push(result.loss);
	}
	assert.ok((losses.at(-1) as number) < (losses[0] as number), 'it learns');
	return step.parameters();
}

let folder = '';
const expected = new Map<string, Float32Array>();

before(async () => {
	folder = mkdtempSync(join(tmpdir(), 'modelsmith export '));
	writeFileSync(join(folder, 'rows.json'), JSON.stringify(rows));
	for (const [name, model] of Object.entries(models)) {
		const weights = await trained(model);
		exportOnnx(model, weights, join(folder, name));
		const tokens = input('tokens', 'int32', [dim('batch'), dim('time')]);
		const { hidden } = model.hiddenStates({ tokens }, { training: false });
		const program = await Program.compile({ logits: model.logits(hidden) }, { bound: weights });
		const { logits } = await program.run({ tokens: hostTensor('int32', [2, 7], rows.flat()) });
		expected.set(name, logits!.data as Float32Array);
	}
});

after(() => rmSync(folder, { recursive: true, force: true }));

function assertSame(name: string, actual: readonly number[]): void {
	const wanted = expected.get(name) as Float32Array;
	assert.equal(actual.length, wanted.length);
	const worst = Math.max(...actual.map((value, i) => Math.abs(value - (wanted[i] as number))));
	assert.ok(worst < 1e-4, `logits of "${name}" differ by ${worst}`);
	assert.ok(
		actual.some((value) => Math.abs(value) > 1e-3),
		'logits are not all zero',
	);
}

const noPython = skipWithout('onnxruntime', 'numpy');

for (const name of Object.keys(models)) {
	test(`Python: ${name}`, { skip: noPython }, () => {
		const { stdout, stderr } = spawnSync(
			python,
			['-c', referee, join(folder, name, 'model.onnx'), join(folder, 'rows.json')],
			{ encoding: 'utf8' },
		);
		assert.ok(stdout.startsWith('['), stderr);
		assertSame(name, JSON.parse(stdout));
	});
}

const page = `<!doctype html><meta charset="utf-8"><script type="module">
import * as ort from '/ort/ort.wasm.min.mjs';
ort.env.wasm.wasmPaths = '/ort/';
ort.env.wasm.numThreads = 1;
window.logitsOf = async (name, rows) => {
	const session = await ort.InferenceSession.create('/models/' + encodeURIComponent(name) + '/model.onnx');
	const ids = new ort.Tensor('int64', BigInt64Array.from(rows.flat(), BigInt), [rows.length, rows[0].length]);
	return Array.from((await session.run({ input_ids: ids })).logits.data);
};
window.ready = true;
</script>`;

const TYPES: Readonly<Record<string, string>> = { '.mjs': 'text/javascript', '.wasm': 'application/wasm' };

/** Serves the page, the runtime and the models on loopback. */
function serve(): Promise<{ url: string; close: () => void }> {
	const runtime = join(root, 'node_modules/onnxruntime-web/dist');
	const server = createServer((request, response) => {
		const path = decodeURIComponent(new URL(request.url ?? '/', 'http://localhost').pathname);
		const [, place, ...rest] = path.split('/');
		const file = place === 'ort' ? join(runtime, ...rest) : place === 'models' ? join(folder, ...rest) : undefined;
		if (path === '/') response.setHeader('content-type', 'text/html').end(page);
		else if (file !== undefined && !rest.includes('..') && existsSync(file)) {
			response.setHeader('content-type', TYPES[extname(file)] ?? 'application/octet-stream').end(readFileSync(file));
		} else response.writeHead(404).end();
	});
	return new Promise((resolve) => {
		server.listen(0, '127.0.0.1', () => {
			const { port } = server.address() as AddressInfo;
			resolve({ url: `http://127.0.0.1:${port}/`, close: () => server.close() });
		});
	});
}

const noChromium = existsSync(chromium) ? false : `no Chromium at ${chromium} (scripts/referees.sh)`;

test('Chromium: every model through onnxruntime-web', { skip: noChromium }, async () => {
	const { chromium: launcher } = await import('playwright-core');
	const server = await serve();
	const browser = await launcher.launch({
		executablePath: chromium,
		args: [
			'--no-sandbox',
			'--disable-gpu',
			'--disable-background-networking',
			'--disable-component-update',
			'--disable-sync',
			'--no-first-run',
		],
	});
	try {
		const tab = await browser.newPage();
		const problems: string[] = [];
		tab.on('pageerror', (error) => problems.push(error.message));
		await tab.goto(server.url);
		await tab
			.waitForFunction('window.ready === true', undefined, { timeout: 30_000 })
			.catch(() => assert.fail(problems.join('\n')));
		for (const name of Object.keys(models)) {
			const logits = await tab.evaluate(`window.logitsOf(${JSON.stringify(name)}, ${JSON.stringify(rows)})`);
			assertSame(name, logits as number[]);
		}
	} finally {
		await browser.close();
		server.close();
	}
});
