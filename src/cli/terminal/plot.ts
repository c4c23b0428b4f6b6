/** @file A curve drawn with Braille dots (2 x 4 to a character), or with stars where the terminal is not Unicode. */

export interface Point {
	readonly x: number;
	readonly y: number;
}

export interface PlotOptions {
	/** Characters of the whole plot, labels included. */
	readonly width: number;
	/** Lines of the drawing area. */
	readonly height: number;
	readonly xLabel: string;
	readonly yLabel: string;
	/** Stars instead of Braille. */
	readonly ascii?: boolean;
}

/** Bit of a dot in a Braille character, by row and column. */
const BRAILLE = [
	[0x01, 0x08],
	[0x02, 0x10],
	[0x04, 0x20],
	[0x40, 0x80],
] as const;

/**
 * Draws y against x. Points that are not finite are left out.
 * @returns lines joined by newlines; empty when there are fewer than two points
 */
export function plotCurve(points: readonly Point[], options: PlotOptions): string {
	const finite = points.filter(({ x, y }) => Number.isFinite(x) && Number.isFinite(y)).sort((a, b) => a.x - b.x);
	const first = finite[0];
	const last = finite.at(-1);
	if (first === undefined || last === undefined || first.x === last.x) return '';
	const { top, bottom } = range(finite);
	const { height, ascii = false } = options;
	const labels = Array.from({ length: height }, (_, row) => {
		const marked = row === 0 || row === height - 1 || row === Math.floor((height - 1) / 2);
		return marked ? label(top - ((top - bottom) * row) / Math.max(1, height - 1)) : '';
	});
	const margin = Math.max(...labels.map((text) => text.length));
	const columns = Math.max(8, options.width - margin - 2);
	const canvas = new Canvas(columns, height, ascii ? 1 : 2, ascii ? 1 : 4);
	const heights = columnMeans(finite, canvas.dotsWide, first.x, last.x);
	for (let column = 0; column < heights.length; column++) {
		const here = canvas.row(heights[column] as number, bottom, top);
		const before = column === 0 ? here : canvas.row(heights[column - 1] as number, bottom, top);
		// a steep part is joined, or it would look like separate dots
		const step = Math.sign(here - before) || 1;
		for (let row = before === here ? here : before + step; row !== here + step; row += step) canvas.set(column, row);
	}
	const lines = canvas
		.lines()
		.map((line, row) => `${(labels[row] ?? '').padStart(margin)} ${labels[row] === '' ? '│' : '┤'}${line}`);
	const from = label(first.x);
	const to = label(last.x);
	const axis = `${' '.repeat(margin + 1)}└${'─'.repeat(columns)}`;
	const gap = Math.max(1, columns - from.length - to.length);
	const middle = options.xLabel.length + 2 <= gap ? options.xLabel : '';
	const left = Math.floor((gap - middle.length) / 2);
	const below = `${' '.repeat(margin + 2)}${from}${' '.repeat(left)}${middle}${' '.repeat(gap - middle.length - left)}${to}`;
	const drawing = [options.yLabel, ...lines, axis, below].join('\n');
	return ascii ? drawing.replace(/[│┤└]/g, '|').replaceAll('─', '-') : drawing;
}

function range(points: readonly Point[]): { top: number; bottom: number } {
	let top = Number.NEGATIVE_INFINITY;
	let bottom = Number.POSITIVE_INFINITY;
	for (const { y } of points) {
		if (y > top) top = y;
		if (y < bottom) bottom = y;
	}
	return top > bottom ? { top, bottom } : { top: top + 0.5, bottom: bottom - 0.5 };
}

/** Mean of the points of every column; a column without points continues the line between its neighbours. */
function columnMeans(points: readonly Point[], columns: number, from: number, to: number): number[] {
	const sums = new Float64Array(columns);
	const counts = new Float64Array(columns);
	for (const { x, y } of points) {
		const column = Math.min(columns - 1, Math.floor(((x - from) / (to - from)) * columns));
		sums[column] = (sums[column] as number) + y;
		counts[column] = (counts[column] as number) + 1;
	}
	const known: { column: number; y: number }[] = [];
	for (let column = 0; column < columns; column++) {
		const count = counts[column] as number;
		if (count > 0) known.push({ column, y: (sums[column] as number) / count });
	}
	const means: number[] = [];
	let next = 0;
	for (let column = 0; column < columns; column++) {
		while (next < known.length - 1 && (known[next]?.column ?? 0) < column) next++;
		const right = known[next] as { column: number; y: number };
		const left = known[Math.max(0, next - 1)] as { column: number; y: number };
		const span = right.column - left.column;
		const share = span === 0 ? 1 : Math.min(1, Math.max(0, (column - left.column) / span));
		means.push(left.y + (right.y - left.y) * share);
	}
	return means;
}

class Canvas {
	readonly dotsWide: number;
	private readonly dotsHigh: number;
	private readonly columns: number;
	private readonly cells: Uint8Array;
	private readonly perColumn: number;
	private readonly perRow: number;

	constructor(columns: number, rows: number, perColumn: number, perRow: number) {
		this.columns = columns;
		this.perColumn = perColumn;
		this.perRow = perRow;
		this.dotsWide = columns * perColumn;
		this.dotsHigh = rows * perRow;
		this.cells = new Uint8Array(columns * rows);
	}

	/** Dot row of a value; 0 is the top. */
	row(value: number, bottom: number, top: number): number {
		return Math.round(((top - value) / (top - bottom)) * (this.dotsHigh - 1));
	}

	set(x: number, y: number): void {
		const cell = Math.floor(y / this.perRow) * this.columns + Math.floor(x / this.perColumn);
		const bit = this.perRow === 1 ? 1 : (BRAILLE[y % 4]?.[x % 2] ?? 0);
		this.cells[cell] = (this.cells[cell] as number) | bit;
	}

	lines(): string[] {
		const lines: string[] = [];
		for (let start = 0; start < this.cells.length; start += this.columns) {
			const row = this.cells.subarray(start, start + this.columns);
			lines.push(
				Array.from(row, (cell) =>
					cell === 0 ? ' ' : this.perRow === 1 ? '*' : String.fromCodePoint(0x2800 + cell),
				).join(''),
			);
		}
		return lines;
	}
}

/** Short number for an axis. */
function label(value: number): string {
	if (Number.isInteger(value) && Math.abs(value) < 1e6) return String(value);
	const size = Math.abs(value);
	return size >= 1e5 || size < 1e-3 ? value.toExponential(1) : value.toPrecision(3);
}

/** Terminals without Unicode: a C locale, the Linux console, old Windows consoles. */
export function wantsAscii(env: Readonly<Record<string, string | undefined>>): boolean {
	if (process.platform === 'win32') return env.WT_SESSION === undefined && env.TERM_PROGRAM === undefined;
	const locale = env.LC_ALL || env.LC_CTYPE || env.LANG || '';
	return env.TERM === 'linux' || locale === 'C' || locale === 'POSIX';
}
