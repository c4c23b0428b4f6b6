/**
 * @file What each optional graph pass is worth: nodes, time to create a session, time to run, with all passes and with each
 * one left out: `modelsmith bench passes`. The graph is a training step of a small language model, its layers once
 * unrolled and once in a loop.
 */
import { type HostTensor, hostTensor } from '../src/base/host-tensor.ts';
import { RandomStream } from '../src/base/random.ts';
import * as g from '../src/graph/index.ts';
import { OPTIONAL_PASSES, optimize } from '../src/graph/passes/optimize.ts';
import type { ScanAttributes } from '../src/graph/scan.ts';
import { topologicalOrder } from '../src/graph/tensor.ts';
import { lower } from '../src/runtime/lower.ts';
import { graphOf, Program } from '../src/runtime/program.ts';
import { type BenchOptions, machine } from './measure.ts';

const [LAYERS, DIM, HEADS, HIDDEN, VOCABULARY, BATCH, TIME] = [8, 128, 4, 512, 2048, 4, 64];
const REPEATS = 15;
const CREATIONS = 3;

/** Weights of one layer, without the layer axis. */
const LAYER_SHAPES: Readonly<Record<string, readonly number[]>> = {
	norm1: [DIM],
	qkv: [3 * DIM, DIM],
	out: [DIM, DIM],
	norm2: [DIM],
	up: [HIDDEN, DIM],
	down: [DIM, HIDDEN],
};

function layer(x: g.Tensor, [norm1, qkv, out, norm2, up, down]: readonly g.Tensor[]): g.Tensor {
	const heads = (t: g.Tensor): g.Tensor => g.transpose(g.reshape(t, [BATCH, TIME, HEADS, DIM / HEADS]), [0, 2, 1, 3]);
	const [q, k, v] = g.split(g.linear(g.rmsNorm(x, norm1!), qkv!), 3, 2).map(heads);
	const scores = g.matmul(q!, k!, { transposeB: true, alpha: 1 / Math.sqrt(DIM / HEADS) });
	const weights = g.softmax(g.where(g.causalMask(TIME), scores, -1e9));
	const mixed = g.reshape(g.transpose(g.matmul(weights, v!), [0, 2, 1, 3]), [BATCH, TIME, DIM]);
	const h = g.add(x, g.linear(mixed, out!));
	return g.add(h, g.linear(g.gelu(g.linear(g.rmsNorm(h, norm2!), up!)), down!));
}

function trainingStep(looped: boolean): Record<string, g.Tensor> {
	const table = g.input('table', 'float32', [VOCABULARY, DIM]);
	const tokens = g.input('tokens', 'int64', [BATCH, TIME]);
	const stacked = Object.entries(LAYER_SHAPES).map(([name, shape]) => g.input(name, 'float32', [LAYERS, ...shape]));
	let x = g.embedding(table, tokens);
	if (looped) x = g.scan([x], stacked, ([h], weights) => ({ carry: [layer(h!, weights)] })).carry[0]!;
	else
		for (let i = 0; i < LAYERS; i++)
			x = layer(
				x,
				stacked.map((weight) => g.select(weight, 0, i)),
			);
	const logits = g.linear(g.reshape(x, [-1, DIM]), table);
	const loss = g.mean(g.crossEntropy(logits, g.reshape(tokens, [-1])));
	const parameters = [table, ...stacked];
	const gradients = g.gradients(loss, parameters);
	const updated = parameters.map((parameter, i) => g.sub(parameter, g.mul(gradients[i]!, 0.01)));
	return { loss, ...Object.fromEntries(updated.map((value, i) => [`new_${i}`, value])) };
}

function feedsOf(program: Program): Record<string, HostTensor> {
	const random = new RandomStream(1);
	return Object.fromEntries(
		program.inputs.map(({ name, dtype, shape }) => {
			const dims = shape.map(Number);
			const count = dims.reduce((a, b) => a * b, 1);
			const draw = (): number => (dtype === 'int64' ? random.integer(VOCABULARY) : 0.1 * (random.uniform() - 0.5));
			return [name, hostTensor(dtype, dims, Array.from({ length: count }, draw))];
		}),
	);
}

/** Nodes of the graph and of all loop bodies in it. */
function countNodes(outputs: readonly g.Tensor[]): number {
	let total = 0;
	for (const { op, attributes } of topologicalOrder(outputs)) {
		total += op.name === 'scan' ? 1 + countNodes((attributes as ScanAttributes).body.results) : 1;
	}
	return total;
}

/** The least disturbed of several measurements. */
const best = (values: readonly number[]): number => Math.min(...values);

interface Row {
	readonly graph: string;
	readonly passes: string;
	readonly nodes: number;
	/** Without those of loop bodies. */
	readonly onnxNodes: number;
	readonly lowerMs: number;
	readonly createMs: number;
	readonly runMs: number;
}

const cases = ['unrolled', 'looped'].flatMap((graph) =>
	[
		['all', []],
		...Object.keys(OPTIONAL_PASSES).map((name) => [`without ${name}`, [name]]),
		['none', Object.keys(OPTIONAL_PASSES)],
	].map(([passes, skipped]) => ({ graph, passes: passes as string, skipPasses: new Set(skipped as string[]) })),
);

/** Times are the best of several, taken in turns. */
export async function benchPasses({ log = () => {} }: BenchOptions = {}): Promise<object> {
	const prepared: (Omit<Row, 'runMs'> & { readonly program: Program; readonly times: number[] })[] = [];
	for (const { graph, passes, skipPasses } of cases) {
		const outputs = trainingStep(graph === 'looped');
		const nodes = countNodes(optimize(Object.values(outputs), skipPasses));
		const onnxNodes = lower(graphOf(outputs), { skipPasses }).onnx.nodes.length;
		const [lowering, creating]: [number[], number[]] = [[], []];
		let program: Program | undefined;
		for (let i = 0; i < CREATIONS; i++) {
			const start = performance.now();
			lower(graphOf(outputs), { skipPasses });
			lowering.push(performance.now() - start);
			const lowered = performance.now();
			program = await Program.compile(outputs, { cache: false, skipPasses });
			// Compiling lowers once more; what is left is the engine's work.
			creating.push(performance.now() - lowered - best(lowering));
		}
		const [lowerMs, createMs] = [best(lowering), best(creating)];
		prepared.push({
			graph,
			passes,
			nodes,
			onnxNodes,
			lowerMs,
			createMs,
			program: program as Program,
			times: [] as number[],
		});
	}
	// Cases take turns, so that a busy moment of the machine does not hit one of them alone.
	for (let i = 0; i <= REPEATS; i++) {
		for (const { program, times } of prepared) {
			const feeds = feedsOf(program);
			const start = performance.now();
			await program.run(feeds);
			if (i > 0) times.push(performance.now() - start);
		}
	}
	const rows = prepared.map(({ program: _, times, ...row }): Row => ({ ...row, runMs: best(times) }));
	for (const { graph, passes, nodes, lowerMs, createMs, runMs } of rows) {
		log(
			`${graph}, ${passes}: ${nodes} nodes, lower ${lowerMs.toFixed(0)} ms, create ${createMs.toFixed(0)} ms, run ${runMs.toFixed(1)} ms`,
		);
	}
	const setting = { layers: LAYERS, dim: DIM, batch: BATCH, time: TIME, repeats: REPEATS, creations: CREATIONS };
	return { benchmark: 'passes', machine: machine(), ...setting, rows };
}
