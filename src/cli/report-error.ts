/** @file Errors for people (what, where, what to do) and for programs (--json); stack traces only with --debug. */
import { ModelsmithError } from '../base/errors.ts';
import type { Cli } from './cli.ts';

/**
 * Prints an error.
 * @returns the exit code it stands for
 */
export function reportError(error: unknown, cli: Cli): number {
	const { colors } = cli;
	const known = error instanceof ModelsmithError;
	const message = error instanceof Error ? error.message : String(error);
	const code = known ? error.code : 'unexpected';
	const exitCode = known ? error.exitCode : 1;
	if (code === 'interrupted') {
		cli.note(colors.yellow(message));
	} else if (known) {
		cli.note(`${colors.red('error:')} ${message}`);
	} else {
		const name = error instanceof Error ? error.name : 'error';
		cli.note(`${colors.red('unexpected error:')} ${name === 'Error' ? '' : `${name}: `}${message}`);
		if (!cli.debug) {
			cli.note('This is a fault in modelsmith. Run the command again with --debug for the stack trace and report it.');
		}
	}
	if (cli.debug && error instanceof Error) cli.note(traceOf(error));
	cli.result({ error: { code, message, exitCode, ...(known && detailsOf(error)) } });
	return exitCode;
}

/** Stack frames of an error and of what caused it; the messages are cut off, they were printed. */
function traceOf(error: Error): string {
	const lines: string[] = [];
	let current: unknown = error;
	for (let depth = 0; current instanceof Error && depth < 8; depth++) {
		const frames = (current.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line));
		lines.push(depth === 0 ? 'stack:' : `caused by ${current.name}: ${current.message}`, ...frames);
		current = current.cause;
	}
	return lines.join('\n');
}

function detailsOf({ details }: ModelsmithError): Record<string, string> {
	const { where, expected, found, fix } = details;
	return Object.fromEntries(
		Object.entries({ where, expected, found, fix }).filter(
			(entry): entry is [string, string] => entry[1] !== undefined,
		),
	);
}
