/** @file `modelsmith bench compile`: time to build and compile graphs against their size, unrolled and as a loop. */
import { performance } from 'node:perf_hooks';
import * as g from '../src/graph/index.ts';
import { buildDecoder } from '../src/models/decoder.ts';
import { lower } from '../src/runtime/lower.ts';
import { graphOf, Program } from '../src/runtime/program.ts';
import { type BenchOptions, machine } from './measure.ts';

const WIDTH = 32;
const BATCH = 2;
const TIME = 32;

interface Row {
	readonly mode: 'unroll' | 'scan';
	readonly layers: number;
	/** ONNX nodes of forward and backward pass together, loop bodies not counted. */
	readonly nodes: number;
	readonly buildMillis: number;
	readonly sessionMillis: number;
}

/** The training graph (loss and every gradient) of a decoder of growing depth. */
export async function benchCompile({ log = () => {} }: BenchOptions = {}): Promise<object> {
	const rows: Row[] = [];
	for (const [mode, depths] of [
		['unroll', [2, 8, 24, 48]],
		['scan', [2, 24, 200, 1000]],
	] as const) {
		for (const layers of depths) {
			const row = await measure(mode, layers);
			rows.push(row);
			log(
				`${mode} ${layers} layers: ${row.nodes} nodes, build ${row.buildMillis.toFixed(0)} ms, session ${row.sessionMillis.toFixed(0)} ms`,
			);
		}
	}
	return { benchmark: 'compile', machine: machine(), rows };
}

async function measure(layerMode: 'unroll' | 'scan', layers: number): Promise<Row> {
	const start = performance.now();
	const model = buildDecoder({ vocabSize: 256, dim: WIDTH, heads: 2, layers, maxLength: TIME, layerMode });
	const tokens = g.input('tokens', 'int32', [BATCH, TIME]);
	const labels = g.input('labels', 'int32', [BATCH * TIME]);
	const { hidden } = model.hiddenStates({ tokens }, { training: true });
	const loss = g.mean(g.crossEntropy(g.flattenRows(model.logits(hidden)), labels));
	const gradients = g.gradients(
		loss,
		model.parameters.all.map(({ tensor }) => tensor),
	);
	const outputs = { loss, ...Object.fromEntries(gradients.map((gradient, i) => [`gradient.${i}`, gradient])) };
	const nodes = lower(graphOf(outputs)).onnx.nodes.length;
	const built = performance.now();
	await Program.compile(outputs, { cache: false });
	return { mode: layerMode, layers, nodes, buildMillis: built - start, sessionMillis: performance.now() - built };
}
