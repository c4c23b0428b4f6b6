/** @file The speed of a large float32 matrix product here and now: what MFU is measured against. */
import { zeros } from '../../base/host-tensor.ts';
import { matmul } from '../../graph/ops/matmul.ts';
import { input } from '../../graph/ops/source.ts';
import type { Device } from '../../runtime/device.ts';
import { Program } from '../../runtime/program.ts';

const SIZE = 1024;
const RUNS = 5;
const known = new Map<string, Promise<number>>();

/** Floating-point operations a second of the best of five products of 1024 x 1024 matrices; measured once a process. */
export function matmulPeak(device: Device, threads: number | undefined): Promise<number> {
	const key = `${device}|${threads}`;
	const measured = known.get(key) ?? measure(device, threads);
	known.set(key, measured);
	return measured;
}

async function measure(device: Device, threads: number | undefined): Promise<number> {
	const [a, b] = ['a', 'b'].map((name) => input(name, 'float32', [SIZE, SIZE]));
	if (a === undefined || b === undefined) return 0;
	const options = { device, cache: false, ...(threads !== undefined && { threads }) };
	const program = await Program.compile({ y: matmul(a, b) }, options);
	const feeds = { a: zeros('float32', [SIZE, SIZE]), b: zeros('float32', [SIZE, SIZE]) };
	(feeds.a.data as Float32Array).fill(0.5);
	(feeds.b.data as Float32Array).fill(0.25);
	let best = Number.POSITIVE_INFINITY;
	await program.run(feeds);
	for (let run = 0; run < RUNS; run++) {
		const start = performance.now();
		await program.run(feeds);
		best = Math.min(best, performance.now() - start);
	}
	return (2 * SIZE ** 3) / (best / 1000);
}
