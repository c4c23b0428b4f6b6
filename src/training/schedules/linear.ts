/** @file A straight line from the peak to `minimum` at the end of the run. */
import { z } from 'zod';
import { defineSchedule, minimum, progress, warmup } from '../schedule.ts';

export const linear = defineSchedule({
	kind: 'linear',
	schema: z.strictObject({ kind: z.literal('linear'), warmup, minimum }),
	factor: (config, span) => 1 - (1 - config.minimum) * progress(span),
});
