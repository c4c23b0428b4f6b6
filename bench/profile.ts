/**
 * @file `modelsmith bench profile`: where the time of a training step goes. For every node of the graph the shortest of
 * many runs is taken, so that other work on the machine hardly shows; their sum is what the step would take alone.
 */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { readJson } from '../src/base/files.ts';
import { type HostTensor, hostTensor, zeros } from '../src/base/host-tensor.ts';
import { Program } from '../src/runtime/program.ts';
import { gradientOutputs } from '../src/training/loss-graph.ts';
import { causalLm } from '../src/training/objectives/causal-lm.ts';
import { adamw } from '../src/training/optimizers/adamw.ts';
import { planParameter } from '../src/training/slots.ts';
import { type BenchOptions, machine } from './measure.ts';
import { peerDecoder } from './peers/decoder.ts';
import { PEER_SIZES } from './peers/protocol.ts';

interface NodeEvent {
	readonly cat?: string;
	readonly name: string;
	readonly dur: number;
	readonly args: { readonly op_name: string; readonly input_type_shape?: readonly Record<string, readonly number[]>[] };
}

interface Group {
	readonly key: string;
	readonly millis: number;
	readonly nodes: number;
}

export interface ProfileOptions extends BenchOptions {
	readonly size?: keyof typeof PEER_SIZES;
	readonly runs?: number;
}

/** Loss and gradients of the GPT of `bench train`. */
export async function benchProfile({
	log = () => {},
	threads = availableParallelism(),
	size = 'small',
	runs = 25,
}: ProfileOptions = {}): Promise<object> {
	const config = PEER_SIZES[size];
	const { vocab, seq, batch } = config;
	const model = peerDecoder(config);
	const optimizer = adamw.create({ ...adamw.schema.parse({ kind: 'adamw' }) });
	const plans = model.parameters.trainable.map((spec) => planParameter(spec, optimizer.rule(spec), false));
	const objective = causalLm.create({ kind: 'causal-lm', labelSmoothing: 0, zLoss: 0 });
	const outputs = gradientOutputs(
		{ model, objective, batch: { batchSize: batch, time: seq, segmented: false } },
		plans,
	);
	const folder = mkdtempSync(join(tmpdir(), 'modelsmith-profile-'));
	try {
		const program = await Program.compile(outputs, { threads, cache: false, profilePrefix: join(folder, 'step') });
		const ids = hostTensor(
			'int32',
			[batch, seq],
			Int32Array.from({ length: batch * seq }, (_, i) => (i * 7919) % vocab),
		);
		const feeds: Record<string, HostTensor> = {
			...Object.fromEntries(model.parameters.initialize(1)),
			tokens: ids,
			labels: ids,
		};
		// What is left are scalars of the step: number of labels, share of a micro-batch, loss scale.
		for (const { name, dtype } of program.inputs) feeds[name] ??= hostTensor(dtype, [], [1]);
		const into = Object.fromEntries(
			program.outputs.flatMap(({ name, shape }) =>
				shape.length === 0 ? [] : [[name, zeros('float32', shape as number[])]],
			),
		);
		for (let i = 0; i < runs; i++) await program.run(feeds, into);
		program.session.endProfiling();
		const events = readJson(join(folder, readdirSync(folder)[0] as string), 'a profile') as NodeEvent[];
		const shortest = new Map<string, NodeEvent>();
		for (const event of events) {
			if (event.cat !== 'Node' || !event.name.endsWith('_kernel_time')) continue;
			if (event.dur < (shortest.get(event.name)?.dur ?? Number.POSITIVE_INFINITY)) shortest.set(event.name, event);
		}
		const nodes = [...shortest.values()];
		const byOp = groups(nodes, ({ args }) => args.op_name);
		const byShape = groups(
			nodes,
			({ args }) =>
				`${args.op_name} ${JSON.stringify((args.input_type_shape ?? []).map((entry) => Object.values(entry)[0]))}`,
		);
		const total = nodes.reduce((sum, { dur }) => sum + dur, 0) / 1000;
		log(`${size}: ${total.toFixed(1)} ms in ${nodes.length} nodes`);
		for (const { key, millis, nodes: count } of byOp.slice(0, 15)) log(`  ${key} ${millis.toFixed(2)} ms (${count})`);
		return {
			benchmark: 'profile',
			machine: machine(),
			threads,
			size,
			totalMillis: total,
			byOp,
			byShape: byShape.slice(0, 40),
		};
	} finally {
		rmSync(folder, { recursive: true, force: true });
	}
}

function groups(nodes: readonly NodeEvent[], keyOf: (node: NodeEvent) => string): Group[] {
	const sums = new Map<string, { millis: number; nodes: number }>();
	for (const node of nodes) {
		const { millis, nodes: count } = sums.get(keyOf(node)) ?? { millis: 0, nodes: 0 };
		sums.set(keyOf(node), { millis: millis + node.dur / 1000, nodes: count + 1 });
	}
	return [...sums].map(([key, sum]) => ({ key, ...sum })).sort((a, b) => b.millis - a.millis);
}
