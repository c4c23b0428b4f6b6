/**
 * @file The part of the browser's `Worker` that jax-js needs, over Node's worker threads: a module from a Blob URL and
 * messages both ways. Without a global `Worker` jax-js computes on one thread.
 */
import { resolveObjectURL } from 'node:buffer';
import { Worker as NodeWorker } from 'node:worker_threads';

const PRELUDE = `
const { parentPort } = require('node:worker_threads');
globalThis.self = globalThis;
globalThis.postMessage = (message) => parentPort.postMessage(message);
parentPort.on('message', (data) => self.onmessage({ data }));
`;

class BlobWorker {
	onmessage: ((event: { data: unknown }) => void) | null = null;
	onerror: ((event: Error) => void) | null = null;
	readonly #started: Promise<NodeWorker>;
	#worker: NodeWorker | undefined;

	constructor(url: string | URL) {
		this.#started = this.#start(String(url));
	}

	postMessage(message: unknown): void {
		// Once it runs, messages are sent in the same turn: this is on the path of every kernel.
		if (this.#worker) this.#worker.postMessage(message);
		else void this.#started.then((worker) => worker.postMessage(message));
	}

	async #start(url: string): Promise<NodeWorker> {
		const blob = resolveObjectURL(url);
		if (blob === undefined) throw new Error(`no such Blob URL: ${url}`);
		const worker = new NodeWorker(`${PRELUDE}${await blob.text()}`, { eval: true });
		worker.on('message', (data: unknown) => this.onmessage?.({ data }));
		worker.on('error', (error: Error) => this.onerror?.(error));
		this.#worker = worker;
		return worker;
	}
}

/** Gives this process the globals from which jax-js takes its number of threads. Call before jax-js is started. */
export function enableWorkers(threads: number): void {
	Object.defineProperty(navigator, 'hardwareConcurrency', { value: threads });
	Object.defineProperty(globalThis, 'Worker', { value: BlobWorker });
}
