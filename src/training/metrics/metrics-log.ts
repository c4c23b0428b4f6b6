/**
 * @file metrics.jsonl and samples.jsonl: one JSON object a line, each with a `step`. Lines are only ever appended; on
 * resuming, what lies beyond the checkpoint (and a torn last line) is cut away, so that the file reads as if the run had
 * never stopped.
 */
import { closeSync, existsSync, fsyncSync, openSync, readFileSync } from 'node:fs';
import { writeFileAtomic, writeFully } from '../../base/files.ts';

export class StepLog {
	readonly path: string;
	#handle: number | undefined;

	/**
	 * Opens a log for appending.
	 * @param resumedStep lines of later steps are removed; 0 empties the file
	 */
	constructor(path: string, resumedStep: number) {
		this.path = path;
		if (existsSync(path)) {
			const text = readFileSync(path, 'utf8');
			const kept = linesUpTo(text, resumedStep);
			if (kept !== text) writeFileAtomic(path, kept);
		}
		this.#handle = openSync(path, 'a');
	}

	/** Appends a line; it is in the file when this returns, and on disk after `sync`. */
	append(entry: { readonly step: number }): void {
		if (this.#handle !== undefined) writeFully(this.#handle, Buffer.from(`${JSON.stringify(entry)}\n`));
	}

	sync(): void {
		if (this.#handle !== undefined) fsyncSync(this.#handle);
	}

	close(): void {
		if (this.#handle !== undefined) closeSync(this.#handle);
		this.#handle = undefined;
	}
}

/** The whole lines of a log up to a step, in order. Lines that are not JSON objects with a step are dropped. */
export function linesUpTo(text: string, step: number): string {
	const complete = text.slice(0, text.lastIndexOf('\n') + 1);
	return complete
		.split('\n')
		.slice(0, -1)
		.filter((line) => (stepOf(line) ?? Number.POSITIVE_INFINITY) <= step)
		.map((line) => `${line}\n`)
		.join('');
}

function stepOf(line: string): number | undefined {
	try {
		const entry: unknown = JSON.parse(line);
		if (entry === null || typeof entry !== 'object' || !('step' in entry)) return undefined;
		return typeof entry.step === 'number' ? entry.step : undefined;
	} catch {
		return undefined;
	}
}
