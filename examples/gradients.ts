/** @file A graph, its gradient, and a few steps of descent: `npm run example -- examples/gradients.ts`. */

import { hostTensor } from 'modelsmith/base/host-tensor';
import { gradients, input, matmul, mean, mul, scalar, sub } from 'modelsmith/graph';
import { Program } from 'modelsmith/runtime/program';

// y = x W is fitted to data made with a known W
const x = input('x', 'float32', [8, 3]);
const target = input('target', 'float32', [8, 1]);
const weight = input('weight', 'float32', [3, 1]);

const difference = sub(matmul(x, weight), target);
const loss = mean(mul(difference, difference));
const [gradient] = gradients(loss, [weight]);
if (gradient === undefined) throw new Error('the loss depends on the weight');
const next = sub(weight, mul(scalar(0.2), gradient));

// one ONNX graph: forward pass, backward pass and update
const program = await Program.compile({ loss, next });

const truth = [2, -1, 0.5];
const rows = Array.from({ length: 8 }, (_, i) => [Math.sin(i), Math.cos(2 * i), Math.sin(3 * i + 1)]);
const feeds = {
	x: hostTensor('float32', [8, 3], rows.flat()),
	target: hostTensor(
		'float32',
		[8, 1],
		rows.map((row) => row.reduce((sum, value, j) => sum + value * (truth[j] as number), 0)),
	),
};

let current = hostTensor('float32', [3, 1], [0, 0, 0]);
for (let step = 0; step <= 60; step++) {
	const result = await program.run({ ...feeds, weight: current });
	if (result.loss === undefined || result.next === undefined) throw new Error('the program gives both');
	if (step % 20 === 0) console.log(`step ${step}: loss ${Number(result.loss.data[0]).toFixed(6)}`);
	current = result.next;
}
console.log('weight:', Array.from(current.data as Float32Array, (value) => value.toFixed(3)).join(', '));
