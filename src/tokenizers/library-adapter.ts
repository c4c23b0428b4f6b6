/**
 * @file Rewrites components of tokenizer.json into equal ones that `@huggingface/tokenizers` 0.2 runs as the format
 * means them. Measured differences of the library that this removes: ASCII-only `\w` and `\d`, white space that is
 * JavaScript's instead of Unicode's, Split and Punctuation behaviours other than Removed and Isolated, `$` in
 * replacements, ideographs beyond the basic plane in
 * BertNormalizer, and the old `add_prefix_space: false` of Metaspace.
 */
import type { Component, Pattern, SplitBehavior } from './tokenizer-components.ts';
import { GPT2_PATTERN } from './word-scanner.ts';

const PUNCTUATION = '\\p{P}!-/:-@\\[-`{-~';

/** `\w` of Rust's regular expressions; that of Oniguruma, which the library follows, is wider. */
const WORD = '\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\u200c\\u200d';
/** The blocks of ideographs that BERT sets apart with spaces. */
const IDEOGRAPHS =
	'\\u4e00-\\u9fff\\u3400-\\u4dbf\\x{20000}-\\x{2a6df}\\x{2a700}-\\x{2b73f}\\x{2b740}-\\x{2b81f}\\x{2b920}-\\x{2ceaf}\\uf900-\\ufaff\\x{2f800}-\\x{2fa1f}';

/** The source of a pattern as a regular expression. */
export function patternSource(pattern: Pattern): string {
	return 'Regex' in pattern ? pattern.Regex : pattern.String.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');
}

/** A pre-tokenizer for the library. */
export function adaptPreTokenizer(component: Component): Component {
	switch (component.type) {
		case 'Sequence': {
			const parts = component.pretokenizers as Component[];
			return { ...component, pretokenizers: parts.map(adaptPreTokenizer) };
		}
		case 'ByteLevel':
			// With a prefix space the library has to do both itself.
			if (component.add_prefix_space === true || component.use_regex === false) return component;
			return {
				type: 'Sequence',
				pretokenizers: [split(GPT2_PATTERN, 'Isolated'), { ...component, use_regex: false }],
			};
		case 'Metaspace':
			if (typeof component.prepend_scheme === 'string' || component.add_prefix_space !== false) return component;
			return { ...component, prepend_scheme: 'never' };
		case 'Split':
			return adaptSplit(component as Component & SplitFields);
		case 'Punctuation':
			return split(`[${PUNCTUATION}]`, (component.behavior as SplitBehavior | null | undefined) ?? 'Isolated');
		case 'Digits':
			return split(component.individual_digits === true ? '\\p{N}' : '\\p{N}+', 'Isolated');
		case 'Whitespace':
			return keepMatches(`[${WORD}]+|[^${WORD}\\s]+`);
		case 'WhitespaceSplit':
			return keepMatches('\\S+');
		case 'BertPreTokenizer':
			return keepMatches(`[^\\s${PUNCTUATION}]+|[${PUNCTUATION}]`);
		default:
			return component;
	}
}

interface SplitFields {
	readonly pattern: Pattern;
	readonly behavior: SplitBehavior;
	readonly invert?: boolean | null;
}

function adaptSplit({ pattern, behavior, invert }: SplitFields): Component {
	const source = patternSource(pattern);
	if (invert !== true) return split(source, behavior);
	if (behavior === 'Removed') return keepMatches(source);
	if (behavior === 'Isolated') return split(source, 'Isolated');
	// Refused by the loader before this is reached.
	return { type: 'Split', pattern, behavior, invert };
}

/** Pieces of text between, or made with, the matches of `source`. */
function split(source: string, behavior: SplitBehavior): Component {
	switch (behavior) {
		case 'Isolated':
		case 'Removed':
			return { type: 'Split', pattern: { Regex: source }, behavior, invert: false };
		case 'Contiguous':
			return { type: 'Split', pattern: { Regex: `(?:${source})+` }, behavior: 'Isolated', invert: false };
		case 'MergedWithPrevious':
			return keepMatches(`[\\s\\S]*?(?:${source}|\\z)`);
		case 'MergedWithNext':
			return keepMatches(`(?:${source})(?:(?!${source})[\\s\\S])*|(?:(?!${source})[\\s\\S])+`);
	}
}

function keepMatches(source: string): Component {
	return { type: 'Split', pattern: { Regex: source }, behavior: 'Removed', invert: true };
}

/** A normalizer or decoder for the library, whose replacements must not contain JavaScript's `$` codes. */
export function adaptReplacements(component: Component): Component {
	if (component.type === 'Sequence') {
		const key = 'normalizers' in component ? 'normalizers' : 'decoders';
		return { ...component, [key]: (component[key] as Component[]).map(adaptReplacements) };
	}
	if (component.type === 'BertNormalizer' && component.handle_chinese_chars === true) {
		// The library sees only the first half of ideographs beyond the basic plane.
		const rest = { ...component, clean_text: false, handle_chinese_chars: false };
		const clean = { type: 'BertNormalizer', clean_text: component.clean_text, lowercase: false, strip_accents: false };
		const apart = { type: 'Replace', pattern: { Regex: `[${IDEOGRAPHS}]` }, content: ' $& ' };
		return { type: 'Sequence', normalizers: [clean, apart, rest] };
	}
	if (component.type !== 'Replace') return component;
	return { ...component, content: (component.content as string).replaceAll('$', '$$$$') };
}
