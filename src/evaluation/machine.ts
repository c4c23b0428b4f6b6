/** @file The machine that numbers come from, without names that identify it. */
import { cpus, totalmem } from 'node:os';
import { z } from 'zod';

export const machineSchema = z.strictObject({
	cpu: z.string(),
	cores: z.int().min(1),
	memoryGiB: z.number(),
	platform: z.string(),
});

export function describeMachine(): z.output<typeof machineSchema> {
	const processors = cpus();
	return {
		cpu: processors[0]?.model.trim() || 'unknown',
		cores: Math.max(1, processors.length),
		memoryGiB: Math.round((totalmem() / 2 ** 30) * 10) / 10,
		platform: `${process.platform} ${process.arch}`,
	};
}
