/** @file Progress of long work: a bar with rate and time left on a terminal, a plain line now and then elsewhere. */
import type { Output } from '../cli.ts';
import { formatCount, formatDuration } from './format.ts';

export interface ProgressOptions {
	/** What is being done, e.g. "training". */
	readonly label: string;
	/** Amount of work; undefined where it is not known beforehand. */
	readonly total?: number | undefined;
	/** What is counted, e.g. "step": the rate is printed as "steps/s" for a `unit` of "steps". */
	readonly unit: string;
	/** Milliseconds; given in tests. */
	readonly now?: () => number;
}

const REDRAW_MS = 80;
const PLAIN_LINE_MS = 5000;
/** Rate over the last seconds, not since the start: the first step compiles and would spoil it. */
const RATE_WINDOW_MS = 8000;

/** One line of progress. Other output must go through `interrupt`, or the bar is torn. */
export class Progress {
	private readonly output: Output;
	private readonly options: ProgressOptions;
	private readonly now: () => number;
	private readonly started: number;
	private readonly startedAt: number;
	private marks: { time: number; done: number }[] = [];
	private lastShown = Number.NEGATIVE_INFINITY;
	private line = '';
	private done = 0;
	private finished = false;

	/** @param startAt work that was already done before, e.g. steps of an earlier run */
	constructor(output: Output, options: ProgressOptions, startAt = 0) {
		this.output = output;
		this.options = options;
		this.now = options.now ?? (() => performance.now());
		this.started = this.now();
		this.startedAt = startAt;
		this.done = startAt;
		this.marks.push({ time: this.started, done: startAt });
	}

	/** Work done so far, and what else to show (a loss). Cheap to call often. */
	update(done: number, note = ''): void {
		if (this.finished) return;
		const time = this.now();
		this.done = done;
		this.marks.push({ time, done });
		while (this.marks.length > 2 && time - (this.marks[0]?.time ?? 0) > RATE_WINDOW_MS) this.marks.shift();
		const terminal = this.output.isTTY === true;
		if (time - this.lastShown < (terminal ? REDRAW_MS : PLAIN_LINE_MS)) return;
		this.lastShown = time;
		if (terminal) this.draw(note);
		else this.output.write(`${this.describe(note)}\n`);
	}

	/** Prints something above the bar. */
	interrupt(print: () => void): void {
		const { line } = this;
		this.clear();
		print();
		if (line !== '' && !this.finished) {
			this.output.write(line);
			this.line = line;
		}
	}

	/** Ends the line with the total time. */
	finish(note = ''): void {
		if (this.finished) return;
		this.clear();
		this.finished = true;
		const seconds = (this.now() - this.started) / 1000;
		const amount = `${formatCount(this.done - this.startedAt)} ${this.options.unit}`;
		this.output.write(`${join([`${this.options.label}: ${amount} in ${formatDuration(seconds)}`, note])}\n`);
	}

	/** Ends the line and says nothing: the work failed, and the error will be printed. */
	abandon(): void {
		this.clear();
		this.finished = true;
	}

	private clear(): void {
		if (this.line === '') return;
		this.output.write('\r\x1b[K');
		this.line = '';
	}

	private draw(note: string): void {
		const width = Math.max(10, (this.output.columns ?? 80) - 1);
		const { total, label } = this.options;
		const text = this.describe(note);
		const barWidth = Math.min(24, width - text.length - 3);
		const line =
			total !== undefined && barWidth >= 6
				? `${label} ${bar(this.done / total, barWidth)}${text.slice(label.length)}`
				: text;
		this.line = truncate(line, width);
		this.output.write(`\r\x1b[K${this.line}`);
	}

	private describe(note: string): string {
		const { label, total, unit } = this.options;
		const rate = this.rate();
		const amount =
			total === undefined
				? `${formatCount(this.done)} ${unit}`
				: `${this.done >= 10000 ? `${formatCount(this.done)}/${formatCount(total)}` : `${this.done}/${total}`} ${unit} ${percent(this.done, total)}`;
		const left = total === undefined || rate <= 0 ? '' : `ETA ${formatDuration((total - this.done) / rate)}`;
		return join([`${label} ${amount}`, note, rate > 0 ? `${formatCount(rate)} ${unit}/s` : '', left]);
	}

	/** Units a second over the last seconds. */
	private rate(): number {
		const first = this.marks[0];
		const last = this.marks.at(-1);
		// a rate over an instant is noise
		if (first === undefined || last === undefined || last.time - first.time < 250) return 0;
		return ((last.done - first.done) / (last.time - first.time)) * 1000;
	}
}

function percent(done: number, total: number): string {
	return total > 0 ? `${Math.min(100, Math.floor((done / total) * 100))}%` : '';
}

function bar(fraction: number, width: number): string {
	const full = Math.round(Math.min(1, Math.max(0, fraction)) * width);
	return `${'█'.repeat(full)}${'░'.repeat(width - full)}`;
}

function join(parts: readonly string[]): string {
	return parts.filter((part) => part !== '').join('  ');
}

/** A line longer than the terminal would wrap and could not be erased. */
function truncate(line: string, width: number): string {
	const characters = [...line];
	return characters.length <= width ? line : `${characters.slice(0, width - 1).join('')}…`;
}
