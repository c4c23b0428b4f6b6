/** @file What a command sees of the outside world: where to write, how, and whether it was asked to stop. */
import type pc from 'picocolors';
import { InputError } from '../base/errors.ts';

/** Functions that colour text, or leave it as it is. */
export type Colors = ReturnType<typeof pc.createColors>;

/** A place to write text to: a stream of the process, or a collector in a test. */
export interface Output {
	write(text: string): unknown;
	readonly isTTY?: boolean | undefined;
	readonly columns?: number | undefined;
}

/** The surroundings of one invocation. */
export interface Host {
	readonly stdout: Output;
	readonly stderr: Output;
	readonly stdin: NodeJS.ReadableStream & { readonly isTTY?: boolean | undefined };
	readonly env: Readonly<Record<string, string | undefined>>;
}

/** Exit code a command ends with when it did not throw. */
export type Outcome = 0 | 1 | 2;

/** Handed to every command. */
export interface Cli {
	readonly host: Host;
	/** One machine-readable object on stdout, all else on stderr. */
	readonly json: boolean;
	/** Show stack traces. */
	readonly debug: boolean;
	/** Colours for stderr and stdout; plain where not wanted. */
	readonly colors: Colors;
	/** The result for a person: stdout, or stderr under --json. Adds a newline. */
	print(text: string): void;
	/** Says what is going on: always stderr. Adds a newline. */
	note(text: string): void;
	/** The result for a program: printed under --json only. Call it once. */
	result(value: unknown): void;
}

/** Connects a command with the streams of its host. */
export function createCli(host: Host, flags: { json: boolean; debug: boolean }, colors: Colors): Cli {
	let answered = false;
	return {
		host,
		json: flags.json,
		debug: flags.debug,
		colors,
		print: (text) => (flags.json ? host.stderr : host.stdout).write(`${text}\n`),
		note: (text) => host.stderr.write(`${text}\n`),
		result(value) {
			if (!flags.json) return;
			if (answered) throw new Error('a command printed two results');
			answered = true;
			host.stdout.write(`${JSON.stringify(value, jsonValue)}\n`);
		},
	};
}

/** JSON has no NaN or infinity and no bigint; a lost number would read as null, so it is written as text. */
function jsonValue(_key: string, value: unknown): unknown {
	if (typeof value === 'number' && !Number.isFinite(value)) return String(value);
	if (typeof value === 'bigint') return Number(value);
	return value;
}

/** Refuses a flag that cannot be combined with another. */
export function conflict(flag: string, other: string): InputError {
	return new InputError(`${flag} cannot be used together with ${other}`, { fix: `leave out ${flag} or ${other}` });
}
