/** @file Half a cosine from the peak to `minimum` (Loshchilov & Hutter 2017, arXiv:1608.03983, equation 5, no restarts). */
import { z } from 'zod';
import { defineSchedule, minimum, progress, warmup } from '../schedule.ts';

export const cosine = defineSchedule({
	kind: 'cosine',
	schema: z.strictObject({ kind: z.literal('cosine'), warmup, minimum }),
	factor: (config, span) => config.minimum + ((1 - config.minimum) * (1 + Math.cos(Math.PI * progress(span)))) / 2,
});
