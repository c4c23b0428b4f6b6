/** @file Plain columns for the terminal. */

/**
 * Lines up columns, two spaces apart. Columns whose cells are all numbers go to the right.
 * @param rows cells of every row; all rows have the same length
 */
export function formatTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
	const widths = header.map((title, column) =>
		Math.max(title.length, ...rows.map((row) => (row[column] ?? '').length)),
	);
	const numeric = header.map(
		(_, column) => rows.length > 0 && rows.every((row) => /^[-+]?[\d.,]*\d\S{0,4}$|^-?$/.test(row[column] ?? '')),
	);
	const line = (cells: readonly string[]) =>
		cells
			.map((cell, column) => (numeric[column] ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0)))
			.join('  ')
			.trimEnd();
	return [line(header), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)].join('\n');
}
