/**
 * @file `modelsmith bench train`: the same GPT from the same weights on the same batches, trained by this toolkit and by its
 * peers, each in a process of its own with the same number of threads. bench/peers/README.md says how.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BenchOptions, type Machine, machine, median } from './measure.ts';
import { parameterCount, writePeerInputs } from './peers/inputs.ts';
import { PEER_SIZES, type PeerResult } from './peers/protocol.ts';
import { PEERS, type PeerName, runPeer } from './peers/run-peer.ts';

export interface TrainBenchOptions extends BenchOptions {
	readonly sizes?: readonly (keyof typeof PEER_SIZES)[];
	readonly peers?: readonly PeerName[];
	/** Times the list of peers is gone through; a peer's figure is the median over all its steps. Default 3. */
	readonly rounds?: number;
	/** Steps of one round that count. */
	readonly steps?: number;
	/** Seconds after which a peer is stopped. */
	readonly timeoutSeconds?: number;
}

/** Steps at the start of every process that do not count: compilation, first touches of memory. */
const WARMUP = 2;
/** Steps whose losses are compared. */
const COMPARED_STEPS = 50;

interface TrainRow {
	readonly name: string;
	readonly version?: string;
	readonly unavailable?: string;
	readonly medianMillis?: number;
	readonly minMillis?: number;
	readonly tokensPerSecond?: number;
	readonly peakRssMiB?: number;
	/** This row's median time divided by ours: above 1, we are faster. */
	readonly timesOurs?: number;
	/** Largest difference of a loss from PyTorch's over the compared steps. */
	readonly lossDifference?: number;
	readonly comparedSteps?: number;
}

export interface TrainBench {
	readonly benchmark: 'train';
	readonly machine: Machine;
	readonly threads: number;
	readonly sizes: readonly { readonly size: string; readonly parameters: number; readonly rows: readonly TrainRow[] }[];
}

/** Trains and compares. Peers that are not installed are listed with the reason. */
export async function benchTrain({
	log = () => {},
	threads = availableParallelism(),
	sizes = ['small', 'medium'],
	peers = Object.keys(PEERS) as PeerName[],
	rounds = 3,
	steps = 15,
	timeoutSeconds = 900,
}: TrainBenchOptions = {}): Promise<TrainBench> {
	const results: TrainBench['sizes'][number][] = [];
	for (const size of sizes) {
		const config = PEER_SIZES[size];
		const folder = mkdtempSync(join(tmpdir(), 'modelsmith-train-'));
		try {
			const [weightsPath, batchesPath] = [join(folder, 'weights.safetensors'), join(folder, 'batches.safetensors')];
			writePeerInputs(config, { weightsPath, batchesPath, steps: Math.max(COMPARED_STEPS, WARMUP + steps), seed: 1 });
			const runs = new Map<PeerName, PeerResult[]>();
			const reasons = new Map<PeerName, string>();
			for (let round = 0; round < rounds; round++) {
				for (const name of peers) {
					if (reasons.has(name) || (SLOW.has(name) && round > 0)) continue;
					// The first round on the small size is long enough to compare the losses too.
					const compared = round === 0 && size === 'small';
					const counted = SLOW.has(name) ? SLOW_STEPS : steps;
					const count = compared ? Math.max(COMPARED_STEPS, WARMUP + counted) : WARMUP + counted;
					const options = {
						config,
						weightsPath,
						batchesPath,
						threads,
						steps: count,
						warmup: WARMUP,
						timeoutMillis: timeoutSeconds * 1000,
					};
					const result = await runPeer(name, options);
					if ('unavailable' in result) {
						reasons.set(name, result.unavailable);
						log(`${size} ${name}: not available: ${result.unavailable}`);
						continue;
					}
					runs.set(name, [...(runs.get(name) ?? []), result]);
					log(`${size} round ${round + 1} ${name}: ${median(result.stepMillis.slice(WARMUP)).toFixed(0)} ms a step`);
				}
			}
			results.push({
				size,
				parameters: parameterCount(config),
				rows: rowsOf(peers, runs, reasons, config.batch * config.seq),
			});
		} finally {
			rmSync(folder, { recursive: true, force: true });
		}
	}
	return { benchmark: 'train', machine: machine(), threads, sizes: results };
}

/** Peers that take seconds a step: one round, with fewer steps on the larger size. */
const SLOW: ReadonlySet<PeerName> = new Set(['tfjs', 'jax-js']);
const SLOW_STEPS = 3;

function rowsOf(
	peers: readonly PeerName[],
	runs: ReadonlyMap<PeerName, readonly PeerResult[]>,
	reasons: ReadonlyMap<PeerName, string>,
	tokens: number,
): TrainRow[] {
	const times = (name: PeerName): number[] =>
		(runs.get(name) ?? []).flatMap(({ stepMillis }) => stepMillis.slice(WARMUP));
	const ours = median(times('modelsmith'));
	const official = runs.get('pytorch')?.[0]?.losses;
	return peers.map((name) => {
		const results = runs.get(name);
		const [first] = results ?? [];
		if (results === undefined || first === undefined) return { name, unavailable: reasons.get(name) ?? 'did not run' };
		const millis = median(times(name));
		const compared = Math.min(official?.length ?? 0, first.losses.length, COMPARED_STEPS);
		const difference = Math.max(
			...first.losses.slice(0, compared).map((loss, i) => Math.abs(loss - (official?.[i] as number))),
		);
		return {
			name,
			version: first.version,
			medianMillis: millis,
			minMillis: Math.min(...times(name)),
			tokensPerSecond: (tokens / millis) * 1000,
			peakRssMiB: Math.max(...results.map(({ peakRssBytes }) => peakRssBytes)) / 2 ** 20,
			...(Number.isFinite(ours) && { timesOurs: millis / ours }),
			...(compared > 0 && { lossDifference: difference, comparedSteps: compared }),
		};
	});
}
