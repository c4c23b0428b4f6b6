/** @file The commands. Their files are loaded only when they are asked for, so that help is quick. */
import type { Command } from 'commander';
import type { Cli, Outcome } from './cli.ts';

/** Runs a command's work once commander has read the arguments. */
export type Run = (work: (cli: Cli) => Promise<Outcome | undefined>) => Promise<void>;

/** What every file in commands/ exports. */
export interface CommandModule {
	/** Adds arguments, options, examples and the action to `command`. Must not import anything heavy. */
	configure(command: Command, run: Run): void;
}

export interface CommandEntry {
	readonly name: string;
	/** One line for the list of commands. */
	readonly summary: string;
	readonly load: () => Promise<CommandModule>;
}

export const COMMANDS: readonly CommandEntry[] = [
	{
		name: 'quickstart',
		summary: 'train a small GPT on Moby Dick, in a few minutes, and see it write',
		load: () => import('./commands/quickstart.ts'),
	},
	{ name: 'init', summary: 'write a commented starter config', load: () => import('./commands/init.ts') },
	{ name: 'train', summary: 'train the model a config describes', load: () => import('./commands/train.ts') },
	{
		name: 'summary',
		summary: 'parameters, shapes and cost of a model',
		load: () => import('./commands/summary.ts'),
	},
	{ name: 'generate', summary: 'continue a prompt', load: () => import('./commands/generate.ts') },
	{ name: 'chat', summary: 'talk to a model, line by line', load: () => import('./commands/chat.ts') },
	{
		name: 'eval',
		summary: 'measure perplexity and bits per byte on text',
		load: () => import('./commands/eval.ts'),
	},
	{ name: 'export', summary: 'write a model as ONNX or safetensors', load: () => import('./commands/export.ts') },
	{ name: 'tokenizer', summary: 'train or look into a tokenizer', load: () => import('./commands/tokenizer.ts') },
	{
		name: 'systems',
		summary: 'list the research systems, with status and evidence',
		load: () => import('./commands/systems.ts'),
	},
	{
		name: 'reproduce',
		summary: "run a system's experiment: claim, baseline, what was measured",
		load: () => import('./commands/reproduce.ts'),
	},
	{
		name: 'parity',
		summary: 'compare with golden numbers, value by value',
		load: () => import('./commands/parity.ts'),
	},
	{ name: 'bench', summary: 'side-by-side benchmarks', load: () => import('./commands/bench.ts') },
	{ name: 'schema', summary: 'print the JSON Schema of a config', load: () => import('./commands/schema.ts') },
];
