/** @file Shapes of the learning-rate schedules: warm-up, ends, monotony. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createSchedule, scheduleConfig } from './schedule-registry.ts';

const at = (config: Record<string, unknown>, total: number, steps: readonly number[]): number[] => {
	const schedule = createSchedule(scheduleConfig.parse(config), total);
	return steps.map((step) => Math.round(schedule(step) * 1e6) / 1e6);
};

test('values at known places', () => {
	assert.deepEqual(at({ kind: 'constant', warmup: 4 }, 10, [0, 1, 3, 4, 9]), [0.25, 0.5, 1, 1, 1]);
	assert.deepEqual(at({ kind: 'linear', warmup: 2, minimum: 0.1 }, 12, [1, 2, 7, 11, 12]), [1, 1, 0.55, 0.19, 0.1]);
	assert.deepEqual(at({ kind: 'cosine' }, 8, [0, 2, 4, 8]), [1, 0.853553, 0.5, 0]);
	assert.deepEqual(at({ kind: 'cosine', minimum: 0.2, warmup: 2 }, 10, [2, 6, 10]), [1, 0.6, 0.2]);
	const wsd = { kind: 'warmup-stable-decay', warmup: 2, decayFraction: 0.5 };
	assert.deepEqual(at(wsd, 12, [0, 2, 7, 8, 12]), [0.5, 1, 1, 0.8, 0]);
	assert.deepEqual(at({ ...wsd, shape: 'one-minus-sqrt', minimum: 0.5 }, 10, [6, 8]), [1, 0.646447]);
	assert.deepEqual(at({ ...wsd, shape: 'exponential', minimum: 0.01 }, 10, [8, 10]), [0.1, 0.01]);
	assert.deepEqual(at({ kind: 'inverse-sqrt', warmup: 4 }, 100, [3, 4, 16]), [1, 1, 0.5]);
	assert.deepEqual(at({ kind: 'inverse-sqrt', timescale: 9 }, 100, [0, 27]), [1, 0.5]);
});

test('every schedule rises to 1 in the warm-up, then never rises, and stays in [0, 1]', () => {
	const kinds = fc.constantFrom('constant', 'linear', 'cosine', 'warmup-stable-decay', 'inverse-sqrt');
	fc.assert(
		fc.property(kinds, fc.nat(20), fc.integer({ min: 1, max: 60 }), (kind, warmup, total) => {
			const schedule = createSchedule(scheduleConfig.parse({ kind, warmup }), total);
			for (let step = 0; step < total + 5; step++) {
				const [here, next] = [schedule(step), schedule(step + 1)];
				assert.ok(here >= 0 && here <= 1, `${here}`);
				if (step < warmup - 1) assert.ok(next > here);
				else assert.ok(next <= here + 1e-12);
			}
			if (warmup > 0) assert.equal(schedule(warmup - 1), 1);
		}),
	);
});
