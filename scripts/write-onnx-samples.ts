/**
 * @file Lowers graphs to .onnx files for a referee: every sample of every op, loops, checkpoints, symbolic sizes, a decoder
 * layer with its gradients. `node scripts/write-onnx-samples.ts FOLDER [--standard-only]`; scripts/check-onnx.py reads them.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as g from '../src/graph/index.ts';
import { lower } from '../src/runtime/lower.ts';
import { encodeModel } from '../src/runtime/onnx.ts';
import { graphOf } from '../src/runtime/program.ts';

const [folder, flag] = process.argv.slice(2);
if (folder === undefined) {
	console.error('usage: node scripts/write-onnx-samples.ts FOLDER [--standard-only]');
	process.exit(2);
}
const standardOnly = flag === '--standard-only';
mkdirSync(folder, { recursive: true });

function write(name: string, outputs: Readonly<Record<string, g.Tensor>>): void {
	const { onnx } = lower(graphOf(outputs), { standardOnly });
	writeFileSync(join(folder as string, `${name}.onnx`), encodeModel(onnx));
}

/** The tensor and its gradients with respect to the inputs behind it. */
function withGradients(loss: g.Tensor, parameters: readonly g.Tensor[]): Record<string, g.Tensor> {
	const gradients = g.gradients(loss, parameters);
	return { loss, ...Object.fromEntries(gradients.map((gradient, i) => [`gradient_${i}`, gradient])) };
}

for (const [name, op] of g.allOps()) {
	op.samples.forEach((sample, index) => {
		const inputs = sample.inputs.map(({ dims, dtype = 'float32' }, i) => g.input(`x${i}`, dtype, dims));
		const results = g.apply(op, inputs, sample.attributes);
		write(`op-${name}-${index}`, Object.fromEntries(results.map((tensor, i) => [`y${i}`, tensor])));
	});
}

const [batch, time] = [g.dim('batch'), g.dim('time')];
const x = g.input('x', 'float32', [batch, time, 8]);
const weights = g.input('weights', 'float32', [3, 8, 8]);
const layer = (h: g.Tensor, w: g.Tensor): g.Tensor => g.add(h, g.tanh(g.linear(h, w)));
const stack = g.scan([x], [weights], ([h], [w]) => ({ carry: [layer(h!, w!)], stacked: [g.mean(h!)] }));
write('scan', { last: stack.carry[0]!, means: stack.stacked[0]! });
write('scan-gradients', withGradients(g.mean(stack.carry[0]!), [x, weights]));
const nested = g.scan([x], [weights], ([h], [w]) => {
	const inner = g.scan([h!], [weights], ([c], [u]) => ({ carry: [layer(c!, g.add(u!, w!))] }));
	return { carry: [inner.carry[0]!] };
});
write('scan-nested-gradients', withGradients(g.mean(nested.carry[0]!), [x, weights]));
const kept = g.scan([x], [weights], ([h], [w]) => ({
	carry: [g.checkpoint([h!, w!], (a, b) => [layer(a!, b!)])[0]!],
}));
write('scan-checkpoint-gradients', withGradients(g.mean(kept.carry[0]!), [x, weights]));

const labels = g.input('labels', 'int64', [batch, time]);
const table = g.input('table', 'float32', [50, 8]);
const seed = g.input('seed', 'int32', []);
const embedded = g.dropout(g.embedding(table, labels), 0.1, seed, { stream: 'embedding' });
const scores = g.einsum('bqd,bkd->bqk', embedded, embedded);
const attention = g.softmax(g.where(g.causalMask(time), scores, -1e9));
const hidden = g.rmsNorm(g.einsum('bqk,bkd->bqd', attention, embedded), g.input('scale', 'float32', [8]));
const rows = g.reshape(hidden, [-1, 8]);
const loss = g.mean(g.linearCrossEntropy(rows, table, g.reshape(labels, [-1]), { chunk: 16, zLoss: 1e-4 }));
write('language-model-gradients', withGradients(loss, [table]));
