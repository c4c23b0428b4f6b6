/** @file Trains a byte-level BPE tokenizer on a corpus: counts words, learns merges, writes Hugging Face JSON. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { z } from 'zod';
import { ConfigError, InputError, InterruptedError } from '../base/errors.ts';
import { AddedTokenSplitter } from './added-tokens.ts';
import { type LearnedMerges, learnMerges } from './bpe-merges.ts';
import { Tokenizer } from './tokenizer.ts';
import { WordCounts } from './word-counts.ts';
import { GPT2_PATTERN, nextWord, Utf8Chunks } from './word-scanner.ts';

const tokenText = z.string().min(1).max(256);

export const bpeTrainingSchema = z
	.object({
		vocabSize: z
			.int()
			.min(256)
			.max(1 << 20)
			.describe('Tokens in all: special tokens, 256 bytes, merges'),
		minFrequency: z.int().min(1).default(2).describe('Pairs that occur less often are not merged'),
		specialTokens: z
			.array(tokenText)
			.max(10_000)
			.default(['<|endoftext|>'])
			.describe('Take the first ids; their text is never split nor learned from'),
		bosToken: tokenText.optional().describe('The special token that begins a sequence'),
		eosToken: tokenText.optional().describe('The special token that ends a sequence; default <|endoftext|> if present'),
		padToken: tokenText.optional().describe('The special token that fills a batch'),
		unkToken: tokenText.optional().describe('The special token for readers that insist on one; never produced'),
		maxTokenBytes: z.int().min(2).max(65_535).default(256).describe('No token gets longer'),
		maxWordBytes: z
			.int()
			.min(16)
			.max(1 << 24)
			.default(1 << 16)
			.describe('Longer words are counted in pieces'),
		maxWords: z.int().min(1000).max(50_000_000).default(8_000_000).describe('Distinct words held; then rare ones go'),
		maxWordTableBytes: z
			.int()
			.min(1 << 16)
			.max(2 ** 29)
			.default(2 ** 26)
			.describe('Bytes of distinct words held; then rare ones go'),
	})
	.strict();

/** Options of a training run, as plain data. */
export type BpeTrainingConfig = z.input<typeof bpeTrainingSchema>;

export interface BpeTrainingProgress {
	readonly phase: 'count' | 'merge';
	/** UTF-8 bytes read, or tokens in the vocabulary. */
	readonly done: number;
	/** Tokens wanted, in the phase `merge`. */
	readonly total: number | undefined;
	/** `done` per second since the phase began. */
	readonly rate: number;
	readonly distinctWords: number;
}

export interface BpeTrainingHooks {
	/** Called about five times a second. */
	readonly onProgress?: (progress: BpeTrainingProgress) => void;
	/** Stops the training. */
	readonly signal?: AbortSignal;
}

export interface BpeTrainingStats {
	readonly documents: number;
	/** UTF-8 bytes of the corpus. */
	readonly bytes: number;
	readonly words: number;
	readonly distinctWords: number;
	/** Occurrences of rare words left out to stay within the memory limits. */
	readonly droppedWords: number;
	readonly merges: number;
	readonly countSeconds: number;
	readonly mergeSeconds: number;
}

const REPORT_MILLISECONDS = 200;

/**
 * Trains byte-level BPE with GPT-2's words. Deterministic: the same documents give the same file; see `learnMerges`
 * for the order of ties. The merges are those of `BpeTrainer` of the Hugging Face tokenizers library with a ByteLevel
 * alphabet, on texts without special tokens in them.
 * @param documents texts; a word never spans two of them
 * @throws ConfigError naming the option; InputError when there is no text; InterruptedError when stopped
 */
export async function trainBpe(
	documents: Iterable<string> | AsyncIterable<string>,
	config: BpeTrainingConfig,
	hooks: BpeTrainingHooks = {},
): Promise<{ tokenizer: Tokenizer; stats: BpeTrainingStats }> {
	const options = parseOptions(config);
	// A string is an iterable of its characters, which is never what is meant.
	if (typeof documents === 'string')
		throw new InputError('is one string', {
			where: 'documents',
			expected: 'an iterable of strings',
			fix: 'pass [text]',
		});
	const pace = new Pace(hooks);
	const words = new WordCounts({ maxWords: options.maxWords, maxBytes: options.maxWordTableBytes });
	const splitter = new AddedTokenSplitter(specialTokensOf(options.specialTokens));
	const chunks = new Utf8Chunks();
	let bytesRead = 0;
	let texts = 0;
	const count = (bytes: Uint8Array, length: number): void => {
		bytesRead += length;
		for (let start = 0; start < length; ) {
			const end = nextWord(bytes, start, length);
			for (; end - start > options.maxWordBytes; start += options.maxWordBytes)
				words.add(bytes, start, start + options.maxWordBytes);
			words.add(bytes, start, end);
			start = end;
		}
	};
	pace.begin('count');
	for await (const text of documents) {
		if (typeof text !== 'string')
			throw new InputError('is not text', { where: `document ${texts}`, expected: 'a string', found: typeof text });
		for (const { id, start, end } of splitter.split(text))
			if (id < 0) chunks.forEach(start === 0 && end === text.length ? text : text.slice(start, end), count);
		texts++;
		if (pace.isDue()) await pace.report(bytesRead, undefined, words.size);
	}
	const countSeconds = pace.seconds();
	if (words.size === 0) throw new InputError('there is no text to train on', { expected: 'at least one word' });

	pace.begin('merge');
	const learning = learnMerges(words, options);
	let step = learning.next();
	for (; step.done !== true; step = learning.next())
		if (pace.isDue()) await pace.report(step.value, options.vocabSize, words.size);
	const learned = step.value;
	const mergeSeconds = pace.seconds();
	await pace.report(learned.tokens.length, options.vocabSize, words.size);

	return {
		tokenizer: Tokenizer.fromJson(tokenizerJson(learned, options.specialTokens), tokenizerConfig(options)),
		stats: {
			documents: texts,
			bytes: bytesRead,
			words: words.total,
			distinctWords: words.size,
			droppedWords: words.dropped,
			merges: learned.merges.length,
			countSeconds,
			mergeSeconds,
		},
	};
}

