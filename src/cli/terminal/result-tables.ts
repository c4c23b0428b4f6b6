/** @file A machine-readable result for people: lists of records become tables, single values become lines. */
import { formatTable } from './table.ts';

type Cell = string | number | boolean | null;

/** Titles and rows of every list of records in a result, nested records flattened ("a.b"). */
export interface ResultTable {
	readonly title: string;
	readonly columns: readonly string[];
	readonly rows: readonly (readonly string[])[];
}

/** The lists (or maps) of records of a result. A list inside a record makes one row an entry. */
export function tablesOf(result: Readonly<Record<string, unknown>>): ResultTable[] {
	const tables: ResultTable[] = [];
	for (const [title, value] of Object.entries(result)) {
		const listed = recordsOf(value);
		if (listed.length === 0) continue;
		const records = listed.flatMap((record) => expand(record));
		const columns = [...new Set(records.flatMap((record) => [...record.keys()]))];
		const rows = records.map((record) => columns.map((column) => formatCell(record.get(column) ?? null)));
		tables.push({ title, columns, rows });
	}
	return tables;
}

/** All of a result as text. */
export function resultTables(result: Readonly<Record<string, unknown>>): string {
	const tables = tablesOf(result);
	const titles = new Set(tables.map(({ title }) => title));
	const lines = Object.entries(result)
		.filter(([key]) => !titles.has(key))
		.map(([key, value]) => `${key}: ${typeof value === 'object' ? JSON.stringify(value) : formatCell(value as Cell)}`);
	return [...lines, ...tables.map(({ title, columns, rows }) => `\n${title}:\n${formatTable(columns, rows)}`)].join(
		'\n',
	);
}

/** The entries of a list of records, or of a record of records, whose keys become names. */
function recordsOf(value: unknown): Record<string, unknown>[] {
	if (Array.isArray(value)) return value.every(isRecord) ? value : [];
	if (!isRecord(value) || !Object.values(value).some(isRecord)) return [];
	return Object.entries(value).map(([name, entry]) => (isRecord(entry) ? { name, ...entry } : { name, value: entry }));
}

function isRecord(value: unknown): value is Record<string, unknown> {
	return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function expand(record: Record<string, unknown>): Map<string, Cell>[] {
	let rows: Map<string, Cell>[] = [new Map()];
	for (const [key, value] of Object.entries(record)) {
		if (Array.isArray(value) && value.length > 0 && value.every(isRecord)) {
			const inner = value.flatMap((entry) => expand(entry));
			rows = rows.flatMap((row) => inner.map((entry) => new Map([...row, ...entry])));
		} else {
			const flat = isRecord(value) ? [...expand(value).flatMap((entry) => [...entry])] : [['', value as Cell] as const];
			for (const row of rows) {
				for (const [inner, cell] of flat) {
					row.set(inner === '' ? key : `${key}.${inner}`, Array.isArray(cell) ? cell.join(', ') : cell);
				}
			}
		}
	}
	return rows;
}

function formatCell(value: Cell): string {
	if (value === null || value === undefined) return '';
	if (typeof value !== 'number' || Number.isInteger(value)) return String(value);
	return String(Number(value.toPrecision(4)));
}
