/** @file `modelsmith generate RUN --prompt TEXT`. */
import type { Command } from 'commander';
import { integer } from '../arguments.ts';
import type { Cli, Outcome } from '../cli.ts';
import { addModelOptions, describeModel, type ModelOptions, openModel, openSession } from '../open-model.ts';
import type { Run } from '../registry.ts';
import { addSamplingOptions, type SamplingFlags, samplingOf } from '../sampling-options.ts';

interface Options extends ModelOptions, SamplingFlags {
	readonly prompt: string;
	readonly samples: number;
}

export function configure(command: Command, run: Run): void {
	addModelOptions(command.description('Let a trained model continue a prompt. Text appears as it is written.'));
	command.requiredOption('--prompt <text>', 'text to continue; - reads it from standard input');
	addSamplingOptions(command)
		.option('--samples <n>', 'how many texts', integer(1, 256), 1)
		.addHelpText(
			'after',
			'\nExample:\n  modelsmith generate runs/my --prompt "Call me" --max-tokens 200 --temperature 0.7',
		)
		.action((path: string, options: Options) => run((cli) => generate(cli, path, options)));
}

async function generate(cli: Cli, path: string, options: Options): Promise<Outcome | undefined> {
	const { generateBatchStream } = await import('../../generation/generate.ts');
	const { interruptible } = await import('../interrupt.ts');
	const { safeText } = await import('../terminal/safe-text.ts');
	const prompt = options.prompt === '-' ? await readAll(cli.host.stdin) : options.prompt;
	const model = await openModel(cli, path, options);
	const session = await openSession(model, options);
	const { stdout } = cli.host;
	const show = (text: string): void => {
		if (!cli.json) stdout.write(stdout.isTTY === true ? safeText(text) : text);
	};
	const samples = Array.from({ length: options.samples }, () => ({
		text: '',
		tokens: [] as number[],
		logprobs: [] as number[],
		finishReason: 'length',
	}));
	const started = performance.now();
	try {
		await interruptible(cli, 'ending the text here', async (signal) => {
			// one text streams; several would be mixed up, and are shown when they are done
			const streaming = options.samples === 1;
			if (streaming) show(stdout.isTTY === true ? cli.colors.dim(safeText(prompt)) : prompt);
			for await (const { sample, token, logprob, text, finishReason } of generateBatchStream({
				session,
				tokenizer: model.tokenizer,
				prompts: [prompt],
				samples: options.samples,
				maxTokens: options.maxTokens,
				sampling: samplingOf(options),
				seed: options.seed,
				overflow: 'slide',
				signal,
				...(options.stop !== undefined && { stop: options.stop }),
			})) {
				const entry = samples[sample] as (typeof samples)[number];
				entry.text += text;
				entry.tokens.push(token);
				entry.logprobs.push(logprob);
				if (finishReason !== undefined) entry.finishReason = finishReason;
				if (streaming) show(text);
			}
			if (!streaming) {
				for (const [index, { text }] of samples.entries()) show(`${index === 0 ? '' : '\n---\n'}${prompt}${text}`);
			}
		});
	} finally {
		show('\n');
		await session.dispose();
	}
	const seconds = (performance.now() - started) / 1000;
	const written = samples.reduce((total, { tokens }) => total + tokens.length, 0);
	cli.result({ model: describeModel(model), prompt, samples, tokensPerSecond: written / seconds });
	if (cli.host.stderr.isTTY === true) {
		cli.note(cli.colors.dim(`${written} tokens, ${(written / seconds).toFixed(0)} tokens/s`));
	}
	return undefined;
}

const MAX_PROMPT = 16 << 20;

async function readAll(stream: NodeJS.ReadableStream): Promise<string> {
	const { InputError } = await import('../../base/errors.ts');
	const pieces: Buffer[] = [];
	let size = 0;
	for await (const piece of stream) {
		const bytes = Buffer.from(piece as Buffer);
		size += bytes.length;
		if (size > MAX_PROMPT)
			throw new InputError('the prompt is too long', { where: 'standard input', expected: 'at most 16 MiB' });
		pieces.push(bytes);
	}
	return Buffer.concat(pieces).toString('utf8');
}
