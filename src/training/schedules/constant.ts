/** @file A learning rate that stays at its peak. */
import { z } from 'zod';
import { defineSchedule, warmup } from '../schedule.ts';

export const constant = defineSchedule({
	kind: 'constant',
	schema: z.strictObject({ kind: z.literal('constant'), warmup }),
	factor: () => 1,
});
