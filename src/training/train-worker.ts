/** @file Entry of the training thread; see run-training.ts. */
import { parentPort, workerData } from 'node:worker_threads';
import { packError } from '../base/error-transfer.ts';
import { trainHere } from './run-training.ts';
import type { WorkerMessage, WorkerSettings } from './worker-protocol.ts';

const { stop, ...options } = workerData as WorkerSettings;
const send = (message: WorkerMessage): void => parentPort?.postMessage(message);
const controller = new AbortController();
// Reaches the parts that wait (tokenizing); the loop of steps looks at the shared flag.
parentPort?.on('message', (message) => {
	if (message === 'stop') controller.abort();
});

try {
	const onEvent = (event: Extract<WorkerMessage, { type: 'event' }>['event']): void => send({ type: 'event', event });
	const stopRequested = (): boolean => Atomics.load(stop, 0) !== 0;
	const summary = await trainHere({ ...options, onEvent, signal: controller.signal }, stopRequested);
	send({ type: 'done', summary });
} catch (error) {
	send({ type: 'error', error: packError(error) });
} finally {
	parentPort?.close();
}
