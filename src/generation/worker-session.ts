/** @file A decoder session in a worker thread: the same interface, and the event loop of this thread stays free. */
import { Worker } from 'node:worker_threads';
import { unpackError } from '../base/error-transfer.ts';
import { InputError, InterruptedError, ModelsmithError } from '../base/errors.ts';
import type { HostTensor } from '../base/host-tensor.ts';
import type { CausalLanguageModel } from '../models/language-model.ts';
import { type DecoderPlan, planDecoder } from './decoder-plan.ts';
import type { BatchId, CallOptions, DecoderSession, ScoreRow, SessionSettings } from './decoder-session.ts';
import type { Reply, Request, SessionMethod, WorkerStart } from './worker-protocol.ts';

/**
 * Starts a worker thread that runs the model. The weights are copied into it once.
 * @throws as createDecoderSession
 */
export async function startWorkerSession(
	model: CausalLanguageModel,
	weights: ReadonlyMap<string, HostTensor>,
	settings: SessionSettings = {},
): Promise<DecoderSession> {
	const session = new WorkerSession(planDecoder(model, weights), settings);
	await session.ready;
	return session;
}

interface Pending {
	readonly resolve: (result: unknown) => void;
	readonly reject: (error: Error) => void;
	readonly done: () => void;
}

class WorkerSession implements DecoderSession {
	readonly vocabSize: number;
	readonly maxLength: number | undefined;
	/** Settles when the worker has compiled the model. */
	readonly ready: Promise<unknown>;
	private readonly worker: Worker;
	private readonly pending = new Map<number, Pending>();
	private nextId = 0;
	private ended: Error | undefined;

	constructor(plan: DecoderPlan, settings: SessionSettings) {
		this.vocabSize = plan.vocabSize;
		this.maxLength = plan.maxLength;
		// The compiled package has .js files where the sources have .ts.
		const file = import.meta.url.endsWith('.ts') ? './session-worker.ts' : './session-worker.js';
		const start: WorkerStart = { plan, settings };
		this.worker = new Worker(new URL(file, import.meta.url), { workerData: start });
		this.worker.on('message', (reply: Reply) => this.settle(reply));
		this.worker.on('error', (cause) =>
			this.end(new ModelsmithError('the worker of a session failed', { found: String(cause), cause })),
		);
		this.worker.on('exit', (code) =>
			this.end(new ModelsmithError('the worker of a session ended', { found: `exit code ${code}` })),
		);
		this.ready = this.expect(this.nextId++);
		this.ready.catch(() => this.worker.terminate());
	}

	open(rows: number): Promise<BatchId> {
		return this.call('open', [rows]) as Promise<BatchId>;
	}

	extend(batch: BatchId, tokens: readonly ArrayLike<number>[], { signal }: CallOptions = {}): Promise<Float32Array> {
		return this.call('extend', [batch, tokens], signal) as Promise<Float32Array>;
	}

	select(batch: BatchId, rows: readonly number[]): Promise<void> {
		return this.call('select', [batch, rows]) as Promise<void>;
	}

	close(batch: BatchId): Promise<void> {
		return this.call('close', [batch]) as Promise<void>;
	}

	score(rows: readonly ScoreRow[], { signal }: CallOptions = {}): Promise<Float64Array[]> {
		return this.call('score', [rows], signal) as Promise<Float64Array[]>;
	}

	async dispose(): Promise<void> {
		if (this.ended !== undefined) return;
		// The engine frees its memory in its own thread; ending the thread while it computes would not be safe.
		await this.call('dispose', []);
		this.end(new InputError('the session was disposed of'));
		await this.worker.terminate();
	}

	private call(method: SessionMethod, args: readonly unknown[], signal?: AbortSignal): Promise<unknown> {
		if (this.ended !== undefined) return Promise.reject(this.ended);
		const id = this.nextId++;
		const result = this.expect(id, signal);
		this.send({ id, method, args });
		// An abort that came before the call is told after it: the worker then ends it as it ends any other.
		if (signal?.aborted) this.send({ abort: id });
		return result;
	}

	private expect(id: number, signal?: AbortSignal): Promise<unknown> {
		// The process stays alive while a call is under way, and not because of an idle worker.
		if (this.pending.size === 0) this.worker.ref();
		const abort = (): void => this.send({ abort: id });
		signal?.addEventListener('abort', abort, { once: true });
		return new Promise((resolve, reject) => {
			const done = (): void => signal?.removeEventListener('abort', abort);
			this.pending.set(id, { resolve, reject, done });
		});
	}

	private send(request: Request): void {
		this.worker.postMessage(request);
	}

	private settle(reply: Reply): void {
		const pending = this.pending.get(reply.id);
		this.pending.delete(reply.id);
		if (this.pending.size === 0) this.worker.unref();
		pending?.done();
		if ('error' in reply) pending?.reject(unpackError(reply.error));
		else pending?.resolve(reply.result);
	}

	private end(error: Error): void {
		this.ended ??= error;
		for (const { reject, done } of this.pending.values()) {
			done();
			reject(this.ended instanceof InputError ? new InterruptedError('the session was disposed of') : this.ended);
		}
		this.pending.clear();
	}
}
