import assert from 'node:assert/strict';
import { test } from 'node:test';
import { wordLevelStyle } from '../../test/support/tokenizer-variants.ts';
import { FormatError } from '../base/errors.ts';
import { patternFault, runsQuickly } from './regex-safety.ts';
import { Tokenizer } from './tokenizer.ts';
import { GPT2_PATTERN } from './word-scanner.ts';

/** Patterns of published tokenizers. */
const GOOD = [
	GPT2_PATTERN,
	"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
	"[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
	'[!"#$%&\'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+',
	' {2,}',
	'\\p{N}{1,3}(?=(?:\\p{N}{3})*(?:\\P{N}|$))',
	'[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+',
];

const load = (Regex: string) =>
	Tokenizer.fromJson(wordLevelStyle({ type: 'Split', pattern: { Regex }, behavior: 'Isolated', invert: false }, ['a']));

test('patterns of published tokenizers are accepted', () => {
	for (const pattern of GOOD) {
		assert.equal(patternFault(pattern), undefined, pattern);
		assert.ok(load(pattern).encode('some text 123\n\n').length > 0);
	}
});

test('patterns that could hang are refused, by reading or by trying', () => {
	for (const pattern of [
		'(a+)+b',
		'(?:a|a)*b',
		'(?:a?){30}a{30}',
		'((x*)y?)*z',
		'(?:\\w+\\s?)*;',
		'(.)\\1',
		'a{1,100000}',
		'',
	])
		assert.notEqual(patternFault(pattern), undefined, pattern);
	for (const pattern of ['(a+)+b', '\\s*\\s*\\s*x', '[a-z]*[a-z]*[a-z]*[a-z]*;', 'x*x*x*x*y'])
		assert.throws(
			() => load(pattern),
			(error) => error instanceof FormatError && /pre_tokenizer/.test(error.message),
			pattern,
		);
});

test('the time limit holds and leaves no damage', () => {
	const start = performance.now();
	assert.equal(runsQuickly('a*a*a*b', /a*a*a*b/gu), false);
	assert.ok(performance.now() - start < 3000);
	assert.equal(runsQuickly('a+', /a+/gu), true);
});
