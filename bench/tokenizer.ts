/**
 * @file `modelsmith bench tokenizer`: byte-level BPE training and encoding side by side with Python `tokenizers` (Rust)
 * and `@huggingface/tokenizers`, on the same files. Every measurement of training runs in a process of its own.
 * The corpus is real text that the dependencies ship: .md, .txt, .html, .ts, .js, .mjs, .cjs, .json and .map files.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { globSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Tokenizer as LibraryTokenizer } from '@huggingface/tokenizers';
import { textOfFiles } from '../src/tokenizers/text-files.ts';
import { Tokenizer } from '../src/tokenizers/tokenizer.ts';
import { trainBpe } from '../src/tokenizers/train-bpe.ts';
import { GPT2_PATTERN, nextWord, Utf8Chunks } from '../src/tokenizers/word-scanner.ts';

export interface TokenizerBenchOptions {
	/** Only the result counts; nothing is logged. */
	readonly json?: boolean;
	/** Receives progress lines. */
	readonly log?: (line: string) => void;
	/** Size of the training corpus in MB (10^6 bytes); default 20, at most what is there (about 100). */
	readonly megabytes?: number;
	/** Size of the text that is encoded; default 5. */
	readonly encodeMegabytes?: number;
	/** Default 8192. */
	readonly vocabSize?: number;
	/** Runs of each measurement, of which the median counts; default 3. */
	readonly repeats?: number;
	/** Python interpreter with the package `tokenizers`; default the variable MODELSMITH_PYTHON. */
	readonly python?: string;
}

interface Timing {
	readonly medianSeconds: number;
	readonly megabytesPerSecond: number;
	readonly peakMegabytes?: number;
	/** How many times as long this takes as ours. */
	readonly timesOurs: number;
}
const NOT_AVAILABLE = 'not available';
type Missing = typeof NOT_AVAILABLE;

export interface TokenizerBenchResult {
	readonly machine: { readonly cpus: number; readonly model: string; readonly node: string };
	readonly corpus: { readonly files: number; readonly bytes: number; readonly kind: string };
	readonly vocabSize: number;
	readonly repeats: number;
	readonly training: {
		readonly ours: Timing;
		readonly pythonTokenizers: Timing | Missing;
		/** Whether both learned the same merges in the same order. */
		readonly sameMerges: boolean | Missing;
	};
	readonly encoding: {
		readonly bytes: number;
		readonly tokens: number;
		readonly ours: Timing;
		readonly huggingfaceJs: Timing;
		readonly pythonTokenizersOneThread: Timing | Missing;
		readonly pythonTokenizersAllThreads: Timing | Missing;
		/** Whether all that ran counted the same number of tokens. */
		readonly sameTokens: boolean;
	};
	/** Finding GPT-2's words: the scanner against the regular expression. */
	readonly words: { readonly scannerMegabytesPerSecond: number; readonly regexMegabytesPerSecond: number };
	readonly pythonVersion: string;
}

interface ChildResult {
	readonly seconds: number;
	readonly peakMegabytes: number;
	readonly merges?: string[][];
	readonly tokens?: number;
	readonly version?: string;
}

/**
 * Measures and compares. Takes about two minutes with the default sizes.
 * @throws Error when a measurement fails; a missing Python is reported, not thrown
 */
