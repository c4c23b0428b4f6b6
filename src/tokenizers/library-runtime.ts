/**
 * @file Runs any supported tokenizer.json with `@huggingface/tokenizers`. Used for everything that is not byte-level
 * BPE with GPT-2's words, which `BpeEncoder` does faster.
 */
import { Tokenizer } from '@huggingface/tokenizers';
import { FormatError, InputError } from '../base/errors.ts';
import { describe } from './format-check.ts';
import { adaptPreTokenizer, adaptReplacements, patternSource } from './library-adapter.ts';
import { patternFault, runsQuickly } from './regex-safety.ts';
import { eachComponent, type Pattern } from './tokenizer-components.ts';
import type { TokenizerConfigFile, TokenizerFile } from './tokenizer-file.ts';

/** A text may become this many times longer in normalization, no more. */
const MAX_GROWTH = 4096;

// The package's own types do not resolve under NodeNext (its .d.ts files import without extensions).
interface Library {
	encode(text: string, options: { add_special_tokens: boolean }): { ids: number[] };
	decode(ids: number[], options: { skip_special_tokens: boolean; clean_up_tokenization_spaces: boolean }): string;
	id_to_token(id: number): string | undefined;
	readonly normalizer: unknown;
	readonly pre_tokenizer: unknown;
	readonly decoder: unknown;
}
const LibraryTokenizer = Tokenizer as unknown as new (json: object, config: object) => Library;

export interface LibraryRuntime {
	encode(text: string, addSpecialTokens: boolean): number[];
	decode(ids: readonly number[], skipSpecialTokens: boolean): string;
}

/**
 * Prepares a checked file for the library.
 * @throws FormatError naming the key of a pattern that is not safe or not supported
 */
export function createLibraryRuntime(
	file: TokenizerFile,
	config: TokenizerConfigFile | undefined,
	where: string,
): LibraryRuntime {
	checkPatterns(file, where);
	const roles: Record<string, string> = { ...config?.roles };
	// The library takes the unknown token of a WordLevel model from the configuration.
	if (file.model.unkToken !== null) roles.unk_token ??= file.model.unkToken;
	const parts = {
		normalizer: file.normalizer && adaptReplacements(file.normalizer),
		pre_tokenizer: file.preTokenizer && adaptPreTokenizer(file.preTokenizer),
		post_processor: file.postProcessor,
		decoder: file.decoder && adaptReplacements(file.decoder),
	};
	// First without tokens: the library runs the normalizer on added tokens at once, so its patterns come first.
	const small = { type: 'WordLevel', vocab: { a: 0 }, unk_token: 'a' };
	checkCompiled(construct({ ...parts, added_tokens: [], model: small }, { unk_token: 'a' }, where), where);
	const added = file.addedTokens.map(({ singleWord, ...token }) => ({ ...token, single_word: singleWord }));
	const library = construct({ ...parts, added_tokens: added, model: file.model.json }, roles, where);
	keepByteOrderMarks(library.decoder);
	return {
		encode(text, addSpecialTokens) {
			const { ids } = library.encode(text, { add_special_tokens: addSpecialTokens });
			for (const id of ids) {
				if (!Number.isInteger(id))
					throw new InputError('the text has characters that are not in the vocabulary, and it has no unknown token', {
						where,
						found: describe(text),
					});
			}
			return ids;
		},
		decode(ids, skipSpecialTokens) {
			const known = ids.filter((id) => library.id_to_token(id) !== undefined);
			if (known.length === 0) return '';
			return library.decode(known, {
				skip_special_tokens: skipSpecialTokens,
				clean_up_tokenization_spaces: config?.cleanUpTokenizationSpaces ?? false,
			});
		},
	};
}

function construct(json: object, config: object, where: string): Library {
	try {
		return new LibraryTokenizer(json, config);
	} catch (error) {
		throw new FormatError(`@huggingface/tokenizers does not accept it (${(error as Error).message.slice(0, 200)})`, {
			where,
			cause: error,
		});
	}
}

