/** @file Seeded random texts that are hard on tokenizers: all scripts, emoji, broken surrogates, long words, controls. */
import { RandomStream } from '../../src/base/random.ts';

/** First and last code point of stretches of characters, one script or sort each. */
const RANGES: readonly (readonly [number, number])[] = [
	[0x20, 0x7e],
	[0x00, 0x1f],
	[0x7f, 0xff],
	[0x100, 0x24f],
	[0x300, 0x36f],
	[0x370, 0x3ff],
	[0x400, 0x4ff],
	[0x590, 0x5f4],
	[0x620, 0x6ff],
	[0x900, 0x97f],
	[0xe00, 0xe5b],
	[0x1000, 0x109f],
	[0x1200, 0x137c],
	[0x2000, 0x206f],
	[0x20a0, 0x20bf],
	[0x2150, 0x218b],
	[0x2460, 0x24ff],
	[0x3000, 0x30ff],
	[0x4e00, 0x9fff],
	[0xac00, 0xd7a3],
	[0xfe00, 0xfe0f],
	[0xff00, 0xffef],
	[0x10330, 0x1034a],
	[0x1d400, 0x1d7ff],
	[0x1f300, 0x1f64f],
	[0x1f1e6, 0x1f1ff],
	[0x20000, 0x2a6d6],
];
const SPACES = [
	' ',
	'  ',
	'\n',
	'\r\n',
	'\t',
	'\u00a0',
	'\u0085',
	'\ufeff',
	'\u3000',
	'\u2028',
	'\u200b',
	' \n ',
	'\u1680',
];
const PIECES = [
	"'s",
	"'ll",
	"'RE",
	"n't",
	"''t",
	"I've",
	"we'd",
	"'\u017f",
	'https://example.org/?q=1&r=2',
	'1,234.56',
	'\u0661\u0662\u0663',
	'x\u00b2',
	'\u216b',
	'\ud83d\udc69\u200d\ud83d\ude80',
	'\ud83c\uddeb\ud83c\uddf7',
	'\ud83d\udc4d\ud83c\udffd',
	'\ufffd',
	'\ud800',
	'\udc00',
	'\udfff\ud83d',
	'e\u0301',
	'\u0130',
	'\u00df',
	'\u01c5',
	'\0',
	'\u0007',
	'\u001b[31m',
	'\u202e',
	'\u2581',
	'\u0120the',
	'\u010a',
	'<0x41>',
	'function(x){return x*2;}',
	'#!/bin/sh',
	'-----',
	'=========',
	'\\n',
	'$&',
	'{{x}}',
];

/**
 * Makes `count` texts; the same seed gives the same texts.
 * @param markers strings to sprinkle in, e.g. special tokens
 */
export function hostileTexts(count: number, seed: number, markers: readonly string[] = []): string[] {
	const random = new RandomStream(seed);
	const pick = <T>(items: readonly T[]): T => items[random.integer(items.length)]!;
	const run = (from: number, to: number, length: number): string => {
		let text = '';
		for (let i = 0; i < length; i++) text += String.fromCodePoint(from + random.integer(to - from + 1));
		return text;
	};
	const part = (): string => {
		const kind = random.integer(12);
		if (kind < 4) return run(0x61, 0x7a, 1 + random.integer(9));
		if (kind < 6) return pick(SPACES).repeat(random.integer(4) === 0 ? 3 : 1);
		if (kind < 8) return run(...pick(RANGES), 1 + random.integer(8));
		if (kind < 10) return pick(PIECES);
		if (kind === 10) return markers.length === 0 ? '' : marker(pick(markers));
		const unit = random.integer(0x110000);
		return String.fromCodePoint(unit);
	};
	const marker = (text: string): string => {
		const sort = random.integer(4);
		if (sort === 0) return text.slice(0, random.integer(text.length + 1));
		if (sort === 1) return text.slice(random.integer(text.length)) + text;
		return text;
	};
	const texts: string[] = [];
	for (let i = 0; i < count; i++) {
		if (i % 500 === 499) {
			// A long word: one letter over and over, or random letters.
			texts.push(i % 1000 === 499 ? pick(['a', '\u6f22', ' ', '-', '1']).repeat(2000) : run(0x61, 0x64, 3000));
			continue;
		}
		let text = '';
		for (let parts = random.integer(12); parts >= 0; parts--) text += part();
		texts.push(text);
	}
	return texts;
}
