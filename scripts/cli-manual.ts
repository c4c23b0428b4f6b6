/** @file docs/cli.md from the definitions of the commands. */
import type { Command } from 'commander';
import pc from 'picocolors';
import { createCli } from '../src/cli/cli.ts';
import { createProgram } from '../src/cli/main.ts';

/** The manual as Markdown. */
export async function cliManual(): Promise<string> {
	const silent = { write: () => true, columns: 90 };
	const cli = createCli(
		{ stdout: silent, stderr: silent, stdin: process.stdin, env: {} },
		{ json: false, debug: false },
		pc.createColors(false),
	);
	const program = await createProgram(cli, async () => {}, 'all');
	const commands = program.commands.filter((command) => command.name() !== 'help').flatMap(leaves);
	const sections = commands.map((command) => `## ${pathOf(command)}\n\n\`\`\`\n${helpOf(command).trim()}\n\`\`\``);
	return `# Command line

This page is made from the program itself: \`npm run generate\`.

Exit codes: 0 success; 1 the work failed (a claim did not hold, a case missed its tolerance, numbers that are not finite); 2 bad usage or bad input; 130 interrupted (Ctrl-C: the first finishes the step and writes a checkpoint, the second stops at once).

With \`--json\` a command prints one JSON object on stdout and everything else on stderr. When it fails the object is \`{ "error": { "code", "message", "exitCode", ... } }\`. Every command also understands:

\`\`\`
  --json      print one JSON object on stdout and everything else on stderr
  --debug     show stack traces
  --no-color  plain text, as with the variable NO_COLOR
  -h, --help  show help
\`\`\`

${sections.join('\n\n')}
`;
}

function leaves(command: Command): Command[] {
	return command.commands.length === 0 ? [command] : [...command.commands];
}

function pathOf(command: Command): string {
	return command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`;
}

/** Help without the flags that every command has, and with the text after it. */
function helpOf(command: Command): string {
	let text = '';
	command.configureOutput({ writeOut: (part) => (text += part), getOutHelpWidth: () => 90 });
	command.outputHelp();
	return text
		.replace(/\nGlobal Options:\n(?: .*\n)+/, '')
		.replace(/^ {2}-h, --help.*\n/m, '')
		.replace(/\n{3,}/g, '\n\n');
}
