/** @file Entry of the `modelsmith` command: reads arguments, runs one command, turns errors into exit codes. */
import { Command, CommanderError } from 'commander';
import pc from 'picocolors';
import { type Cli, createCli, type Host, type Outcome } from './cli.ts';
import { COMMANDS, type Run } from './registry.ts';
import { reportError } from './report-error.ts';
import { packageVersion } from './version.ts';

const processHost: Host = {
	stdout: process.stdout,
	stderr: process.stderr,
	stdin: process.stdin,
	env: process.env,
};

/**
 * Runs the command line.
 * @param argv arguments after the program name
 * @returns the exit code: 0 success, 1 the work failed, 2 bad usage or bad input, 130 interrupted
 */
export async function main(argv: readonly string[], host: Host = processHost): Promise<number> {
	if (host === processHost) endQuietlyOnClosedPipe();
	const cli = createCli(host, flagsOf(argv), pc.createColors(wantsColor(argv, host)));
	let outcome: Outcome | undefined;
	const run: Run = async (work) => {
		outcome = await work(cli);
	};
	try {
		const program = await createProgram(cli, run, selectedCommand(argv));
		await program.parseAsync([...argv], { from: 'user' });
		return outcome ?? 0;
	} catch (error) {
		if (error instanceof CommanderError) return usageOutcome(error, cli);
		return reportError(error, cli);
	}
}

/**
 * The whole command tree with the files of the `selected` commands loaded; the others are known by name only.
 * @param selected a command, or 'all' (for the manual)
 */
export async function createProgram(cli: Cli, run: Run, selected: string | undefined): Promise<Command> {
	const program = new Command('modelsmith')
		.description('Build, train, adapt, judge and serve foundation models in TypeScript.')
		.version(packageVersion(), '--version', 'print the version')
		.helpOption('-h, --help', 'show help')
		.helpCommand('help [command]', 'show help for a command')
		.option('--json', 'print one JSON object on stdout and everything else on stderr')
		.option('--debug', 'show stack traces')
		.option('--no-color', 'plain text, as with the variable NO_COLOR')
		.configureHelp({ showGlobalOptions: true })
		.configureOutput({
			writeOut: (text) => cli.host.stdout.write(text),
			writeErr: (text) => cli.host.stderr.write(text),
			getOutHelpWidth: () => helpWidth(cli.host.stdout.columns),
			getErrHelpWidth: () => helpWidth(cli.host.stderr.columns),
			getOutHasColors: () => cli.colors.isColorSupported,
			getErrHasColors: () => cli.colors.isColorSupported,
		})
		.showHelpAfterError('(add --help for usage)')
		.exitOverride();
	for (const { name, summary, load } of COMMANDS) {
		const command = program.command(name).summary(summary).description(summary);
		if (selected === name || selected === 'all') (await load()).configure(command, run);
	}
	return program;
}

/** Wide enough to read, narrow enough for a page. */
function helpWidth(columns: number | undefined): number {
	return Math.min(110, Math.max(60, columns ?? 100));
}

/** The first word that is not a flag; global flags take no values. */
function selectedCommand(argv: readonly string[]): string | undefined {
	const words = argv.filter((word) => !word.startsWith('-'));
	return words[0] === 'help' ? words[1] : words[0];
}

function flagsOf(argv: readonly string[]): { json: boolean; debug: boolean } {
	const end = argv.indexOf('--');
	const flags = end === -1 ? argv : argv.slice(0, end);
	return { json: flags.includes('--json'), debug: flags.includes('--debug') };
}

function wantsColor(argv: readonly string[], { env, stderr, stdout }: Host): boolean {
	if (argv.includes('--no-color') || (env.NO_COLOR ?? '') !== '') return false;
	if ((env.FORCE_COLOR ?? '') !== '') return env.FORCE_COLOR !== '0';
	return stdout.isTTY === true && stderr.isTTY === true && env.TERM !== 'dumb';
}

/** `modelsmith systems | head` closes our output early: that is no error. */
function endQuietlyOnClosedPipe(): void {
	for (const stream of [process.stdout, process.stderr]) {
		stream.once('error', (error: NodeJS.ErrnoException) => {
			if (error.code === 'EPIPE') process.exit(process.exitCode ?? 0);
			throw error;
		});
	}
}

/** Commander has already printed its message; help and version are success, everything else is bad usage. */
function usageOutcome(error: CommanderError, cli: Cli): number {
	if (error.code === 'commander.helpDisplayed' || error.code === 'commander.version') return 0;
	// `help` without a command shows the list, as asked; no command at all shows it too, but is a mistake.
	if (error.code === 'commander.help' && error.exitCode === 0) return 0;
	const message = error.message.replace(/^error: /, '');
	cli.result({ error: { code: 'invalid_usage', message, exitCode: 2 } });
	return 2;
}
