/** @file This toolkit under the protocol of the peers: the public decoder and train step, nothing made for the benchmark. */
import { hostTensor } from '../../src/base/host-tensor.ts';
import { stackParameters } from '../../src/nn/parameters.ts';
import { loadOrt } from '../../src/runtime/session.ts';
import { causalLm } from '../../src/training/objectives/causal-lm.ts';
import { adamw } from '../../src/training/optimizers/adamw.ts';
import { TrainStep } from '../../src/training/train-step.ts';
import { peerDecoder } from './decoder.ts';
import { readPeerInputs, timedSteps, writePeerResult } from './peer-io.ts';

const inputs = readPeerInputs();
const { args, config } = inputs;
const { seq, batch, lr, betas, adamEps, weightDecay, clipNorm } = config;

const model = peerDecoder(config);
const saved = {
	get: (name: string) => {
		const data = inputs.weights.get(name);
		const spec = model.parameters.get(name);
		return data && spec && hostTensor('float32', spec.shape, data);
	},
};
const step = await TrainStep.compile(
	{
		model,
		objective: causalLm.create({ kind: 'causal-lm', labelSmoothing: 0, zLoss: 0 }),
		optimizer: adamw.create({
			kind: 'adamw',
			learningRate: lr,
			betas: [...betas],
			epsilon: adamEps,
			weightDecay,
			decay: 'all',
		}),
		batch: { batchSize: batch, time: seq, segmented: false },
		clip: clipNorm,
		threads: args.threads,
		kernels: process.env.MODELSMITH_KERNELS !== 'off',
	},
	stackParameters(model.parameters.all, saved),
);
const dims = [batch, seq] as const;
const { losses, stepMillis } = await timedSteps(args.steps, async (index) => {
	const tokens = Int32Array.from(inputs.tokens(index));
	const labels = Int32Array.from(inputs.labels(index));
	const result = await step.compute([{ tokens, labels, dims, targetCount: batch * seq }], 0);
	await step.apply(result, { step: index + 1, factor: 1 });
	return result.loss;
});
const { versions } = (await loadOrt()).env;
writePeerResult(args.out, {
	name: 'modelsmith',
	version: `onnxruntime-node ${versions.node ?? versions.common}`,
	losses,
	stepMillis,
	notes: [process.env.MODELSMITH_KERNELS === 'off' ? 'update by engine ops' : 'update by one elementwise kernel'],
});
process.exit(0);
