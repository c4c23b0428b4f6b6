/** @file Where the time of a run goes: reads the engine's event trace and adds it up by op and by shape. */
import { existsSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { FormatError } from '../base/errors.ts';
import { readJson } from '../base/files.ts';
import type { Program } from './program.ts';

const eventSchema = z.object({
	cat: z.string().optional(),
	name: z.string().optional(),
	dur: z.number().optional(),
	args: z
		.object({
			op_name: z.string().optional(),
			input_type_shape: z.array(z.record(z.string(), z.array(z.number()))).optional(),
		})
		.optional(),
});

/** Time of one kind of node. */
export interface ProfileRow {
	readonly op: string;
	/** Input shapes, for the table by shape. */
	readonly shapes?: string;
	/** Milliseconds per run. */
	readonly millis: number;
	/** Calls per run. */
	readonly calls: number;
	/** Share of all node time, 0 to 1. */
	readonly share: number;
}

export interface Profile {
	readonly runs: number;
	/** Milliseconds per run, as the engine counts it. */
	readonly runMillis: number;
	readonly byOp: readonly ProfileRow[];
	readonly byShape: readonly ProfileRow[];
}

/**
 * Ends profiling of a program compiled with `profilePrefix` and moves the trace to `path`
 * (Chrome trace format: open it in chrome://tracing or ui.perfetto.dev).
 */
export function finishProfile(program: Program, profilePrefix: string, path: string): Profile {
	program.session.endProfiling();
	const folder = dirname(profilePrefix);
	const written = readdirSync(folder).filter(
		(name) => join(folder, name).startsWith(`${profilePrefix}_`) && name.endsWith('.json'),
	);
	const newest = written.sort().at(-1);
	if (newest === undefined) throw new FormatError('the engine wrote no profile', { where: profilePrefix });
	if (existsSync(path)) rmSync(path);
	renameSync(join(folder, newest), path);
	return readProfile(path);
}

/** Adds up a trace written by the engine. @throws FormatError when it is not one */
export function readProfile(path: string): Profile {
	const parsed = z.array(eventSchema).safeParse(readJson(path, 'an ONNX Runtime profile'));
	if (!parsed.success) throw new FormatError('is not an ONNX Runtime profile', { where: path });
	const runs = parsed.data.filter((event) => event.name === 'model_run');
	const count = Math.max(1, runs.length);
	const nodes = parsed.data.filter((event) => event.cat === 'Node' && event.name?.endsWith('_kernel_time'));
	const total = nodes.reduce((sum, { dur = 0 }) => sum + dur, 0);
	const add = (keyOf: (event: z.infer<typeof eventSchema>) => string): [string, number, number][] => {
		const sums = new Map<string, [number, number]>();
		for (const event of nodes) {
			const key = keyOf(event);
			const [time, calls] = sums.get(key) ?? [0, 0];
			sums.set(key, [time + (event.dur ?? 0), calls + 1]);
		}
		return [...sums]
			.map(([key, [time, calls]]) => [key, time, calls] as [string, number, number])
			.sort((a, b) => b[1] - a[1]);
	};
	const opOf = (event: z.infer<typeof eventSchema>): string => event.args?.op_name ?? 'unknown';
	const shapesOf = (event: z.infer<typeof eventSchema>): string =>
		(event.args?.input_type_shape ?? []).map((entry) => `[${Object.values(entry)[0]?.join(',') ?? ''}]`).join(' ');
	const row = (op: string, time: number, calls: number): ProfileRow => ({
		op,
		millis: time / count / 1000,
		calls: calls / count,
		share: total === 0 ? 0 : time / total,
	});
	return {
		runs: runs.length,
		runMillis: runs.reduce((sum, { dur = 0 }) => sum + dur, 0) / count / 1000,
		byOp: add(opOf).map(([op, time, calls]) => row(op, time, calls)),
		byShape: add((event) => `${opOf(event)}\t${shapesOf(event)}`).map(([key, time, calls]) => {
			const [op, shapes] = key.split('\t') as [string, string];
			return { ...row(op, time, calls), shapes };
		}),
	};
}
