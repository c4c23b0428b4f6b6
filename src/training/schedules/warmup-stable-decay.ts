/** @file Flat at the peak, then down to `minimum` over the last part of the run (Hu et al. 2024, arXiv:2404.06395, section 4). */
import { z } from 'zod';
import { defineSchedule, minimum, warmup } from '../schedule.ts';

export const warmupStableDecay = defineSchedule({
	kind: 'warmup-stable-decay',
	schema: z.strictObject({
		kind: z.literal('warmup-stable-decay'),
		warmup,
		minimum,
		decayFraction: z
			.number()
			.min(0)
			.max(1)
			.default(0.1)
			.describe('Share of the updates after the warm-up over which the rate falls.'),
		shape: z
			.enum(['linear', 'exponential', 'one-minus-sqrt'])
			.default('linear')
			.describe('How it falls: in a line, by equal factors (needs minimum above 0), or as 1 - sqrt(x).'),
	}),
	factor: (config, { step, length }) => {
		const decay = Math.max(1, Math.round(length * config.decayFraction));
		const done = Math.min(1, Math.max(0, (step - (length - decay)) / decay));
		if (done === 0 || config.decayFraction === 0) return 1;
		if (config.shape === 'exponential') return config.minimum ** done;
		return 1 - (1 - config.minimum) * (config.shape === 'linear' ? done : Math.sqrt(done));
	},
});
