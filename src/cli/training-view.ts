/** @file Shows a training run as it goes: progress, validations, samples, warnings. */
import type { Sample, TrainingEvent } from '../training/events.ts';
import type { Cli } from './cli.ts';
import { formatBytes, formatCount, formatLoss } from './terminal/format.ts';
import { Progress } from './terminal/progress.ts';
import { safeText } from './terminal/safe-text.ts';
import { formatTable } from './terminal/table.ts';

/** What every phase before the first step is called, and what it counts. */
const PHASES: Readonly<Record<string, readonly [label: string, unit: string]>> = {
	'tokenizer: count': ['reading text for the tokenizer', 'bytes'],
	'tokenizer: merge': ['learning the vocabulary', 'tokens'],
	tokenize: ['tokenizing', 'bytes'],
	compile: ['compiling the model', ''],
};

/** Ops shown of a profile; the trace has them all. */
const PROFILE_ROWS = 15;

/** Feed it every event of a run; call `finish` or `abandon` at the end. */
export class TrainingView {
	/** Samples of the last time the model wrote. */
	lastSamples: readonly Sample[] = [];
	/** Parameters of the model, once it is built. */
	parameters = 0;
	/** Last validation, if there was one. */
	validation: Extract<TrainingEvent, { type: 'validation' }>['validation'] | undefined;
	private readonly cli: Cli;
	private progress: Progress | undefined;
	private phase = '';
	private readonly speeds: number[] = [];

	constructor(cli: Cli) {
		this.cli = cli;
	}

	/** Median tokens a second over the steps; the first ones warm up and weigh little. */
	get tokensPerSecond(): number | undefined {
		const sorted = [...this.speeds].sort((a, b) => a - b);
		return sorted[sorted.length >> 1];
	}

	show(event: TrainingEvent): void {
		switch (event.type) {
			case 'prepare':
				this.prepare(event.what, event.done, event.total);
				break;
			case 'start':
				this.endPhase();
				this.parameters = event.parameters;
				this.cli.note(
					`model: ${formatCount(event.parameters)} parameters, ${formatBytes(event.stateBytes)} with optimizer state; ${formatCount(event.tokensPerStep)} tokens a step`,
				);
				if (event.resumedFrom !== undefined) this.cli.note(`going on from ${event.resumedFrom}`);
				this.progress = new Progress(
					this.cli.host.stderr,
					{ label: 'training', total: event.totalSteps, unit: 'steps' },
					event.step,
				);
				break;
			case 'step': {
				this.speeds.push(event.tokensPerSecond);
				const bits = event.bitsPerByte === undefined ? '' : `  ${formatLoss(event.bitsPerByte)} bits/byte`;
				this.progress?.update(
					event.step,
					`loss ${formatLoss(event.loss)}${bits}  ${formatCount(event.tokensPerSecond)} tokens/s`,
				);
				break;
			}
			case 'validation': {
				this.validation = event.validation;
				const { loss, perplexity, bitsPerByte, best } = event.validation;
				const bits = bitsPerByte === undefined ? '' : `, ${formatLoss(bitsPerByte)} bits/byte`;
				this.say(
					`step ${event.step}: validation loss ${formatLoss(loss)}, perplexity ${perplexity.toFixed(1)}${bits}${best ? ' (best)' : ''}`,
				);
				break;
			}
			case 'profile': {
				const { runs, runMillis, byOp } = event.profile;
				const rows = byOp
					.slice(0, PROFILE_ROWS)
					.map(({ op, millis, calls, share }) => [op, millis.toFixed(2), calls.toFixed(0), (share * 100).toFixed(1)]);
				this.say(`${runMillis.toFixed(1)} ms a step in the engine, mean of ${runs} steps; trace: ${event.path}`);
				this.say(formatTable(['op', 'ms', 'calls', '%'], rows));
				break;
			}
			case 'sample':
				this.lastSamples = event.samples;
				for (const { prompt, text } of event.samples) {
					this.say(this.cli.colors.dim(`step ${event.step}: ${safeText(`${prompt}${text}`).replaceAll(/\s+/g, ' ')}`));
				}
				break;
			case 'checkpoint':
				break;
			case 'warning':
				this.say(`${this.cli.colors.yellow('warning:')} ${event.message}`);
				break;
		}
	}

	finish(): void {
		this.progress?.finish();
		this.progress = undefined;
	}

	/** The run did not end well; its error is printed next. */
	abandon(): void {
		this.progress?.abandon();
		this.progress = undefined;
	}

	private say(line: string): void {
		if (this.progress === undefined) this.cli.note(line);
		else this.progress.interrupt(() => this.cli.note(line));
	}

	private prepare(what: string, done: number | undefined, total: number | undefined): void {
		const [label, unit] = PHASES[what] ?? [what, ''];
		if (this.phase !== what) {
			this.endPhase();
			this.phase = what;
			if (done === undefined) this.cli.note(label);
			else this.progress = new Progress(this.cli.host.stderr, { label, total, unit });
		}
		if (done !== undefined) this.progress?.update(done);
	}

	private endPhase(): void {
		this.finish();
		this.phase = '';
	}
}
