/** @file Falls with the square root of the number of updates (Vaswani et al. 2017, section 5.3), 1 at the end of the warm-up. */
import { z } from 'zod';
import { defineSchedule, warmup } from '../schedule.ts';

export const inverseSqrt = defineSchedule({
	kind: 'inverse-sqrt',
	schema: z.strictObject({
		kind: z.literal('inverse-sqrt'),
		warmup,
		timescale: z
			.int()
			.min(1)
			.optional()
			.describe('Updates after which the rate has fallen to 0.71 of the peak. Default: the warm-up, or 1 without one.'),
	}),
	factor: ({ timescale }, span) => {
		const scale = timescale ?? Math.max(1, span.warmup);
		return Math.sqrt(scale / (scale + span.step));
	},
});
