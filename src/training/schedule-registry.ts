/** @file All learning-rate schedules. A new one is a file in schedules/ and a line here. */
import { z } from 'zod';
import type { Schedule, ScheduleKind } from './schedule.ts';
import { constant } from './schedules/constant.ts';
import { cosine } from './schedules/cosine.ts';
import { inverseSqrt } from './schedules/inverse-sqrt.ts';
import { linear } from './schedules/linear.ts';
import { warmupStableDecay } from './schedules/warmup-stable-decay.ts';

/** Configuration of a schedule, told apart by `kind`. */
export const scheduleConfig = z
	.discriminatedUnion('kind', [
		constant.schema,
		linear.schema,
		cosine.schema,
		warmupStableDecay.schema,
		inverseSqrt.schema,
	])
	.describe('How the learning rate changes during the run.');

export type ScheduleConfig = z.output<typeof scheduleConfig>;

const KINDS = [constant, linear, cosine, warmupStableDecay, inverseSqrt] as readonly ScheduleKind[];

/**
 * The schedule of a run of `totalSteps` updates.
 * @param config checked by `scheduleConfig`
 */
export function createSchedule(config: ScheduleConfig, totalSteps: number): Schedule {
	const kind = KINDS.find((candidate) => candidate.kind === config.kind) as ScheduleKind;
	const warmup = config.warmup;
	return (step) =>
		step < warmup
			? (step + 1) / warmup
			: kind.factor(config, { step: step - warmup, length: Math.max(0, totalSteps - warmup), warmup });
}
