/** @file `modelsmith chat RUN`: a conversation, line by line. */
import type { Command } from 'commander';
import { text } from '../arguments.ts';
import type { Cli, Outcome } from '../cli.ts';
import { addModelOptions, describeModel, type ModelOptions, openModel, openSession } from '../open-model.ts';
import type { Run } from '../registry.ts';
import { addSamplingOptions, type SamplingFlags, samplingOf } from '../sampling-options.ts';

interface Options extends ModelOptions, SamplingFlags {
	readonly system?: string;
}

const HELP = '/clear forgets the conversation, /help shows this, /quit ends (so does Ctrl-D); Ctrl-C ends an answer';

export function configure(command: Command, run: Run): void {
	addModelOptions(
		command.description(
			'Talk to a model. A model with a chat template answers in turns; a base model continues the text you type. Lines may also be piped in.',
		),
	);
	addSamplingOptions(command)
		.option('--system <text>', 'first message, for models with a chat template', text)
		.addHelpText('after', `\nIn the conversation: ${HELP}.`)
		.action((path: string, options: Options) => run((cli) => chat(cli, path, options)));
}

async function chat(cli: Cli, path: string, options: Options): Promise<Outcome | undefined> {
	const { createInterface } = await import('node:readline');
	const { Chat } = await import('../../generation/chat.ts');
	const { InterruptedError } = await import('../../base/errors.ts');
	const { safeText } = await import('../terminal/safe-text.ts');
	const model = await openModel(cli, path, options);
	const session = await openSession(model, options);
	const conversation = new Chat({
		session,
		tokenizer: model.tokenizer,
		maxTokens: options.maxTokens,
		sampling: samplingOf(options),
		seed: options.seed,
		...(options.stop !== undefined && { stop: options.stop }),
		...(model.chatTemplate !== undefined && { template: model.chatTemplate }),
		...(options.system !== undefined && { system: options.system }),
	});
	const { stdin, stdout, stderr } = cli.host;
	const terminal = stdin.isTTY === true && stderr.isTTY === true;
	if (terminal) {
		cli.note(
			model.chatTemplate === undefined
				? `A base model: it continues what you write. ${HELP}.`
				: `${HELP[0]?.toUpperCase()}${HELP.slice(1)}.`,
		);
	}
	let answering: AbortController | undefined;
	let stopped = false;
	const lines = createInterface({
		input: stdin,
		terminal,
		...(terminal && { output: process.stderr, prompt: '> ' }),
	});
	const onInterrupt = (): void => {
		if (answering !== undefined) answering.abort();
		else {
			stopped = true;
			lines.close();
		}
	};
	lines.on('SIGINT', onInterrupt);
	process.on('SIGINT', onInterrupt);
	try {
		if (terminal) lines.prompt();
		for await (const line of lines) {
			const command = line.trim();
			if (command === '/quit' || command === '/exit') break;
			if (command === '/clear') conversation.clear();
			else if (command === '/help') cli.note(HELP);
			else if (command !== '') {
				answering = new AbortController();
				try {
					for await (const { text: piece } of conversation.send(line, { signal: answering.signal })) {
						if (!cli.json) stdout.write(stdout.isTTY === true ? safeText(piece) : piece);
					}
				} catch (error) {
					if (!(error instanceof InterruptedError)) throw error;
				} finally {
					answering = undefined;
					if (!cli.json) stdout.write('\n');
				}
			}
			if (terminal) lines.prompt();
		}
	} finally {
		process.off('SIGINT', onInterrupt);
		lines.close();
		await session.dispose();
	}
	if (stopped) throw new InterruptedError('interrupted');
	cli.result({ model: describeModel(model), messages: conversation.messages });
	return undefined;
}
