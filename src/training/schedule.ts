/**
 * @file Learning-rate schedules: pure functions from the number of updates done to a factor in [0, 1] of the peak rate.
 * Every kind begins with the same linear warm-up. Each schedule is one file in schedules/.
 */
import { z } from 'zod';

/** Part of the run after the warm-up. */
export interface ScheduleSpan {
	/** Updates since the warm-up ended, from 0. */
	readonly step: number;
	/** Updates between the end of the warm-up and the end of the run. */
	readonly length: number;
	/** Updates of the warm-up. */
	readonly warmup: number;
}

/** Factor of the peak learning rate for the update that follows `step` updates. */
export type Schedule = (step: number) => number;

export interface ScheduleKind<Schema extends z.ZodObject = z.ZodObject> {
	readonly kind: string;
	readonly schema: Schema;
	/** Factor after the warm-up. */
	factor(config: z.output<Schema>, span: ScheduleSpan): number;
}

export function defineSchedule<Schema extends z.ZodObject>(kind: ScheduleKind<Schema>): ScheduleKind<Schema> {
	return kind;
}

export const warmup = z
	.int()
	.min(0)
	.default(0)
	.describe('Updates over which the learning rate rises linearly; update n of the warm-up runs at n / warmup.');

export const minimum = z
	.number()
	.min(0)
	.max(1)
	.default(0)
	.describe('Factor of the peak learning rate at the end of the run.');

/** Share of the span that is done, 0 at its first update, below 1 at its last. */
export function progress({ step, length }: ScheduleSpan): number {
	return length <= 0 ? 1 : Math.min(1, step / length);
}
