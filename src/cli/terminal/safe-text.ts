/** @file Text that a model or a file made, shown on a terminal: control characters must not steer it. */

/** Makes control characters other than newline and tab visible, so that no escape sequence reaches the terminal. */
export function safeText(text: string): string {
	return text.replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/g, (character) => {
		if (character === '\r') return '';
		const code = character.charCodeAt(0);
		return code < 0x20 ? String.fromCodePoint(0x2400 + code) : '\u2421';
	});
}
