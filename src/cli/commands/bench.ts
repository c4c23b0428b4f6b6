/** @file `modelsmith bench NAME`: benchmarks against peers, from the bench/ folder of a checkout. */
import { Argument, type Command } from 'commander';
import { integer } from '../arguments.ts';
import type { Run } from '../registry.ts';

/** Every benchmark is a file of that name in bench/, which exports `benchName`. */
const BENCHMARKS: Readonly<Record<string, string>> = {
	train: 'the same GPT trained by modelsmith, JAX, PyTorch, tfjs and jax-js',
	matmul: 'matrix products: GFLOP/s of every engine',
	compile: 'graph building and session creation against the number of nodes',
	tokenizer: 'BPE training and encoding against Hugging Face',
	decode: 'tokens a second with and without a key/value cache',
	profile: 'where the time of a training step goes, node by node',
};

/** What a benchmark is called with; it returns one plain object, with `rows` where there is a table. */
type Benchmark = (options: {
	readonly log: (line: string) => void;
	readonly threads?: number;
}) => Promise<Record<string, unknown>>;

export function configure(command: Command, run: Run): void {
	command
		.description(
			'Run a benchmark side by side with its peers and print medians and ratios. Needs a checkout of the repository.',
		)
		.addArgument(new Argument('<name>', 'which benchmark').choices(Object.keys(BENCHMARKS)))
		.option('--threads <n>', 'threads for every engine', integer(1, 1024))
		.option('--save', 'write docs/measurements/<name>.json, which the README tables are made from')
		.addHelpText(
			'after',
			`\nBenchmarks:\n${Object.entries(BENCHMARKS)
				.map(([name, summary]) => `  ${name.padEnd(10)} ${summary}`)
				.join('\n')}`,
		)
		.action((name: string, options: { threads?: number; save?: true }) =>
			run(async (cli) => {
				const { existsSync } = await import('node:fs');
				const { fileURLToPath } = await import('node:url');
				const { InputError } = await import('../../base/errors.ts');
				const { resultTables } = await import('../terminal/result-tables.ts');
				const url = new URL(`../../../bench/${name}.ts`, import.meta.url);
				if (!existsSync(url)) {
					throw new InputError(`the benchmark "${name}" is not here`, {
						where: 'bench',
						expected: `bench/${name}.ts in a checkout of the repository`,
						fix: 'clone the repository and run: npm run modelsmith -- bench NAME',
					});
				}
				const module = (await import(url.href)) as Record<string, Benchmark>;
				const benchmark = module[`bench${name[0]?.toUpperCase()}${name.slice(1)}`] as Benchmark;
				const result = await benchmark({
					log: (line) => cli.note(line),
					...(options.threads !== undefined && { threads: options.threads }),
				});
				if (options.save === true) {
					const { writeFileAtomic } = await import('../../base/files.ts');
					const path = fileURLToPath(new URL(`../../../docs/measurements/${name}.json`, import.meta.url));
					writeFileAtomic(path, `${JSON.stringify({ ...result, date: new Date().toISOString() }, null, '\t')}\n`);
					cli.note(`written: docs/measurements/${name}.json; npm run readme puts it into the README`);
				}
				cli.result(result);
				if (!cli.json) cli.print(resultTables(result));
				return undefined;
			}),
		);
}
