/** @file The thread behind startWorkerSession: owns a session and answers calls on it. */
import { parentPort, workerData } from 'node:worker_threads';
import { packError } from '../base/error-transfer.ts';
import { revivePlan } from './decoder-plan.ts';
import { LocalDecoderSession } from './decoder-session.ts';
import { callSession, type Reply, type Request, type WorkerStart } from './worker-protocol.ts';

const port = parentPort;
if (port === null) throw new Error('session-worker runs as a worker thread only');
const reply = (message: Reply): void => port.postMessage(message);
const running = new Map<number, AbortController>();

try {
	const { plan, settings } = workerData as WorkerStart;
	const session = await LocalDecoderSession.create(revivePlan(plan), settings);
	port.on('message', (request: Request) => {
		if ('abort' in request) return void running.get(request.abort)?.abort();
		const controller = new AbortController();
		running.set(request.id, controller);
		callSession(session, request, controller.signal)
			.then(
				(result) => reply({ id: request.id, result }),
				(error: unknown) => reply({ id: request.id, error: packError(error) }),
			)
			.finally(() => void running.delete(request.id));
	});
	reply({ id: 0, result: undefined });
} catch (error) {
	reply({ id: 0, error: packError(error) });
}
