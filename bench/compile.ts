/** @file `modelsmith bench compile`: time to build and compile graphs against their size, unrolled and as a loop. */
import { performance } from 'node:perf_hooks';
import * as g from '../src/graph/index.ts';
import { ParameterScope, ParameterTree } from '../src/nn/parameters.ts';
import { lower } from '../src/runtime/lower.ts';
import { graphOf, Program } from '../src/runtime/program.ts';
import { type BenchOptions, machine } from './measure.ts';

const WIDTH = 32;

interface Row {
	readonly mode: 'unroll' | 'scan';
	readonly layers: number;
	/** ONNX nodes of forward and backward pass together, loop bodies not counted. */
	readonly nodes: number;
	readonly buildMillis: number;
	readonly sessionMillis: number;
}

/** A residual network with its gradient, of growing depth. */
export async function benchCompile({ log = () => {} }: BenchOptions = {}): Promise<object> {
	const rows: Row[] = [];
	for (const [mode, depths] of [['unroll', [4, 16, 64, 128]], ['scan', [4, 64, 256, 1000]]] as const) {
		for (const layers of depths) {
			const row = await measure(mode, layers);
			rows.push(row);
			log(`${mode} ${layers} layers: ${row.nodes} nodes, build ${row.buildMillis.toFixed(0)} ms, session ${row.sessionMillis.toFixed(0)} ms`);
		}
	}
	return { benchmark: 'compile', machine: machine(), rows };
}

async function measure(mode: 'unroll' | 'scan', layers: number): Promise<Row> {
	const start = performance.now();
	const tree = new ParameterTree();
	const x = g.input('x', 'float32', [8, WIDTH]);
	const small = (dims: readonly number[]): Float32Array => new Float32Array(dims.reduce((a, b) => a * b, 1)).fill(0.01);
	const [y] = ParameterScope.of(tree).repeat('layers', layers, mode, [x], (scope) => {
		const norm = scope.parameter('norm.weight', [WIDTH], small);
		const up = scope.parameter('up.weight', [4 * WIDTH, WIDTH], small);
		const down = scope.parameter('down.weight', [WIDTH, 4 * WIDTH], small);
		return ([h]) => [g.add(h as g.Tensor, g.linear(g.gelu(g.linear(g.rmsNorm(h as g.Tensor, norm), up)), down))];
	}, tree);
	const loss = g.mean(g.mul(y as g.Tensor, y as g.Tensor));
	const gradients = g.gradients(loss, tree.all.map(({ tensor }) => tensor));
	const outputs = { loss, ...Object.fromEntries(gradients.map((gradient, i) => [`gradient.${i}`, gradient])) };
	const nodes = lower(graphOf(outputs)).onnx.nodes.length;
	const built = performance.now();
	await Program.compile(outputs, { cache: false });
	return { mode, layers, nodes, buildMillis: built - start, sessionMillis: performance.now() - built };
}
