/** @file A tokenizer: text to token ids and back, from any supported Hugging Face tokenizer.json. */
import { existsSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { InputError } from '../base/errors.ts';
import { writeFileAtomic } from '../base/files.ts';
import { IdBuffer } from './bpe-encoder.ts';
import { utf8Length } from './byte-level.ts';
import { ByteLevelRuntime } from './byte-level-runtime.ts';
import { createLibraryRuntime, type LibraryRuntime } from './library-runtime.ts';
import { StreamDecoder } from './stream-decoder.ts';
import {
	parseTokenizerConfig,
	parseTokenizerFile,
	readTokenizerConfig,
	readTokenizerFile,
	type TokenizerConfigFile,
	type TokenizerFile,
} from './tokenizer-file.ts';

export interface EncodeOptions {
	/** Add what the file's post-processor adds, e.g. `<s>` and `</s>`. Default true. */
	readonly addSpecialTokens?: boolean;
}

export interface DecodeOptions {
	/** Leave special tokens out of the text. Default false. */
	readonly skipSpecialTokens?: boolean;
}

/** Names by which a role's token is known where tokenizer_config.json does not tell. */
const USUAL_NAMES = {
	bos_token: ['<s>', '<|begin_of_text|>', '<bos>', '[CLS]'],
	eos_token: ['</s>', '<|endoftext|>', '<|end_of_text|>', '<eos>', '[SEP]'],
	pad_token: ['<pad>', '[PAD]', '<|pad|>', '<|padding|>'],
	unk_token: ['<unk>', '[UNK]'],
} as const;

/**
 * Text to ids and back. Byte-level BPE with GPT-2's words runs on this toolkit's own encoder; everything else on
 * `@huggingface/tokenizers`. `truncation` and `padding` of the file are not applied: that is the collator's work.
 */
export class Tokenizer {
	/** What to call this tokenizer in messages: the path it came from. */
	readonly name: string;
	/** Rows that an embedding needs: the largest id plus one. */
	readonly vocabSize: number;
	/** Ids of special tokens. */
	readonly specialIds: ReadonlySet<number>;
	/** Begin of sequence, end of sequence, padding, unknown; undefined where the tokenizer has none. */
	readonly bosId: number | undefined;
	readonly eosId: number | undefined;
	readonly padId: number | undefined;
	readonly unkId: number | undefined;
	/** Whether every token stands for bytes, so that any text can be encoded and `bytesOf` answers. */
	readonly isByteLevel: boolean;
	private readonly file: TokenizerFile;
	private readonly config: TokenizerConfigFile | undefined;
	private readonly ids = new Map<string, number>();
	private readonly tokens: (string | undefined)[] = [];
	private readonly byteLevel: ByteLevelRuntime | undefined;
	private readonly library: LibraryRuntime | undefined;

	private constructor(file: TokenizerFile, config: TokenizerConfigFile | undefined, name: string) {
		this.file = file;
		this.config = config;
		this.name = name;
		this.byteLevel = ByteLevelRuntime.create(file);
		this.library = this.byteLevel === undefined ? createLibraryRuntime(file, config, name) : undefined;
		this.isByteLevel = this.byteLevel !== undefined;
		let largest = -1;
		const define = (token: string, id: number): void => {
			this.ids.set(token, id);
			this.tokens[id] = token;
			largest = Math.max(largest, id);
		};
		for (const [token, id] of file.model.vocab) define(token, id);
		for (const { content, id } of file.addedTokens) define(content, id);
		this.vocabSize = largest + 1;
		this.specialIds = new Set(file.addedTokens.filter((token) => token.special).map((token) => token.id));
		this.bosId = this.roleId('bos_token');
		this.eosId = this.roleId('eos_token');
		this.padId = this.roleId('pad_token');
		this.unkId = this.ids.get(file.model.unkToken ?? '') ?? this.roleId('unk_token');
	}

	private roleId(role: keyof typeof USUAL_NAMES): number | undefined {
		if (this.config !== undefined) {
			const token = this.config.roles[role];
			return token === undefined ? undefined : this.ids.get(token);
		}
		for (const name of USUAL_NAMES[role]) {
			const id = this.ids.get(name);
			if (id !== undefined && this.specialIds.has(id)) return id;
		}
		return undefined;
	}

	/**
	 * Loads a tokenizer.json, and tokenizer_config.json when one lies beside it.
	 * @param path the file, or the folder it is in
	 * @throws InputError when a file cannot be read; FormatError naming the path and the key when one is not valid
	 */
	static fromFile(path: string): Tokenizer {
		const file = existsSync(path) && statSync(path).isDirectory() ? join(path, 'tokenizer.json') : path;
		const parsed = readTokenizerFile(file);
		const config = join(dirname(file), 'tokenizer_config.json');
		return new Tokenizer(parsed, existsSync(config) ? readTokenizerConfig(config) : undefined, file);
	}

	/**
	 * A tokenizer from parsed JSON.
	 * @param json content of tokenizer.json
	 * @param config content of tokenizer_config.json
	 * @param name what to call it in errors
	 * @throws FormatError naming the key
	 */
	static fromJson(json: unknown, config?: unknown, name = 'tokenizer.json'): Tokenizer {
		const parsedConfig = config === undefined ? undefined : parseTokenizerConfig(config, `${name} configuration`);
		return new Tokenizer(parseTokenizerFile(json, name), parsedConfig, name);
	}

	/** Token ids of a text. Lone surrogates are read as U+FFFD. */
	encode(text: string, options: EncodeOptions = {}): number[] {
		if (this.library !== undefined) return this.library.encode(text.toWellFormed(), options.addSpecialTokens ?? true);
		return Array.from(this.encodeTyped(text, options));
	}

	/** The same ids as `encode` in a typed array: the quick way for a corpus. */
	encodeTyped(text: string, options: EncodeOptions = {}): Int32Array {
		if (this.byteLevel === undefined) return Int32Array.from(this.encode(text, options));
		const out = new IdBuffer();
		this.byteLevel.encode(text, options.addSpecialTokens ?? true, out);
		return out.toTyped();
	}

	/** Token ids of each text. */
	encodeBatch(texts: readonly string[], options: EncodeOptions = {}): number[][] {
		return texts.map((text) => this.encode(text, options));
	}

	/**
	 * Text of token ids. Bytes that are not UTF-8 become U+FFFD; ids that no token has (the padding rows of an
	 * embedding) add nothing.
	 * @throws InputError for what is not an integer from 0
	 */
	decode(ids: ArrayLike<number>, options: DecodeOptions = {}): string {
		checkIds(ids);
		const skip = options.skipSpecialTokens ?? false;
		if (this.byteLevel !== undefined)
			return new TextDecoder('utf-8', { ignoreBOM: true }).decode(this.byteLevel.decodeBytes(ids, skip));
		return this.library!.decode(Array.from(ids), skip);
	}

	/** Decodes ids one by one as a model makes them, never giving out half a character. */
	streamDecoder(options: DecodeOptions = {}): StreamDecoder {
		return new StreamDecoder(this, options);
	}

	/** Id of a token as the file spells it (byte-level alphabet, `▁` ...), or undefined. */
	idOf(token: string): number | undefined {
		return this.ids.get(token);
	}

	/** Token of an id as the file spells it, or undefined. */
	tokenOf(id: number): string | undefined {
		return this.tokens[id];
	}

	/** Bytes that an id stands for; undefined when no token has it or the tokenizer is not byte-level. */
	bytesOf(id: number): Uint8Array | undefined {
		return this.byteLevel?.bytesOf(id);
	}

	/** UTF-8 bytes of a text: the denominator of bits per byte. */
	countBytes(text: string): number {
		return utf8Length(text);
	}

	/**
	 * UTF-8 bytes that ids decode to, special tokens not counted. For bits per byte of data that is stored as ids.
	 * @throws InputError for what is not an integer from 0
	 */
	countBytesOfIds(ids: ArrayLike<number>): number {
		if (this.byteLevel === undefined) return utf8Length(this.decode(ids, { skipSpecialTokens: true }));
		checkIds(ids);
		let count = 0;
		for (let i = 0; i < ids.length; i++)
			if (!this.specialIds.has(ids[i]!)) count += this.byteLevel.bytesOf(ids[i]!)?.length ?? 0;
		return count;
	}

	/** Content of tokenizer.json. */
	toJson(): Readonly<Record<string, unknown>> {
		return this.file.json;
	}

	/** Writes tokenizer.json, and tokenizer_config.json when there is a configuration, into a folder; atomic. */
	save(directory: string): void {
		writeFileAtomic(join(directory, 'tokenizer.json'), `${JSON.stringify(this.file.json, null, 1)}\n`);
		if (this.config !== undefined)
			writeFileAtomic(join(directory, 'tokenizer_config.json'), `${JSON.stringify(this.config.json, null, 2)}\n`);
	}
}

function checkIds(ids: ArrayLike<number>): void {
	for (let i = 0; i < ids.length; i++) {
		const id = ids[i]!;
		if (!Number.isInteger(id) || id < 0)
			throw new InputError('is not a token id', {
				where: `ids[${i}]`,
				expected: 'an integer from 0',
				found: String(id),
			});
	}
}
