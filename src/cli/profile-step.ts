/** @file `train --profile`: where the time of a step's forward and backward pass goes, by op, and a Chrome trace. */
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type HostTensor, hostTensor, zeros } from '../base/host-tensor.ts';
import type { Model } from '../models/model.ts';
import { finishProfile, type Profile } from '../runtime/profile.ts';
import { Program } from '../runtime/program.ts';
import type { RunConfig } from '../training/config.ts';
import { gradientOutputs } from '../training/loss-graph.ts';
import { createObjective } from '../training/objective-registry.ts';
import { createOptimizer } from '../training/optimizer-registry.ts';
import { planParameter } from '../training/slots.ts';
import { formatTable } from './terminal/table.ts';

const RUNS = 5;

/**
 * Runs the gradient program of a configuration a few times on made-up tokens; nothing is trained.
 * @param directory gets profile.json, to be opened in chrome://tracing or ui.perfetto.dev
 */
export async function profileStep(config: RunConfig, model: Model, directory: string): Promise<Profile> {
	if (model.kind !== 'causal') throw new Error('only causal models are trained');
	const { training, data } = config;
	const optimizer = createOptimizer(training.optimizer);
	const plans = model.parameters.trainable.map((spec) => planParameter(spec, optimizer.rule(spec), false));
	const shape = { batchSize: training.batchSize, time: data.sequenceLength, segmented: false };
	const outputs = gradientOutputs({ model, objective: createObjective(training.objective), batch: shape }, plans);
	const folder = mkdtempSync(join(tmpdir(), 'modelsmith-profile-'));
	try {
		const prefix = join(folder, 'step');
		const { device, threads } = training;
		const program = await Program.compile(outputs, {
			device,
			cache: false,
			profilePrefix: prefix,
			...(threads !== undefined && { threads }),
		});
		const dims = [shape.batchSize, shape.time];
		const ids = Int32Array.from({ length: shape.batchSize * shape.time }, (_, i) => (i * 7919) % model.vocabSize);
		const tokens = hostTensor('int32', dims, ids);
		const feeds: Record<string, HostTensor> = {
			...Object.fromEntries(model.parameters.initialize(training.seed)),
			tokens,
			labels: tokens,
		};
		// what is left are scalars of the step: number of labels, seed
		for (const { name, dtype } of program.inputs) feeds[name] ??= hostTensor(dtype, [], [1]);
		const into = Object.fromEntries(
			program.outputs.flatMap(({ name, shape: sizes }) =>
				sizes.length === 0 ? [] : [[name, zeros('float32', sizes as number[])]],
			),
		);
		for (let run = 0; run < RUNS; run++) await program.run(feeds, into);
		mkdirSync(directory, { recursive: true });
		// renaming works only within a file system, so the trace is read where it was written and then copied
		const profile = finishProfile(program, prefix, join(folder, 'trace.json'));
		copyFileSync(join(folder, 'trace.json'), join(directory, 'profile.json'));
		return profile;
	} finally {
		rmSync(folder, { recursive: true, force: true });
	}
}

/** The table by op: milliseconds a pass, calls, share. */
export function formatProfile({ byOp, runMillis }: Profile): string {
	const rows = byOp
		.slice(0, 20)
		.map(({ op, millis, calls, share }) => [op, millis.toFixed(2), calls.toFixed(0), (share * 100).toFixed(1)]);
	return `${formatTable(['op', 'ms', 'calls', '%'], rows)}\n${runMillis.toFixed(1)} ms a forward and backward pass`;
}
