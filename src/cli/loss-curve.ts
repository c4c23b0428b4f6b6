/** @file The loss curve of a run from its metrics.jsonl. */
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import { type Point, plotCurve } from './terminal/plot.ts';

const line = z.object({ step: z.number(), loss: z.number() });

/** Loss of every step. Lines of another kind, and a half-written last one, are left out. */
export async function readLossCurve(run: string): Promise<Point[]> {
	const points: Point[] = [];
	const input = createReadStream(join(run, 'metrics.jsonl'), 'utf8');
	for await (const text of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
		let value: unknown;
		try {
			value = JSON.parse(text);
		} catch {
			continue;
		}
		const parsed = line.safeParse(value);
		if (parsed.success) points.push({ x: parsed.data.step, y: parsed.data.loss });
	}
	return points;
}

/** The curve as text for a terminal of this width. */
export function drawLossCurve(points: readonly Point[], columns: number | undefined, ascii: boolean): string {
	return plotCurve(points, {
		width: Math.min(76, Math.max(30, (columns ?? 80) - 2)),
		height: 10,
		xLabel: 'step',
		yLabel: 'loss (nats a token)',
		ascii,
	});
}