export async function benchTokenizer(options: TokenizerBenchOptions = {}): Promise<TokenizerBenchResult> {
	const log = options.json === true ? () => {} : (options.log ?? (() => {}));
	const { megabytes = 20, encodeMegabytes = 5, vocabSize = 8192, repeats = 3 } = options;
	const python = availablePython(options.python ?? process.env.MODELSMITH_PYTHON);
	const directory = mkdtempSync(join(tmpdir(), 'modelsmith-bench-'));
	try {
		const paths = corpusFiles();
		const training = listing(join(directory, 'train.json'), paths, megabytes);
		const encoding = listing(join(directory, 'encode.json'), paths, encodeMegabytes);
		log(`corpus: ${training.paths.length} files, ${(training.bytes / 1e6).toFixed(1)} MB; vocabulary ${vocabSize}`);

		const saved = join(directory, 'tokenizer');
		const ours: ChildResult[] = [];
		const theirs: ChildResult[] = [];
		for (let run = 0; run < repeats; run++) {
			// Taking turns spreads the noise of a busy machine over both.
			ours.push(runNode(['train', training.file, String(vocabSize), saved]));
			log(`training, ours: ${ours.at(-1)!.seconds.toFixed(2)} s`);
			if (python === undefined) continue;
			theirs.push(runPython(python, ['train', training.file, String(vocabSize)]));
			log(`training, Python tokenizers: ${theirs.at(-1)!.seconds.toFixed(2)} s`);
		}
		const trained = JSON.parse(readFileSync(join(saved, 'tokenizer.json'), 'utf8')) as {
			model: { merges: string[][] };
		};

		const encode = (kind: string) => runNode([kind, encoding.file, join(saved, 'tokenizer.json'), String(repeats)]);
		const oursEncoding = encode('encode-ours');
		const library = encode('encode-library');
		const words = runNode(['words', encoding.file]) as unknown as TokenizerBenchResult['words'];
		const pythonEncode = (parallel: string) =>
			python === undefined
				? undefined
				: runPython(python, ['encode', encoding.file, join(saved, 'tokenizer.json'), String(repeats)], {
						TOKENIZERS_PARALLELISM: parallel,
					});
		const oneThread = pythonEncode('false');
		const allThreads = pythonEncode('true');
		const counts = [oursEncoding, library, oneThread, allThreads].filter((run) => run !== undefined);

		const ourSeconds = median(ours.map((run) => run.seconds));
		const trainingTiming = (runs: ChildResult[]) =>
			timing(
				median(runs.map((run) => run.seconds)),
				training.bytes,
				ourSeconds,
				Math.max(...runs.map((run) => run.peakMegabytes)),
			);
		const encodingTiming = (run: ChildResult) => timing(run.seconds, encoding.bytes, oursEncoding.seconds);
		return {
			machine: { cpus: cpus().length, model: cpus()[0]?.model ?? 'unknown', node: process.version },
			corpus: {
				files: training.paths.length,
				bytes: training.bytes,
				kind: 'text files of the installed npm packages, without repeats',
			},
			vocabSize,
			repeats,
			training: {
				ours: trainingTiming(ours),
				pythonTokenizers: theirs.length === 0 ? NOT_AVAILABLE : trainingTiming(theirs),
				sameMerges:
					theirs.length === 0
						? NOT_AVAILABLE
						: JSON.stringify(theirs[0]!.merges) === JSON.stringify(trained.model.merges),
			},
			encoding: {
				bytes: encoding.bytes,
				tokens: oursEncoding.tokens!,
				ours: encodingTiming(oursEncoding),
				huggingfaceJs: encodingTiming(library),
				pythonTokenizersOneThread: oneThread === undefined ? NOT_AVAILABLE : encodingTiming(oneThread),
				pythonTokenizersAllThreads: allThreads === undefined ? NOT_AVAILABLE : encodingTiming(allThreads),
				sameTokens: counts.every((run) => run.tokens === oursEncoding.tokens),
			},
			words,
			pythonVersion: theirs[0]?.version ?? NOT_AVAILABLE,
		};
	} finally {
		rmSync(directory, { recursive: true });
	}
}

/** Text files of the installed packages, natural language first, each content once, in a fixed order. */
function corpusFiles(): string[] {
	const root = join(import.meta.dirname, '../node_modules');
	const seen = new Set<string>();
	return ['md', 'txt', 'html', 'ts', 'js', 'mjs', 'cjs', 'json', 'map']
		.flatMap((extension) => globSync(`**/*.${extension}`, { cwd: root }).sort())
		.map((path) => join(root, path))
		.filter((path) => {
			const stat = statSync(path, { throwIfNoEntry: false });
			if (stat === undefined || !stat.isFile() || stat.size > 2 ** 25) return false;
			const hash = createHash('sha1').update(readFileSync(path)).digest('base64');
			if (seen.has(hash)) return false;
			seen.add(hash);
			return true;
		});
}

/** Writes the list of every k-th file such that about `megabytes` come together, so that all kinds are in. */
function listing(
	file: string,
	paths: readonly string[],
	megabytes: number,
): { file: string; paths: string[]; bytes: number } {
	const sizes = paths.map((path) => statSync(path).size);
	const all = sizes.reduce((sum, size) => sum + size, 0);
	const share = Math.min(1, (megabytes * 1e6) / all);
	const chosen: string[] = [];
	let passed = 0;
	let bytes = 0;
	for (const [i, path] of paths.entries()) {
		passed += sizes[i]!;
		if (bytes + sizes[i]! > passed * share + 1) continue;
		chosen.push(path);
		bytes += sizes[i]!;
	}
	writeFileSync(file, JSON.stringify(chosen));
	return { file, paths: chosen, bytes };
}

function timing(seconds: number, bytes: number, ours: number, peakMegabytes?: number): Timing {
	return {
		medianSeconds: round(seconds),
		megabytesPerSecond: round(bytes / 1e6 / seconds),
		...(peakMegabytes !== undefined && { peakMegabytes: Math.round(peakMegabytes) }),
		timesOurs: round(seconds / ours),
	};
}

