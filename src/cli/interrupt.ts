/** @file Ctrl-C: the first asks the work to stop in good order, the second ends the program at once. */
import { InterruptedError } from '../base/errors.ts';
import type { Cli } from './cli.ts';

/** npm passes Ctrl-C on to a program that the terminal has told already: two signals this close are one key press. */
const SAME_PRESS_MS = 400;

/**
 * Runs work that can be asked to stop. SIGTERM is treated alike, and a closed terminal (SIGHUP).
 * @param promise what will happen, e.g. "finishing the step and writing a checkpoint"
 * @returns what `work` returns
 */
export async function interruptible<T>(
	cli: Cli,
	promise: string,
	work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
	const controller = new AbortController();
	let pressedAt = Number.NEGATIVE_INFINITY;
	const onSignal = () => {
		if (performance.now() - pressedAt < SAME_PRESS_MS) return;
		if (controller.signal.aborted) process.exit(130);
		pressedAt = performance.now();
		controller.abort(new InterruptedError('interrupted'));
		cli.note(`\nstopping: ${promise}. Press Ctrl-C again to stop at once.`);
	};
	const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
	for (const name of signals) process.on(name, onSignal);
	try {
		return await work(controller.signal);
	} finally {
		for (const name of signals) process.off(name, onSignal);
	}
}
