/** @file What every benchmark needs: medians of repeated runs, and a description of the machine. */
import { arch, cpus, platform, release, totalmem } from 'node:os';
import { performance } from 'node:perf_hooks';

/** Middle value; the mean of the two middle ones for an even count. */
export function median(values: readonly number[]): number {
	const sorted = [...values].sort((a, b) => a - b);
	const middle = sorted.length >> 1;
	return sorted.length % 2 === 1
		? (sorted[middle] as number)
		: ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}

/** Milliseconds of each of at least `runs` calls and at least `seconds` in all, after `warmup` that do not count. */
export async function timeRuns(
	call: () => unknown,
	{
		runs = 5,
		warmup = 2,
		seconds = 0,
	}: { readonly runs?: number; readonly warmup?: number; readonly seconds?: number } = {},
): Promise<number[]> {
	for (let i = 0; i < warmup; i++) await call();
	const times: number[] = [];
	const end = performance.now() + seconds * 1000;
	while (times.length < runs || performance.now() < end) {
		const start = performance.now();
		await call();
		times.push(performance.now() - start);
	}
	return times;
}

export interface Machine {
	readonly cpu: string;
	readonly cores: number;
	readonly memoryGiB: number;
	readonly system: string;
	readonly node: string;
}

/** The machine a figure was measured on. */
export function machine(): Machine {
	return {
		cpu: cpus()[0]?.model.trim() ?? 'unknown',
		cores: cpus().length,
		memoryGiB: Math.round(totalmem() / 2 ** 30),
		system: `${platform()} ${arch()} ${release()}`,
		node: process.version,
	};
}

/** How every benchmark talks: progress lines go to `log`, the result is one plain object. */
export interface BenchOptions {
	readonly log?: (line: string) => void;
	readonly threads?: number;
}
