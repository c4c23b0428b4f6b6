/** @file `modelsmith reproduce SLUG`: claim, baseline, what was measured, and whether the claim holds. */
import type { Command } from 'commander';
import type { Measurement } from '../../evaluation/reproduction.ts';
import type { Run } from '../registry.ts';

export function configure(command: Command, run: Run): void {
	command
		.description(
			"Run a system's experiment and say whether its claim holds on this machine. A full run writes systems/<slug>/evidence.json.",
		)
		.argument('<slug>', 'a system; modelsmith systems lists them')
		.option('--smoke', 'a few minutes instead of the full experiment; never makes evidence')
		.addHelpText('after', '\nExit code 0 when the claim holds, 1 when it does not, 2 when the system is not built yet.')
		.action((slug: string, options: { smoke?: true }) =>
			run(async (cli) => {
				const { existsSync } = await import('node:fs');
				const { join } = await import('node:path');
				const { pathToFileURL } = await import('node:url');
				const { InputError, nearest } = await import('../../base/errors.ts');
				const { listSystems, systemsFolder } = await import('../../evaluation/systems.ts');
				const systems = listSystems();
				const system = systems.find((candidate) => candidate.slug === slug);
				if (system === undefined) {
					const names = systems.map((candidate) => candidate.slug);
					const guess = nearest(slug, names);
					throw new InputError('is not a known system', {
						where: slug,
						expected: `one of the ${names.length} that "modelsmith systems" lists`,
						...(guess !== undefined && { fix: `did you mean ${guess}?` }),
					});
				}
				const folder = join(systemsFolder(), slug);
				const file = join(folder, 'reproduce.ts');
				if (!existsSync(file)) {
					throw new InputError(`planned: the experiment of "${slug}" is not built yet`, {
						where: slug,
						expected: `systems/${slug}/reproduce.ts`,
						fix: 'modelsmith systems --status works lists the ones that run',
					});
				}
				if (file.includes('node_modules')) {
					throw new InputError('experiments run from a checkout of the repository, not from an installed package', {
						where: slug,
					});
				}
				const { runReproduction, claimHolds } = await import('../../evaluation/reproduction.ts');
				const { definitionHash } = await import('../../evaluation/systems.ts');
				const { interruptible } = await import('../interrupt.ts');
				const { Progress } = await import('../terminal/progress.ts');
				// read before the run: files edited while it runs are another experiment
				const definition = definitionHash(folder);
				const { reproduction } = (await import(pathToFileURL(file).href)) as {
					reproduction: import('../../evaluation/reproduction.ts').Reproduction;
				};
				cli.note(`${system.title}\nclaim:    ${reproduction.claim}\nbaseline: ${reproduction.baseline}`);
				let label = '';
				let progress: InstanceType<typeof Progress> | undefined;
				const outcome = await interruptible(cli, 'ending the experiment; it leaves no evidence', (signal) =>
					runReproduction(reproduction, {
						smoke: options.smoke === true,
						signal,
						progress(part, done, total) {
							if (part !== label) {
								progress?.finish();
								progress = new Progress(cli.host.stderr, { label: part, total, unit: 'steps' });
								label = part;
							}
							progress?.update(done);
						},
					}),
				);
				progress?.finish();
				const held = claimHolds(outcome.measurements);
				if (options.smoke !== true) {
					const { writeFileAtomic } = await import('../../base/files.ts');
					const { describeMachine } = await import('../../evaluation/machine.ts');
					const { packageVersion } = await import('../version.ts');
					const { evidenceSchema } = await import('../../evaluation/reproduction.ts');
					const evidence = evidenceSchema.parse({
						format: 1,
						slug,
						definition,
						claim: reproduction.claim,
						baseline: reproduction.baseline,
						measurements: outcome.measurements,
						startedAt: outcome.startedAt,
						seconds: outcome.seconds,
						version: packageVersion(),
						machine: describeMachine(),
					});
					writeFileAtomic(join(folder, 'evidence.json'), `${JSON.stringify(evidence, null, '\t')}\n`);
				}
				cli.result({
					slug,
					claim: reproduction.claim,
					baseline: reproduction.baseline,
					smoke: options.smoke === true,
					measurements: outcome.measurements,
					holds: held,
					seconds: outcome.seconds,
				});
				const { formatTable } = await import('../terminal/table.ts');
				cli.print(formatTable(['measured', 'value', 'baseline', 'target', ''], outcome.measurements.map(row)));
				cli.print(held ? `\n${cli.colors.green('the claim holds')}` : `\n${cli.colors.red('the claim does not hold')}`);
				return held ? 0 : 1;
			}),
		);
}

function row({ name, unit, value, baseline, target }: Measurement): string[] {
	const limits = [
		target?.atLeast === undefined ? '' : `>= ${target.atLeast}`,
		target?.atMost === undefined ? '' : `<= ${target.atMost}`,
	];
	const met =
		target === undefined
			? ''
			: value >= (target.atLeast ?? Number.NEGATIVE_INFINITY) && value <= (target.atMost ?? Infinity)
				? 'met'
				: 'missed';
	const show = (number: number) => `${Number(number.toPrecision(5))}${unit === '' ? '' : ` ${unit}`}`;
	return [
		name,
		show(value),
		baseline === undefined ? '' : show(baseline),
		limits.filter((text) => text !== '').join(', '),
		met,
	];
}