type Options = z.output<typeof bpeTrainingSchema>;

function parseOptions(config: BpeTrainingConfig): Options {
	const result = bpeTrainingSchema.safeParse(config);
	if (!result.success) {
		const issue = result.error.issues[0]!;
		throw new ConfigError(issue.message, { where: `tokenizer.${issue.path.map(String).join('.')}` });
	}
	const options = result.data;
	const { specialTokens, vocabSize } = options;
	const duplicate = specialTokens.find((token, i) => specialTokens.indexOf(token) !== i);
	if (duplicate !== undefined)
		throw new ConfigError('the token is listed twice', { where: 'tokenizer.specialTokens', found: duplicate });
	const clash = specialTokens.find((token) => token.length === 1);
	if (clash !== undefined)
		throw new ConfigError('a special token of one character would hide a byte', {
			where: 'tokenizer.specialTokens',
			found: clash,
		});
	if (vocabSize < 256 + specialTokens.length)
		throw new ConfigError('the vocabulary is too small for the bytes and the special tokens', {
			where: 'tokenizer.vocabSize',
			expected: `at least ${256 + specialTokens.length}`,
			found: `${vocabSize}`,
		});
	for (const role of ['bosToken', 'eosToken', 'padToken', 'unkToken'] as const) {
		const token = options[role];
		if (token !== undefined && !specialTokens.includes(token))
			throw new ConfigError('is not one of the special tokens', {
				where: `tokenizer.${role}`,
				expected: specialTokens.join(', '),
				found: token,
				fix: 'add it to tokenizer.specialTokens',
			});
	}
	return options;
}

function specialTokensOf(contents: readonly string[]) {
	return contents.map((content, id) => ({
		id,
		content,
		singleWord: false,
		lstrip: false,
		rstrip: false,
		normalized: false,
		special: true,
	}));
}

/**
 * Content of tokenizer.json. GPT-2's pattern is spelled out in a Split before ByteLevel rather than left to ByteLevel:
 * `@huggingface/tokenizers` reads `\s` there as JavaScript does, and the ids would differ at U+0085 and U+FEFF.
 */
function tokenizerJson({ tokens, merges }: LearnedMerges, specialTokens: readonly string[]): Record<string, unknown> {
	const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true };
	return {
		version: '1.0',
		truncation: null,
		padding: null,
		added_tokens: specialTokensOf(specialTokens).map(({ singleWord, ...token }) => ({
			id: token.id,
			content: token.content,
			single_word: singleWord,
			lstrip: token.lstrip,
			rstrip: token.rstrip,
			normalized: token.normalized,
			special: token.special,
		})),
		normalizer: null,
		pre_tokenizer: {
			type: 'Sequence',
			pretokenizers: [
				{ type: 'Split', pattern: { Regex: GPT2_PATTERN }, behavior: 'Isolated', invert: false },
				{ ...byteLevel, use_regex: false },
			],
		},
		post_processor: null,
		decoder: { ...byteLevel, use_regex: true },
		model: {
			type: 'BPE',
			dropout: null,
			unk_token: null,
			continuing_subword_prefix: null,
			end_of_word_suffix: null,
			fuse_unk: false,
			byte_fallback: false,
			ignore_merges: false,
			vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
			merges: merges.map(([a, b]) => [tokens[a]!, tokens[b]!]),
		},
	};
}

function tokenizerConfig(options: Options): Record<string, unknown> {
	const { specialTokens, bosToken, padToken, unkToken } = options;
	const eosToken = options.eosToken ?? (specialTokens.includes('<|endoftext|>') ? '<|endoftext|>' : undefined);
	return {
		tokenizer_class: 'PreTrainedTokenizerFast',
		...(bosToken !== undefined && { bos_token: bosToken }),
		...(eosToken !== undefined && { eos_token: eosToken }),
		...(padToken !== undefined && { pad_token: padToken }),
		...(unkToken !== undefined && { unk_token: unkToken }),
		add_prefix_space: false,
		clean_up_tokenization_spaces: false,
	};
}

/** Reports progress now and then, and lets the event loop run meanwhile. */
class Pace {
	private readonly hooks: BpeTrainingHooks;
	private phase: BpeTrainingProgress['phase'] = 'count';
	private started = 0;
	private last = 0;

	constructor(hooks: BpeTrainingHooks) {
		this.hooks = hooks;
	}

	begin(phase: BpeTrainingProgress['phase']): void {
		this.phase = phase;
		this.started = performance.now();
		this.last = this.started;
	}

	seconds(): number {
		return (performance.now() - this.started) / 1000;
	}

	isDue(): boolean {
		return performance.now() - this.last > REPORT_MILLISECONDS;
	}

	async report(done: number, total: number | undefined, distinctWords: number): Promise<void> {
		this.last = performance.now();
		this.hooks.onProgress?.({ phase: this.phase, done, total, rate: done / this.seconds(), distinctWords });
		await nextTurn();
		if (this.hooks.signal?.aborted === true) throw new InterruptedError('tokenizer training was stopped');
	}
}
