/**
 * @file Runs the tokenizer.json files that this toolkit trains, and others of their kind: byte-level BPE with GPT-2's
 * words and no normalizer. Encodes and decodes on bytes, without `@huggingface/tokenizers`.
 */
import { AddedTokenSplitter } from './added-tokens.ts';
import { BpeEncoder, type IdBuffer, isByteLevel } from './bpe-encoder.ts';
import { tokenToBytes } from './byte-level.ts';
import { patternSource } from './library-adapter.ts';
import type { Component, Pattern } from './tokenizer-components.ts';
import type { TokenizerFile } from './tokenizer-file.ts';
import { GPT2_PATTERN } from './word-scanner.ts';

/** What surrounds a single text when special tokens are asked for. */
interface Frame {
	readonly prefix: readonly number[];
	readonly suffix: readonly number[];
}

/** Encoder and decoder of one byte-level tokenizer. */
export class ByteLevelRuntime {
	private readonly splitter: AddedTokenSplitter;
	private readonly encoder: BpeEncoder;
	private readonly frame: Frame;
	private readonly addPrefixSpace: boolean;
	/** The bytes of each id; undefined where no token has the id. */
	private readonly bytes: (Uint8Array | undefined)[] = [];
	private readonly special = new Set<number>();

	private constructor(file: TokenizerFile, encoder: BpeEncoder, frame: Frame, addPrefixSpace: boolean) {
		this.encoder = encoder;
		this.frame = frame;
		this.addPrefixSpace = addPrefixSpace;
		this.splitter = new AddedTokenSplitter(file.addedTokens);
		const utf8 = new TextEncoder();
		for (const [token, id] of file.model.vocab) this.bytes[id] = tokenToBytes(token) ?? utf8.encode(token);
		for (const { id, content, special } of file.addedTokens) {
			this.bytes[id] = utf8.encode(content);
			if (special) this.special.add(id);
		}
	}

	/** A runtime for the file, or undefined when it needs something this one does not do. */
	static create(file: TokenizerFile): ByteLevelRuntime | undefined {
		const { model } = file;
		if (model.type !== 'BPE' || model.dropout > 0 || model.endOfWordSuffix !== '') return undefined;
		if (file.normalizer !== null || file.decoder?.type !== 'ByteLevel' || !isByteLevel(model)) return undefined;
		const words = wordsOf(file.preTokenizer);
		const frame = frameOf(file.postProcessor, file);
		if (words === undefined || frame === undefined) return undefined;
		return new ByteLevelRuntime(file, new BpeEncoder(model), frame, words.addPrefixSpace);
	}

	/** Appends the ids of `text` to `out`. */
	encode(text: string, addSpecialTokens: boolean, out: IdBuffer): void {
		if (addSpecialTokens) for (const id of this.frame.prefix) out.push(id);
		for (const { id, start, end } of this.splitter.split(text)) {
			if (id >= 0) {
				out.push(id);
				continue;
			}
			const section = start === 0 && end === text.length ? text : text.slice(start, end);
			this.encoder.encode(this.addPrefixSpace && !section.startsWith(' ') ? ` ${section}` : section, out);
		}
		if (addSpecialTokens) for (const id of this.frame.suffix) out.push(id);
	}

	/** The bytes of a token, or undefined when no token has the id. */
	bytesOf(id: number): Uint8Array | undefined {
		return this.bytes[id];
	}

	/** The bytes of ids in a row; ids without a token add nothing. */
	decodeBytes(ids: ArrayLike<number>, skipSpecialTokens: boolean): Uint8Array {
		let length = 0;
		for (let i = 0; i < ids.length; i++) length += this.bytes[ids[i]!]?.length ?? 0;
		const all = new Uint8Array(length);
		let used = 0;
		for (let i = 0; i < ids.length; i++) {
			const id = ids[i]!;
			const bytes = this.bytes[id];
			if (bytes === undefined || (skipSpecialTokens && this.special.has(id))) continue;
			all.set(bytes, used);
			used += bytes.length;
		}
		return all.subarray(0, used);
	}
}

/** Whether a pre-tokenizer is GPT-2's, in either of the two usual spellings. */
function wordsOf(preTokenizer: Component | null): { addPrefixSpace: boolean } | undefined {
	if (preTokenizer?.type === 'ByteLevel')
		return preTokenizer.use_regex === false ? undefined : { addPrefixSpace: preTokenizer.add_prefix_space === true };
	if (preTokenizer?.type !== 'Sequence') return undefined;
	const [split, bytes, ...rest] = preTokenizer.pretokenizers as Component[];
	if (split?.type !== 'Split' || bytes?.type !== 'ByteLevel' || rest.length > 0) return undefined;
	if (bytes.use_regex !== false || bytes.add_prefix_space === true) return undefined;
	const isWords =
		patternSource(split.pattern as Pattern) === GPT2_PATTERN &&
		(split.behavior === 'Isolated' || (split.behavior === 'Removed' && split.invert === true));
	return isWords ? { addPrefixSpace: false } : undefined;
}

function frameOf(postProcessor: Component | null, file: TokenizerFile): Frame | undefined {
	switch (postProcessor?.type) {
		case undefined:
		case 'ByteLevel':
			return { prefix: [], suffix: [] };
		case 'BertProcessing':
		case 'RobertaProcessing': {
			const [, cls] = postProcessor.cls as [string, number];
			const [, sep] = postProcessor.sep as [string, number];
			return { prefix: [cls], suffix: [sep] };
		}
		case 'Sequence': {
			const parts = (postProcessor.processors as Component[]).filter((part) => part.type !== 'ByteLevel');
			return parts.length > 1 ? undefined : frameOf(parts[0] ?? null, file);
		}
		case 'TemplateProcessing':
			return frameOfTemplate(postProcessor.single as TemplateItem[], file);
		default:
			return undefined;
	}
}

interface TemplateItem {
	readonly SpecialToken?: { readonly id: string };
	readonly Sequence?: { readonly id: string };
}

function frameOfTemplate(items: readonly TemplateItem[], file: TokenizerFile): Frame | undefined {
	const added = new Map(file.addedTokens.map((token) => [token.content, token.id]));
	const prefix: number[] = [];
	const suffix: number[] = [];
	let sequences = 0;
	for (const item of items) {
		if (item.Sequence !== undefined) {
			if (item.Sequence.id !== 'A') return undefined;
			sequences++;
		} else if (item.SpecialToken !== undefined) {
			const id = added.get(item.SpecialToken.id) ?? file.model.vocab.get(item.SpecialToken.id);
			if (id === undefined) return undefined;
			(sequences === 0 ? prefix : suffix).push(id);
		}
	}
	return sequences === 1 ? { prefix, suffix } : undefined;
}
