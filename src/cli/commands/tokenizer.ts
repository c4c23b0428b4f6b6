/** @file `modelsmith tokenizer train|inspect`. */
import type { Command } from 'commander';
import { integer, repeated, text } from '../arguments.ts';
import type { Cli, Outcome } from '../cli.ts';
import type { Run } from '../registry.ts';

interface TrainOptions {
	readonly vocabSize: number;
	readonly out: string;
	readonly minFrequency: number;
	readonly special?: string[];
	readonly field?: string;
	readonly force?: true;
}

interface InspectOptions {
	readonly text?: string;
	readonly ids?: string;
}

export function configure(command: Command, run: Run): void {
	command.description('Train a byte-level BPE tokenizer, or look into a tokenizer.json.');
	command
		.command('train')
		.description('Train byte-level BPE on text and write tokenizer.json (Hugging Face format).')
		.argument('<text...>', 'files, folders or globs (.txt, .md, .jsonl, .parquet), or the word moby-dick')
		.requiredOption('--out <folder>', 'folder for tokenizer.json', text)
		.option('--vocab-size <n>', 'tokens in all', integer(257, 1 << 20), 4096)
		.option('--min-frequency <n>', 'rarer pairs are not merged', integer(1), 2)
		.option('--special <token>', 'a special token; may be repeated (default: <|endoftext|>)', repeated(text))
		.option('--field <name>', 'field (JSONL) or column (Parquet) with the text', text)
		.option('--force', 'replace a tokenizer.json that is there')
		.action((paths: string[], options: TrainOptions) => run((cli) => train(cli, paths, options)));
	command
		.command('inspect')
		.description('Print what a tokenizer is, and how it cuts a text.')
		.argument('<path>', 'a tokenizer.json, or a folder with one (a run)')
		.option('--text <text>', 'show the tokens of this text')
		.option('--ids <list>', 'show the text of these ids, e.g. 12,7,300')
		.action((path: string, options: InspectOptions) => run((cli) => inspect(cli, path, options)));
}

async function train(cli: Cli, paths: readonly string[], options: TrainOptions): Promise<Outcome | undefined> {
	const { existsSync } = await import('node:fs');
	const { join } = await import('node:path');
	const { InputError } = await import('../../base/errors.ts');
	const { trainBpe } = await import('../../tokenizers/train-bpe.ts');
	const { formatCount } = await import('../terminal/format.ts');
	const { Progress } = await import('../terminal/progress.ts');
	const { textSourceOf } = await import('../text-paths.ts');
	const { interruptible } = await import('../interrupt.ts');
	const target = join(options.out, 'tokenizer.json');
	if (existsSync(target) && options.force !== true) {
		throw new InputError('is already there', {
			where: target,
			fix: 'choose another --out, or replace it with --force',
		});
	}
	const source = textSourceOf(paths, options.field);
	const totalBytes = (await source.files()).reduce((sum, { byteLength }) => sum + byteLength, 0);
	const reading = new Progress(cli.host.stderr, { label: 'reading', total: totalBytes, unit: 'bytes' });
	let merging: InstanceType<typeof Progress> | undefined;
	let read = 0;
	const onBytes = (bytes: number): void => {
		read += bytes;
		reading.update(read);
	};
	const documents = async function* (): AsyncGenerator<string> {
		for await (const document of source.documents({ onBytes })) yield document.text;
	};
	const { tokenizer, stats } = await interruptible(cli, 'nothing is written', (signal) =>
		trainBpe(
			documents(),
			{
				vocabSize: options.vocabSize,
				minFrequency: options.minFrequency,
				...(options.special !== undefined && { specialTokens: options.special }),
			},
			{
				signal,
				onProgress({ phase, done, total }) {
					if (phase === 'count') return;
					if (merging === undefined) {
						reading.finish();
						merging = new Progress(cli.host.stderr, { label: 'merging', total, unit: 'tokens' });
					}
					merging.update(done);
				},
			},
		),
	).catch((error: unknown) => {
		(merging ?? reading).abandon();
		throw error;
	});
	merging?.finish();
	tokenizer.save(options.out);
	cli.result({ path: target, vocabSize: tokenizer.vocabSize, ...stats });
	cli.print(
		`${target}: ${tokenizer.vocabSize} tokens from ${formatCount(stats.bytes)} bytes in ${stats.documents} documents (${formatCount(stats.distinctWords)} different words)`,
	);
	if (tokenizer.vocabSize < options.vocabSize) {
		cli.note(`the text has no more pairs that occur ${options.minFrequency} times: fewer tokens than asked for`);
	}
	return undefined;
}

async function inspect(cli: Cli, path: string, options: InspectOptions): Promise<Outcome | undefined> {
	const { InputError } = await import('../../base/errors.ts');
	const { Tokenizer } = await import('../../tokenizers/tokenizer.ts');
	const { safeText } = await import('../terminal/safe-text.ts');
	const tokenizer = Tokenizer.fromFile(path);
	const ids = options.text === undefined ? undefined : tokenizer.encode(options.text);
	const decoded = options.ids === undefined ? undefined : tokenizer.decode(parseIds(options.ids, InputError));
	const tokens = ids?.map((id) => tokenizer.tokenOf(id) ?? '');
	const special = [...tokenizer.specialIds].map((id) => ({ id, token: tokenizer.tokenOf(id) ?? '' }));
	const roles = {
		bos: tokenizer.bosId ?? null,
		eos: tokenizer.eosId ?? null,
		pad: tokenizer.padId ?? null,
		unk: tokenizer.unkId ?? null,
	};
	cli.result({
		path: tokenizer.name,
		vocabSize: tokenizer.vocabSize,
		byteLevel: tokenizer.isByteLevel,
		special,
		roles,
		...(ids !== undefined && { text: options.text, ids, tokens }),
		...(decoded !== undefined && { decoded }),
	});
	cli.print(`${tokenizer.name}`);
	cli.print(
		`  vocabulary  ${tokenizer.vocabSize} tokens${tokenizer.isByteLevel ? ', byte-level: any text can be encoded' : ''}`,
	);
	cli.print(
		`  special     ${
			safeText(
				special
					.slice(0, 12)
					.map(({ id, token }) => `${token} (${id})`)
					.join(', '),
			) || 'none'
		}`,
	);
	if (ids !== undefined && tokens !== undefined && options.text !== undefined) {
		const bytes = tokenizer.countBytes(options.text);
		const perToken = ids.length === 0 ? '' : `, ${(bytes / ids.length).toFixed(2)} bytes a token`;
		cli.print(`  text        ${ids.length} tokens for ${bytes} bytes${perToken}`);
		cli.print(`  tokens      ${safeText(tokens.join(' | '))}`);
		cli.print(`  ids         ${ids.join(' ')}`);
	}
	if (decoded !== undefined) cli.print(`  decoded     ${safeText(decoded)}`);
	return undefined;
}

function parseIds(list: string, InputError: typeof import('../../base/errors.ts').InputError): number[] {
	return list
		.split(/[\s,]+/)
		.filter((part) => part !== '')
		.map((part) => {
			if (!/^\d{1,9}$/.test(part)) {
				throw new InputError('is not a token id', {
					where: '--ids',
					expected: 'numbers with commas between them',
					found: part,
				});
			}
			return Number(part);
		});
}
