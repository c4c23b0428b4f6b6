/** @file A reproduction: a claim of a paper, a baseline, and numbers that decide whether the claim holds here. */
import { z } from 'zod';
import { ModelsmithError } from '../base/errors.ts';
import { machineSchema } from './machine.ts';

/** What an experiment is run with. */
export interface ReproductionContext {
	/** A few minutes on two cores instead of the full experiment. Never makes evidence. */
	readonly smoke: boolean;
	readonly signal: AbortSignal;
	/** Reports how far a named part of the work is. */
	progress(label: string, done: number, total: number): void;
}

const target = z
	.strictObject({ atLeast: z.number().optional(), atMost: z.number().optional() })
	.refine(({ atLeast, atMost }) => atLeast !== undefined || atMost !== undefined, 'needs atLeast or atMost');

const measurement = z.strictObject({
	/** What was measured, e.g. "perplexity at 2,048 tokens". */
	name: z.string().min(1),
	unit: z.string(),
	value: z.number(),
	/** The same for the baseline, where there is one. */
	baseline: z.number().optional(),
	/** The limits the claim sets; absent for a number that is only reported. */
	target: target.optional(),
});

export type Measurement = z.output<typeof measurement>;

/** What systems/<slug>/reproduce.ts exports as `reproduction`. */
export interface Reproduction {
	/** The claim, in one sentence. */
	readonly claim: string;
	/** What it is compared with. */
	readonly baseline: string;
	run(context: ReproductionContext): Promise<readonly Measurement[]>;
}

/** evidence.json: the last full run, written by the command. */
export const evidenceSchema = z.strictObject({
	format: z.literal(1),
	slug: z.string(),
	/** Hash of the experiment's files when it ran: evidence of another experiment does not count. */
	definition: z.string().regex(/^[0-9a-f]{64}$/),
	claim: z.string(),
	baseline: z.string(),
	measurements: z.array(measurement).min(1),
	startedAt: z.iso.datetime(),
	seconds: z.number().min(0),
	version: z.string(),
	machine: machineSchema,
});

export type Evidence = z.output<typeof evidenceSchema>;

/** Whether a number is inside the limits of its claim; a number that is not finite never is. */
export function holds({ value, target }: Measurement): boolean {
	if (target === undefined) return true;
	return (
		Number.isFinite(value) &&
		value >= (target.atLeast ?? Number.NEGATIVE_INFINITY) &&
		value <= (target.atMost ?? Infinity)
	);
}

/** A claim holds when at least one number is held against it and none misses. */
export function claimHolds(measurements: readonly Measurement[]): boolean {
	return measurements.some(({ target }) => target !== undefined) && measurements.every(holds);
}

/**
 * Runs an experiment and checks what it hands back.
 * @throws ModelsmithError when the experiment returned no usable numbers
 */
export async function runReproduction(
	reproduction: Reproduction,
	context: ReproductionContext,
): Promise<{ readonly measurements: readonly Measurement[]; readonly seconds: number; readonly startedAt: string }> {
	const startedAt = new Date().toISOString();
	const started = performance.now();
	const parsed = z
		.array(measurement)
		.min(1)
		.safeParse(await reproduction.run(context));
	if (!parsed.success) {
		throw new ModelsmithError('the experiment returned no usable measurements', {
			expected: 'a list of { name, unit, value, target? } with finite values',
			found: z.prettifyError(parsed.error),
			cause: parsed.error,
		});
	}
	return { measurements: parsed.data, seconds: (performance.now() - started) / 1000, startedAt };
}
