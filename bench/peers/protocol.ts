/** @file What a training peer is given and what it must answer: the pinned model sizes, the configuration file and the result file. */
import { z } from 'zod';

const count = z.int().positive();

/** The GPT of the benchmark and its optimizer; `bench/peers/README.md` says what each number means. */
export const peerConfigSchema = z
	.strictObject({
		name: z.string(),
		vocab: count,
		dim: count,
		layers: count,
		heads: count,
		ffn: count,
		seq: count,
		batch: count,
		layerNormEps: z.number().positive(),
		lr: z.number().positive(),
		betas: z.tuple([z.number().min(0).lt(1), z.number().min(0).lt(1)]),
		adamEps: z.number().positive(),
		weightDecay: z.number().min(0),
		clipNorm: z.number().positive(),
	})
	.refine((config) => config.dim % config.heads === 0, { path: ['heads'], error: 'must divide dim' });

export type PeerConfig = z.infer<typeof peerConfigSchema>;

const shared = {
	seq: 128,
	batch: 8,
	layerNormEps: 1e-5,
	lr: 3e-4,
	betas: [0.9, 0.95],
	adamEps: 1e-8,
	weightDecay: 0.1,
	clipNorm: 1,
} as const satisfies Partial<PeerConfig>;

/** The two sizes that are compared: 5,289,472 and 25,272,320 parameters. */
export const PEER_SIZES = {
	small: { ...shared, name: 'small', vocab: 4096, dim: 256, layers: 4, heads: 4, ffn: 1024, betas: [0.9, 0.95] },
	medium: { ...shared, name: 'medium', vocab: 6144, dim: 512, layers: 6, heads: 8, ffn: 2048, betas: [0.9, 0.95] },
} as const satisfies Record<string, PeerConfig>;

/** The file a peer writes. `losses` and `stepMillis` have one value for every step, warm-up included. */
export const peerResultSchema = z
	.strictObject({
		/** Name of the peer as the runner knows it. */
		name: z.string().min(1),
		/** Versions of the framework and of what decides its speed, for example `jax 0.10.2`. */
		version: z.string().min(1),
		/** Mean cross-entropy over the tokens of the batch, in nats, before the update of that step. */
		losses: z.array(z.number()).min(1),
		/** Wall-clock time of each step with all its results in memory; the first ones hold compilation. */
		stepMillis: z.array(z.number().positive()).min(1),
		/** Highest resident memory of the process. */
		peakRssBytes: z.int().positive(),
		/** Choices and restrictions that a reader of the figures should know. */
		notes: z.array(z.string()),
	})
	.refine((result) => result.losses.length === result.stepMillis.length, {
		path: ['stepMillis'],
		error: 'must have as many values as losses',
	});

export type PeerResult = z.infer<typeof peerResultSchema>;

/** Median step time in milliseconds after the `warmup` first steps; NaN when none is left. */
export function medianStepMillis(result: Pick<PeerResult, 'stepMillis'>, warmup: number): number {
	const timed = result.stepMillis.slice(warmup).sort((a, b) => a - b);
	const middle = timed.length / 2;
	if (timed.length === 0) return Number.NaN;
	return timed.length % 2 === 1
		? (timed[Math.floor(middle)] as number)
		: ((timed[middle - 1] as number) + (timed[middle] as number)) / 2;
}
