/**
 * @file Finds added tokens (special tokens and the like) in a text before the model sees it: the leftmost longest
 * match, with the `single_word`, `lstrip` and `rstrip` rules of the Hugging Face format.
 */

export interface AddedToken {
	readonly id: number;
	readonly content: string;
	/** Matches only where no word character touches it. */
	readonly singleWord: boolean;
	/** Takes the white space before it along. */
	readonly lstrip: boolean;
	/** Takes the white space after it along. */
	readonly rstrip: boolean;
	/** Matched in normalized text, after the others. */
	readonly normalized: boolean;
	/** Left out of decoded text on request. */
	readonly special: boolean;
}

/** A stretch of the text: an added token, or (`id` -1) text for the model. Half-open, in UTF-16 units. */
export interface Section {
	readonly id: number;
	readonly start: number;
	readonly end: number;
}

interface TrieNode {
	readonly children: Map<number, TrieNode>;
	token?: AddedToken;
}

const ENDS_WITH_WORD = /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]$/u;
const STARTS_WITH_WORD = /^[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]/u;
const WHITE_SPACE = /\p{White_Space}/u;

/** Splits texts at the added tokens of one tokenizer. */
export class AddedTokenSplitter {
	private readonly passes: readonly TrieNode[];

	constructor(tokens: readonly AddedToken[]) {
		const passes = [tokens.filter((token) => !token.normalized), tokens.filter((token) => token.normalized)];
		this.passes = passes.filter((pass) => pass.length > 0).map(buildTrie);
	}

	/** The sections of `text` in order; empty sections are left out. */
	split(text: string): Section[] {
		let sections: Section[] = text.length === 0 ? [] : [{ id: -1, start: 0, end: text.length }];
		for (const trie of this.passes)
			sections = sections.flatMap((section) => (section.id < 0 ? splitSection(text, section, trie) : section));
		return sections;
	}
}

function buildTrie(tokens: readonly AddedToken[]): TrieNode {
	const root: TrieNode = { children: new Map() };
	for (const token of tokens) {
		let node = root;
		for (let i = 0; i < token.content.length; i++) {
			const unit = token.content.charCodeAt(i);
			let child = node.children.get(unit);
			if (child === undefined) {
				child = { children: new Map() };
				node.children.set(unit, child);
			}
			node = child;
		}
		node.token = token;
	}
	return root;
}

function splitSection(text: string, section: Section, trie: TrieNode): Section[] {
	const sections: Section[] = [];
	let done = section.start;
	let at = section.start;
	while (at < section.end) {
		const first = trie.children.get(text.charCodeAt(at));
		const token = first === undefined ? undefined : longestMatch(text, at, section.end, first);
		if (token === undefined) {
			at++;
			continue;
		}
		let start = at;
		let end = at + token.content.length;
		// Matches do not overlap: the search goes on behind this one even if it is not wanted or took more along.
		at = end;
		if (token.singleWord && touchesWord(text, section, start, end)) continue;
		if (token.lstrip) while (start > done && WHITE_SPACE.test(text[start - 1]!)) start--;
		if (token.rstrip) while (end < section.end && WHITE_SPACE.test(text[end]!)) end++;
		start = Math.max(start, done);
		end = Math.max(end, start);
		if (start > done) sections.push({ id: -1, start: done, end: start });
		sections.push({ id: token.id, start, end });
		done = end;
	}
	if (done < section.end) sections.push({ id: -1, start: done, end: section.end });
	return sections;
}

function longestMatch(text: string, at: number, end: number, first: TrieNode): AddedToken | undefined {
	let found = first.token;
	let node: TrieNode | undefined = first;
	for (let i = at + 1; i < end; i++) {
		node = node.children.get(text.charCodeAt(i));
		if (node === undefined) break;
		found = node.token ?? found;
	}
	return found;
}

function touchesWord(text: string, section: Section, start: number, end: number): boolean {
	// Two units on either side are enough to see one code point.
	const before = text.slice(Math.max(section.start, start - 2), start);
	const after = text.slice(end, Math.min(section.end, end + 2));
	return ENDS_WITH_WORD.test(before) || STARTS_WITH_WORD.test(after);
}
