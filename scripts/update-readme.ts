/** @file Fills the tables between `<!-- bench:NAME -->` and `<!-- /bench -->` from docs/measurements/NAME.json. */
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { writeFileAtomic } from '../src/base/files.ts';
import { tablesOf } from '../src/cli/terminal/result-tables.ts';

const root = new URL('..', import.meta.url);

/** The text with its tables made anew. A benchmark without a measurement says so. */
export function fillTables(text: string, load: (name: string) => Record<string, unknown> | undefined): string {
	return text.replace(/<!-- bench:([a-z-]+) -->\n[\s\S]*?<!-- \/bench -->/g, (_, name: string) => {
		return `<!-- bench:${name} -->\n${tableOf(name, load(name))}\n<!-- /bench -->`;
	});
}

function tableOf(name: string, measured: Record<string, unknown> | undefined): string {
	if (measured === undefined) return `*Not measured yet: \`npm run modelsmith -- bench ${name} --save\`*`;
	const found = tablesOf(measured);
	const tables = found.map(({ title, columns, rows }) => {
		const lines = [columns, columns.map(() => '---'), ...rows].map(
			(cells) => `| ${cells.map(escapeBars).join(' | ')} |`,
		);
		return (found.length > 1 ? [`${title}:`, '', ...lines] : lines).join('\n');
	});
	const machine = z.object({ cpu: z.string(), cores: z.number() }).safeParse(measured.machine);
	const where = machine.success ? `${machine.data.cpu}, ${machine.data.cores} cores, ` : '';
	const date = typeof measured.date === 'string' ? measured.date.slice(0, 10) : 'no date';
	return `${tables.join('\n\n')}\n\n*${where}${date}; \`npm run modelsmith -- bench ${name}\`*`;
}

function escapeBars(cell: string): string {
	return cell.replaceAll('|', '\\|');
}

/** docs/measurements/NAME.json. */
export function loadMeasurement(name: string): Record<string, unknown> | undefined {
	const path = new URL(`docs/measurements/${name}.json`, root);
	if (!existsSync(path)) return undefined;
	return z.record(z.string(), z.unknown()).parse(JSON.parse(readFileSync(path, 'utf8')));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
	const path = fileURLToPath(new URL('README.md', root));
	writeFileAtomic(path, fillTables(readFileSync(path, 'utf8'), loadMeasurement));
	console.log('README.md: tables are made from docs/measurements');
}
