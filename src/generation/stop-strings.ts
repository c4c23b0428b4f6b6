/** @file Finds stop strings in streamed text; text that could still become part of one is held back. */

export interface StopProgress {
	/** Text that is certain to come before any stop string. */
	readonly text: string;
	/** The stop string that was met; nothing more is given out then. */
	readonly stop?: string;
}

/** One for each text. */
export class StopStrings {
	private readonly stops: readonly string[];
	private readonly longest: number;
	private held = '';
	private met: string | undefined;

	/** @param stops strings that are not empty */
	constructor(stops: readonly string[]) {
		this.stops = stops;
		this.longest = stops.reduce((most, { length }) => Math.max(most, length), 0);
	}

	/** Adds text. Of several stop strings the one that is complete first counts, of those the longest: pieces do not matter. */
	push(text: string): StopProgress {
		if (this.met !== undefined) return { text: '', stop: this.met };
		this.held += text;
		let end = Number.POSITIVE_INFINITY;
		let found: string | undefined;
		for (const stop of this.stops) {
			const at = this.held.indexOf(stop);
			if (at < 0 || at + stop.length > end) continue;
			if (at + stop.length < end || found === undefined || stop.length > found.length) found = stop;
			end = at + stop.length;
		}
		if (found !== undefined) {
			const before = this.held.slice(0, end - found.length);
			this.met = found;
			this.held = '';
			return { text: before, stop: found };
		}
		const keep = this.partLength();
		const out = this.held.slice(0, this.held.length - keep);
		this.held = this.held.slice(this.held.length - keep);
		return { text: out };
	}

	/** The text ends here; what was held back is part of it. */
	finish(): string {
		const rest = this.met === undefined ? this.held : '';
		this.held = '';
		return rest;
	}

	/** Length of the longest end of the held text that begins a stop string. */
	private partLength(): number {
		for (let length = Math.min(this.held.length, this.longest - 1); length > 0; length--) {
			const end = this.held.slice(-length);
			if (this.stops.some((stop) => stop.length > length && stop.startsWith(end))) return length;
		}
		return 0;
	}
}
