/**
 * @file Refuses regular expressions of untrusted files that could hang the process. JavaScript's engine backtracks:
 * nested repetition takes exponential time (found by reading the pattern), overlapping repetition takes polynomial
 * time (found by running the pattern on hostile texts under a time limit).
 */
import { createContext, Script } from 'node:vm';

const MAX_LENGTH = 4096;
const MAX_REPEAT = 1000;
const PROBE_LENGTH = 20_000;
/** A harmless pattern needs about a millisecond for a probe. */
const PROBE_MILLISECONDS = 400;

interface Group {
	/** Holds an alternation or a repetition of variable length: more than one way to match the same text. */
	ambiguous: boolean;
}

/** What is wrong with a pattern in Oniguruma or JavaScript syntax, or undefined when nothing is. */
export function patternFault(pattern: string): string | undefined {
	if (pattern.length === 0) return 'it is empty';
	if (pattern.length > MAX_LENGTH) return `it is longer than ${MAX_LENGTH} characters`;
	const groups: Group[] = [{ ambiguous: false }];
	let closed: Group | undefined;
	for (let i = 0; i < pattern.length; ) {
		const char = pattern[i]!;
		const quantifier = quantifierAt(pattern, i);
		if (quantifier !== undefined) {
			if (quantifier.max > MAX_REPEAT && quantifier.max !== Number.POSITIVE_INFINITY)
				return `it repeats more than ${MAX_REPEAT} times`;
			if (quantifier.max > 1 && closed?.ambiguous === true)
				return 'it repeats a group that can match the same text in several ways, which takes exponential time';
			if (quantifier.min !== quantifier.max) groups.at(-1)!.ambiguous = true;
			i += quantifier.length;
			continue;
		}
		closed = undefined;
		if (char === '\\') {
			if (/^\\(?:[1-9]|k<|g<)/.test(pattern.slice(i, i + 3))) return 'it refers back to a group';
			i += 2;
		} else if (char === '[') i = endOfClass(pattern, i);
		else if (char === '(') {
			if (groups.length > 64) return 'its groups are nested too deep';
			groups.push({ ambiguous: false });
			i += pattern[i + 1] === '?' ? 2 : 1;
		} else if (char === ')') {
			closed = groups.length > 1 ? groups.pop() : undefined;
			if (closed?.ambiguous === true) groups.at(-1)!.ambiguous = true;
			i++;
		} else {
			if (char === '|') groups.at(-1)!.ambiguous = true;
			i++;
		}
	}
	return undefined;
}

function quantifierAt(pattern: string, i: number): { min: number; max: number; length: number } | undefined {
	const char = pattern[i];
	let found: { min: number; max: number; length: number } | undefined;
	if (char === '*') found = { min: 0, max: Number.POSITIVE_INFINITY, length: 1 };
	else if (char === '+') found = { min: 1, max: Number.POSITIVE_INFINITY, length: 1 };
	else if (char === '?') found = { min: 0, max: 1, length: 1 };
	else if (char === '{') {
		const braces = /^\{(\d*)(,?)(\d*)\}/.exec(pattern.slice(i, i + 24));
		if (braces === null || (braces[1] === '' && braces[3] === '')) return undefined;
		const min = Number(braces[1]);
		const max = braces[2] === '' ? min : braces[3] === '' ? Number.POSITIVE_INFINITY : Number(braces[3]);
		found = { min, max, length: braces[0].length };
	}
	// A lazy or possessive mark belongs to the quantifier.
	if (found !== undefined && (pattern[i + found.length] === '?' || pattern[i + found.length] === '+')) found.length++;
	return found;
}

function endOfClass(pattern: string, start: number): number {
	let depth = 0;
	for (let i = start; i < pattern.length; i++) {
		if (pattern[i] === '\\') i++;
		else if (pattern[i] === '[') depth++;
		else if (pattern[i] === ']' && --depth === 0) return i + 1;
	}
	return pattern.length;
}

/** Texts on which overlapping repetitions show: one character over and over, then one that spoils the match. */
function probes(pattern: string): string[] {
	const units = new Set([' ', 'a', 'A', '1', '-', '\n', '\u6f22', 'a ', '1a', ' \n']);
	for (const char of pattern) {
		if (units.size >= 24) break;
		units.add(char);
	}
	return [...units].flatMap((unit) => {
		const run = unit.repeat(PROBE_LENGTH / unit.length);
		return [`${run}\u0000`, `${run}z9.`];
	});
}

const context = createContext({ work: () => {} });
const callWork = new Script('work()');

/**
 * Whether a pattern finds all its matches in each probe text within the time limit.
 * @param source as the file has it: its characters make the probe texts
 * @param compiled with the flag `g`
 */
export function runsQuickly(source: string, compiled: RegExp): boolean {
	const texts = probes(source);
	context.work = () => {
		for (const text of texts) matchAll(compiled, text);
	};
	try {
		callWork.runInContext(context, { timeout: PROBE_MILLISECONDS });
		return true;
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === 'ERR_SCRIPT_EXECUTION_TIMEOUT') return false;
		throw error;
	} finally {
		context.work = () => {};
	}
}

function matchAll(pattern: RegExp, text: string): void {
	let at = 0;
	pattern.lastIndex = 0;
	// Many short matches are no danger; the time is in the long ones.
	for (let matches = 0; matches < 2000 && pattern.test(text); matches++) {
		if (pattern.lastIndex === at) pattern.lastIndex++;
		at = pattern.lastIndex;
	}
}