/** ByteFallback decodes with a TextDecoder that drops U+FEFF wherever a run of byte tokens begins with it. */
function keepByteOrderMarks(decoder: unknown): void {
	if (typeof decoder !== 'object' && typeof decoder !== 'function') return;
	const parts = (decoder ?? {}) as { text_decoder?: unknown; decoders?: unknown };
	if (parts.text_decoder instanceof TextDecoder) parts.text_decoder = new TextDecoder('utf-8', { ignoreBOM: true });
	if (Array.isArray(parts.decoders)) parts.decoders.forEach(keepByteOrderMarks);
}

/** What can be told from the patterns without running them. */
function checkPatterns(file: TokenizerFile, where: string): void {
	if (file.addedTokens.some((token) => token.singleWord))
		throw new FormatError('added tokens with single_word are not supported for this kind of tokenizer', {
			where: `${where}: added_tokens`,
		});
	let growth = 1;
	for (const [part, key] of eachComponent(file.normalizer, 'normalizer')) {
		if (part.type !== 'Replace') continue;
		checkPattern(part.pattern as Pattern, `${where}: ${key}.pattern`);
		const pattern = part.pattern as Pattern;
		const content = part.content as string;
		growth *= Math.max(1, 'String' in pattern ? content.length / pattern.String.length : content.length);
		if (growth > MAX_GROWTH)
			throw new FormatError('the replacements could make a text too long', {
				where: `${where}: ${key}`,
				expected: `growth by a factor of at most ${MAX_GROWTH}`,
			});
	}
	for (const [part, key] of eachComponent(file.decoder, 'decoder'))
		if (part.type === 'Replace') checkPattern(part.pattern as Pattern, `${where}: ${key}.pattern`);
	for (const [part, key] of eachComponent(file.preTokenizer, 'pre_tokenizer')) {
		if (part.type !== 'Split') continue;
		checkPattern(part.pattern as Pattern, `${where}: ${key}.pattern`);
		const source = patternSource(part.pattern as Pattern);
		if (part.invert === true && part.behavior !== 'Removed' && part.behavior !== 'Isolated')
			throw new FormatError('an inverted Split is supported only with Removed and Isolated', {
				where: `${where}: ${key}.behavior`,
				found: String(part.behavior),
			});
		if (part.behavior === 'Removed' && part.invert !== true && /(?:^|[^\\])\((?!\?)/.test(source))
			throw new FormatError('a Split that removes its matches must not capture', {
				where: `${where}: ${key}.pattern`,
				found: describe(source),
				fix: 'write (?:...) for (...)',
			});
	}
}

function checkPattern(pattern: Pattern, where: string): void {
	// A literal text is escaped, so it cannot be slow by itself.
	const fault = 'Regex' in pattern ? patternFault(pattern.Regex) : undefined;
	if (fault !== undefined)
		throw new FormatError(`the pattern is refused: ${fault}`, { where, found: describe(patternSource(pattern)) });
}

/** What trying a pattern showed, so that loading a tokenizer again is quick; emptied when it grows. */
const verdicts = new Map<string, boolean>();

/** Runs the compiled patterns on hostile texts. */
function checkCompiled(library: Library, where: string): void {
	for (const part of ['normalizer', 'pre_tokenizer', 'decoder'] as const) {
		for (const pattern of compiledPatterns(library[part])) {
			const found = describe(pattern.source);
			if (part === 'normalizer' && new RegExp(pattern.source, 'u').test(''))
				throw new FormatError('the pattern matches the empty text', { where: `${where}: ${part}`, found });
			const quick = verdicts.get(pattern.source) ?? runsQuickly(pattern.source, pattern);
			if (verdicts.size > 256) verdicts.clear();
			verdicts.set(pattern.source, quick);
			if (!quick)
				throw new FormatError('the pattern is refused: it takes too long on some texts', {
					where: `${where}: ${part}`,
					expected: 'a pattern whose time grows in line with the text',
					found,
				});
		}
	}
}

/** The regular expressions that the library made for a component and those inside it. */
function* compiledPatterns(part: unknown): Generator<RegExp> {
	if (typeof part !== 'object' && typeof part !== 'function') return;
	const { pattern, normalizers, tokenizers, decoders } = (part ?? {}) as Record<string, unknown>;
	if (pattern instanceof RegExp) yield pattern;
	for (const inner of [normalizers, tokenizers, decoders])
		if (Array.isArray(inner)) for (const one of inner) yield* compiledPatterns(one);
}
