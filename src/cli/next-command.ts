/** @file Commands we suggest: started the way the reader started us, with every argument quoted where a shell needs it. */
import type { Cli } from './cli.ts';

/** A line to type: `modelsmith ...`, or through npm in a checkout. */
export function nextCommand({ host }: Cli, ...args: readonly string[]): string {
	const program = host.env.npm_lifecycle_event === undefined ? 'modelsmith' : 'npm run -s modelsmith --';
	return [program, ...args.map(quoted)].join(' ');
}

/** An argument as a shell on Linux, macOS or Windows reads it; double quotes work in all of them. */
function quoted(argument: string): string {
	return /^[\w@%+=:,./\\-]+$/.test(argument) ? argument : `"${argument.replaceAll('"', '\\"')}"`;
}
