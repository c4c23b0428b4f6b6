/**
 * @file Threads for the wasm backend of TensorFlow.js under Node. Version 4.22 turns them off there (its issue 3830)
 * because it starts workers from Blob URLs, which Node's workers cannot load, and it uses half of the logical cores.
 * Both are facts about its start-up, not about its kernels, so this file puts them right.
 */
import { createRequire } from 'node:module';
import type { CpuInfo } from 'node:os';
import { dirname, join } from 'node:path';
import type { Worker } from 'node:worker_threads';

const require = createRequire(import.meta.url);

/** Call before the first use of the backend, and set the flag WASM_HAS_MULTITHREAD_SUPPORT. */
export function enableWasmThreads(threads: number): void {
	const folder = join(dirname(require.resolve('@tensorflow/tfjs-backend-wasm/package.json')), 'wasm-out');
	const mainScript = join(folder, 'tfjs-backend-wasm-threaded-simd.js');
	const { wasmWorkerContents } = require(join(folder, 'tfjs-backend-wasm-threaded-simd.worker.js')) as {
		wasmWorkerContents: string;
	};
	// The package stores the worker's source in a template literal that lost the escapes of its line ends.
	const workerSource = wasmWorkerContents.replaceAll('\n', '\\n');
	const workerThreads = require('node:worker_threads') as { Worker: typeof Worker };
	const NodeWorker = workerThreads.Worker;
	workerThreads.Worker = class extends NodeWorker {
		constructor() {
			super(workerSource, { eval: true });
		}
		override postMessage(message: { cmd?: string }, transfer?: readonly ArrayBuffer[]): void {
			const fixed = message.cmd === 'load' ? { ...message, urlOrBlob: mainScript } : message;
			super.postMessage(fixed, transfer as ArrayBuffer[] | undefined);
		}
	};
	// The backend takes at most half of what os.cpus() lists.
	const os = require('node:os') as { cpus: () => CpuInfo[] };
	const [first] = os.cpus();
	os.cpus = () => new Array<CpuInfo>(2 * threads).fill(first as CpuInfo);
}