function round(value: number): number {
	return Number(value.toPrecision(3));
}

function median(values: readonly number[]): number {
	const sorted = [...values].sort((a, b) => a - b);
	const middle = sorted.length >> 1;
	return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

function availablePython(python: string | undefined): string | undefined {
	if (python === undefined) return undefined;
	return spawnSync(python, ['-c', 'import tokenizers']).status === 0 ? python : undefined;
}

function runNode(args: string[]): ChildResult {
	return runChild(process.execPath, [import.meta.filename, '--measure', ...args]);
}

function runPython(python: string, args: string[], env: Record<string, string> = {}): ChildResult {
	return runChild(python, [join(import.meta.dirname, 'tokenizer-peer.py'), ...args], env);
}

function runChild(command: string, args: string[], env: Record<string, string> = {}): ChildResult {
	const child = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 2 ** 28, env: { ...process.env, ...env } });
	if (child.status !== 0) throw new Error(`${command} ${args.join(' ')} failed: ${child.stderr}`);
	return JSON.parse(child.stdout) as ChildResult;
}

/** One measurement, in its own process; prints a ChildResult. */
async function measure([kind, list, third, fourth]: string[]): Promise<void> {
	const paths = JSON.parse(readFileSync(list!, 'utf8')) as string[];
	const peakMegabytes = () => process.resourceUsage().maxRSS / 1024;
	if (kind === 'train') {
		const start = performance.now();
		const { tokenizer } = await trainBpe(textOfFiles(paths), { vocabSize: Number(third) });
		const seconds = (performance.now() - start) / 1000;
		tokenizer.save(fourth!);
		console.log(JSON.stringify({ seconds, peakMegabytes: peakMegabytes() }));
		return;
	}
	const texts = paths.map((path) => readFileSync(path, 'utf8'));
	if (kind === 'words') {
		console.log(JSON.stringify(measureWords(texts)));
		return;
	}
	const encode = kind === 'encode-ours' ? ourEncoder(third!) : libraryEncoder(third!);
	const seconds: number[] = [];
	let tokens = 0;
	// The first round warms caches and the compiler up and is not counted.
	for (let run = 0; run <= Number(fourth); run++) {
		tokens = 0;
		const start = performance.now();
		for (const text of texts) tokens += encode(text);
		if (run > 0) seconds.push((performance.now() - start) / 1000);
	}
	console.log(JSON.stringify({ seconds: median(seconds), tokens, peakMegabytes: peakMegabytes() }));
}

function ourEncoder(path: string): (text: string) => number {
	const tokenizer = Tokenizer.fromFile(path);
	return (text) => tokenizer.encodeTyped(text).length;
}

function libraryEncoder(path: string): (text: string) => number {
	const Library = LibraryTokenizer as unknown as new (
		json: object,
		config: object,
	) => { encode(text: string): { ids: number[] } };
	const library = new Library(JSON.parse(readFileSync(path, 'utf8')) as object, {});
	return (text) => library.encode(text).ids.length;
}

function measureWords(texts: readonly string[]): TokenizerBenchResult['words'] {
	const bytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
	const chunks = new Utf8Chunks();
	const pattern = new RegExp(GPT2_PATTERN, 'gu');
	const scan = () => {
		let words = 0;
		for (const text of texts)
			chunks.forEach(text, (buffer, length) => {
				for (let start = 0; start < length; words++) start = nextWord(buffer, start, length);
			});
		return words;
	};
	const match = () => texts.reduce((sum, text) => sum + (text.match(pattern)?.length ?? 0), 0);
	const rate = (work: () => number): number => {
		const seconds = [0, 1, 2, 3].map(() => {
			const start = performance.now();
			work();
			return (performance.now() - start) / 1000;
		});
		return round(bytes / 1e6 / median(seconds.slice(1)));
	};
	return { scannerMegabytesPerSecond: rate(scan), regexMegabytesPerSecond: rate(match) };
}

async function main(args: string[]): Promise<void> {
	if (args[0] === '--measure') return measure(args.slice(1));
	const number = (name: string): number | undefined => {
		const at = args.indexOf(name);
		return at < 0 ? undefined : Number(args[at + 1]);
	};
	const megabytes = number('--megabytes');
	const vocabSize = number('--vocab-size');
	const result = await benchTokenizer({
		log: (line) => console.error(line),
		json: args.includes('--json'),
		...(megabytes !== undefined && { megabytes }),
		...(vocabSize !== undefined && { vocabSize }),
	});
	console.log(JSON.stringify(result, null, 2));
}

if (import.meta.main) await main(process.argv.slice(2));
