/** @file `modelsmith systems`: the research systems and what is known of them. */
import { type Command, InvalidArgumentError } from 'commander';
import type { Run } from '../registry.ts';

export function configure(command: Command, run: Run): void {
	command
		.description(
			'List the research systems the toolkit is made for. A system "works" when its experiment, as it stands now, has run in full and every claim held (systems/<slug>/evidence.json).',
		)
		.option('--wave <n>', 'only the systems of one wave (1, 2 or 3)', (text) => {
			if (!['1', '2', '3'].includes(text)) throw new InvalidArgumentError('Expected 1, 2 or 3.');
			return Number(text);
		})
		.option('--status <status>', 'only planned or works', (text) => {
			if (text !== 'planned' && text !== 'works') throw new InvalidArgumentError('Expected planned or works.');
			return text;
		})
		.action((options: { wave?: number; status?: string }) =>
			run(async (cli) => {
				const { listSystems } = await import('../../evaluation/systems.ts');
				const { formatTable } = await import('../terminal/table.ts');
				const systems = listSystems().filter(
					({ wave, status }) =>
						(options.wave === undefined || wave === options.wave) &&
						(options.status === undefined || status === options.status),
				);
				const works = systems.filter(({ status }) => status === 'works').length;
				cli.result({
					systems: systems.map(({ slug, title, summary, wave, rooms, paper, status, reason, evidence }) => ({
						slug,
						title,
						summary,
						wave,
						rooms,
						paper,
						status,
						...(reason !== undefined && { reason }),
						...(evidence !== undefined && { evidence }),
					})),
					total: systems.length,
					works,
				});
				if (cli.json) return undefined;
				const rows = systems.map(({ slug, wave, status, reason, summary }) => [
					slug,
					String(wave),
					status,
					reason === undefined ? summary : `${summary} (${reason})`,
				]);
				cli.print(formatTable(['system', 'wave', 'status', 'what it is'], rows));
				cli.print(`\n${systems.length} systems, ${works} work. About one: systems/<slug>/README.md`);
				return undefined;
			}),
		);
}
