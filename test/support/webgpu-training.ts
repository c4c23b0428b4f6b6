/** @file Run by webgpu.test.ts in a process with a Vulkan driver: trains a tiny decoder on CPU and WebGPU, prints how far apart they end. */
import { buildDecoder } from '../../src/models/decoder.ts';
import { causalLm } from '../../src/training/objectives/causal-lm.ts';
import { adamw } from '../../src/training/optimizers/adamw.ts';
import { TrainStep } from '../../src/training/train-step.ts';

const [mode, accumulation] = [process.argv[2] as 'unroll' | 'scan', Number(process.argv[3])];
const STEPS = 4;

async function train(device: 'cpu' | 'webgpu'): Promise<{ losses: number[]; parameters: Map<string, number[]> }> {
	const model = buildDecoder({ vocabSize: 50, dim: 16, layers: 2, heads: 2, maxLength: 8, layerMode: mode });
	const optimizer = adamw.create({
		kind: 'adamw',
		learningRate: 1e-2,
		betas: [0.9, 0.95],
		epsilon: 1e-5,
		weightDecay: 0.1,
		decay: 'all',
	});
	const objective = causalLm.create({ kind: 'causal-lm', labelSmoothing: 0, zLoss: 0 });
	const batch = { batchSize: 2, time: 8, segmented: false };
	const step = await TrainStep.compile(
		{ model, device, clip: 1, objective, optimizer, batch, accumulation },
		model.parameters.initialize(1),
	);
	const losses: number[] = [];
	for (let i = 0; i < STEPS; i++) {
		const batches = Array.from({ length: accumulation }, (_, micro) => ({
			tokens: Int32Array.from({ length: 16 }, (_value, j) => (j * 7 + i + micro) % 50),
			labels: Int32Array.from({ length: 16 }, (_value, j) => (j * 7 + i + micro + 7) % 50),
			dims: [2, 8] as const,
			targetCount: 16,
		}));
		const result = await step.compute(batches, 0);
		await step.apply(result, { step: i + 1, factor: 1 });
		losses.push(result.loss);
	}
	const parameters = [...(await step.parameters())].map(
		([name, { data }]) => [name, Array.from(data as Float32Array)] as const,
	);
	return { losses, parameters: new Map(parameters) };
}

const [cpu, gpu] = [await train('cpu'), await train('webgpu')];
const apart = (a: readonly number[], b: readonly number[]): number =>
	Math.max(...a.map((value, i) => Math.abs(value - (b[i] as number))));
console.log(
	JSON.stringify({
		losses: gpu.losses,
		lossDifference: apart(cpu.losses, gpu.losses),
		parameterDifference: Math.max(
			...[...cpu.parameters].map(([name, values]) => apart(values, gpu.parameters.get(name) as number[])),
		),
	}),
);
process.exit(0);
