/** @file Every error the toolkit throws on purpose: a stable `code`, an exit code, and a message a person can act on. */

/** What a failed piece of work means to a script: 1 = the work failed, 2 = bad usage or bad input, 130 = interrupted. */
export type ExitCode = 1 | 2 | 130;

/** The parts of a helpful message; only `expected`-style facts that exist are printed. */
export interface ErrorDetails {
	/** File, configuration key, flag or tensor the problem is in. */
	readonly where?: string;
	/** What would have been accepted. */
	readonly expected?: string;
	/** What was there instead. */
	readonly found?: string;
	/** What to do about it. */
	readonly fix?: string;
	readonly cause?: unknown;
}

/**
 * Base class of all errors that are part of the interface.
 * `message` holds one line of summary followed by the details, each on its own line.
 */
export class ModelsmithError extends Error {
	/** Stable identifier, safe to match on in scripts. */
	readonly code: string = 'modelsmith_error';
	readonly exitCode: ExitCode = 1;
	readonly details: ErrorDetails;

	constructor(summary: string, details: ErrorDetails = {}) {
		super(formatMessage(summary, details), details.cause === undefined ? undefined : { cause: details.cause });
		this.details = details;
		this.name = new.target.name;
	}
}

/** A configuration, file, flag or argument given by the user is not usable. */
export class InputError extends ModelsmithError {
	override readonly code: string = 'invalid_input';
	override readonly exitCode = 2;
}

/** A configuration value is missing, unknown or contradicts another one. `where` is the key path. */
export class ConfigError extends InputError {
	override readonly code = 'invalid_config';
}

/** A file does not have the format it claims (safetensors, tokenizer.json, JSONL, Parquet, GGUF ...). */
export class FormatError extends InputError {
	override readonly code = 'invalid_format';
}

/** Tensor shapes or dtypes that do not fit, found while a graph is built. */
export class ShapeError extends InputError {
	override readonly code = 'shape_mismatch';
}

/** A device was asked for that this machine or installation does not have. */
export class DeviceError extends InputError {
	override readonly code = 'device_unavailable';
}

/** An optional package is needed; the message names it. */
export class MissingPackageError extends InputError {
	override readonly code = 'missing_package';

	constructor(packageName: string, neededFor: string, cause?: unknown) {
		super(`the optional package "${packageName}" is needed for ${neededFor}`, {
			fix: `npm install ${packageName}`,
			cause,
		});
	}
}

/** Numbers went wrong while training (NaN, Inf); the last good checkpoint is kept. */
export class NumericsError extends ModelsmithError {
	override readonly code = 'non_finite';
}

/** Asked to stop (Ctrl-C, SIGTERM); everything worth keeping was written. */
export class InterruptedError extends ModelsmithError {
	override readonly code = 'interrupted';
	override readonly exitCode = 130;
}

function formatMessage(summary: string, { where, expected, found, fix }: ErrorDetails): string {
	const lines = [where === undefined ? summary : `${where}: ${summary}`];
	if (expected !== undefined) lines.push(`  expected: ${expected}`);
	if (found !== undefined) lines.push(`  found:    ${found}`);
	if (fix !== undefined) lines.push(`  to fix:   ${fix}`);
	return lines.join('\n');
}

/** The closest of `candidates` to a mistyped `word`, or undefined when none is near. */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
	let best: string | undefined;
	let bestDistance = Math.max(2, Math.floor(word.length / 3)) + 1;
	for (const candidate of candidates) {
		const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
		if (distance < bestDistance) {
			best = candidate;
			bestDistance = distance;
		}
	}
	return best;
}

function editDistance(a: string, b: string): number {
	let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
	for (let i = 1; i <= a.length; i++) {
		const current = [i];
		for (let j = 1; j <= b.length; j++) {
			const substitution = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
			current.push(Math.min(substitution, (previous[j] ?? 0) + 1, (current[j - 1] ?? 0) + 1));
		}
		previous = current;
	}
	return previous[b.length] ?? 0;
}
