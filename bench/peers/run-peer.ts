/**
 * @file Starts one training peer as a process of its own, with its threads limited, a time limit and its answer checked.
 * A peer that is not installed is an answer too, with the reason and what to run.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readJson } from '../../src/base/files.ts';
import { type PeerConfig, type PeerResult, peerResultSchema } from './protocol.ts';

export interface PeerOptions {
	readonly config: PeerConfig;
	readonly weightsPath: string;
	readonly batchesPath: string;
	readonly threads: number;
	/** Steps to run from the given weights, warm-up included. */
	readonly steps: number;
	/** The first steps that the caller will not count; at least 1, because compilation happens there. */
	readonly warmup: number;
	/** Limit of the whole process, start and compilation included. Default 15 minutes. */
	readonly timeoutMillis?: number;
	/** The Python to use instead of `MODELSMITH_PYTHON` or the repository's `.venv`. */
	readonly python?: string;
}

/** Why there is no result, in a line that says what to do. */
export interface UnavailablePeer {
	readonly name: string;
	readonly unavailable: string;
}

interface Peer {
	readonly script: string;
	readonly needs: 'python' | 'node';
	/** Python modules or npm packages that must be there. */
	readonly packages: readonly string[];
	readonly flags?: readonly string[];
	readonly environment?: Readonly<Record<string, string>>;
}

/** The peers by name, in the order in which a table should show them. */
export const PEERS = {
	modelsmith: { script: 'modelsmith.ts', needs: 'node', packages: [] },
	'modelsmith, engine update': {
		script: 'modelsmith.ts',
		needs: 'node',
		packages: [],
		environment: { MODELSMITH_KERNELS: 'off' },
	},
	jax: { script: 'jax-cpu.py', needs: 'python', packages: ['jax', 'numpy', 'safetensors'] },
	pytorch: { script: 'pytorch.py', needs: 'python', packages: ['torch', 'numpy', 'safetensors'] },
	'pytorch-compile': {
		script: 'pytorch.py',
		needs: 'python',
		packages: ['torch', 'numpy', 'safetensors'],
		flags: ['--mode', 'compile'],
	},
	tfjs: {
		script: 'tfjs.ts',
		needs: 'node',
		packages: ['@tensorflow/tfjs-core', '@tensorflow/tfjs-backend-wasm'],
	},
	'jax-js': { script: 'jax-js.ts', needs: 'node', packages: ['@jax-js/jax'] },
} as const satisfies Record<string, Peer>;

export type PeerName = keyof typeof PEERS;

const folder = fileURLToPath(new URL('.', import.meta.url));
const root = fileURLToPath(new URL('../../', import.meta.url));

/** The interpreter of the Python peers: `MODELSMITH_PYTHON`, or `.venv/bin/python` of the repository. */
export function peerPython(): string {
	return process.env.MODELSMITH_PYTHON ?? join(root, '.venv', 'bin', 'python');
}

/**
 * Environment that limits a peer to `threads` threads. XLA's CPU client sizes its pool by NPROC; OpenMP and MKL have
 * variables of their own. The peers set what is left (torch.set_num_threads, the wasm backends) from `--threads`.
 */
export function threadEnvironment(threads: number): Record<string, string> {
	const count = String(threads);
	return {
		NPROC: count,
		OMP_NUM_THREADS: count,
		MKL_NUM_THREADS: count,
		OPENBLAS_NUM_THREADS: count,
		JAX_PLATFORMS: 'cpu',
		// No peer may use a GPU in a comparison on the CPU.
		CUDA_VISIBLE_DEVICES: '',
	};
}

/**
 * Runs one peer to its end.
 * @returns its checked result, or why there is none: not installed, out of time, crashed, or an answer that is no answer
 */
export async function runPeer(name: PeerName, options: PeerOptions): Promise<PeerResult | UnavailablePeer> {
	const peer: Peer = PEERS[name];
	const python = options.python ?? peerPython();
	const missing = peer.needs === 'python' ? await missingPython(python, peer.packages) : missingNode(peer.packages);
	if (missing !== undefined) return { name, unavailable: missing };

	const work = mkdtempSync(join(tmpdir(), 'modelsmith-peer-'));
	try {
		const config = join(work, 'config.json');
		const out = join(work, 'result.json');
		writeFileSync(config, JSON.stringify(options.config));
		const { weightsPath, batchesPath, threads, steps, warmup } = options;
		const flags = { weights: resolve(weightsPath), batches: resolve(batchesPath), config, out, threads, steps, warmup };
		const ended = await run(
			peer.needs === 'python' ? python : process.execPath,
			[
				join(folder, peer.script),
				...Object.entries(flags).flatMap(([flag, value]) => [`--${flag}`, String(value)]),
				...(peer.flags ?? []),
			],
			{
				environment: { ...threadEnvironment(threads), ...peer.environment },
				timeoutMillis: options.timeoutMillis ?? 15 * 60_000,
			},
		);
		if (ended.failure !== undefined) return { name, unavailable: `${ended.failure}${lastLines(ended.stderr)}` };
		if (!existsSync(out)) return { name, unavailable: `wrote no result${lastLines(ended.stderr)}` };
		const parsed = peerResultSchema.safeParse(readJson(out, 'the result of a peer'));
		if (!parsed.success) return { name, unavailable: `its result is not valid: ${parsed.error.message}` };
		if (parsed.data.losses.length !== steps) {
			return { name, unavailable: `ran ${parsed.data.losses.length} steps instead of ${steps}` };
		}
		return parsed.data;
	} finally {
		rmSync(work, { recursive: true, force: true });
	}
}

async function missingPython(python: string, packages: readonly string[]): Promise<string | undefined> {
	const fix = 'run scripts/python-peers.sh, or set MODELSMITH_PYTHON';
	if (python.includes('/') && !existsSync(python)) return `no Python at ${python}: ${fix}`;
	const probe = `import importlib.util, sys; print(' '.join(m for m in sys.argv[1:] if importlib.util.find_spec(m) is None))`;
	const ended = await run(python, ['-c', probe, ...packages], { environment: {}, timeoutMillis: 60_000 });
	if (ended.failure !== undefined) return `${python} does not run (${ended.failure}): ${fix}`;
	const absent = ended.stdout.trim();
	return absent === '' ? undefined : `${python} lacks ${absent.split(' ').join(', ')}: ${fix}`;
}

function missingNode(packages: readonly string[]): string | undefined {
	const require = createRequire(join(folder, 'package.json'));
	const absent = packages.filter((name) => {
		// Not every package lets itself be resolved with require, so its folder is looked for where Node would look.
		return !(require.resolve.paths(name) ?? []).some((place) => existsSync(join(place, name, 'package.json')));
	});
	if (absent.length === 0) return undefined;
	return `${absent.join(', ')} is not installed: run npm ci --ignore-scripts --prefix bench/peers`;
}

interface Ended {
	readonly stdout: string;
	readonly stderr: string;
	/** Undefined when the process ended with exit code 0. */
	readonly failure?: string;
}

/** Kept of each output stream; a peer that floods its output must not fill the memory. */
const OUTPUT_LIMIT = 64 * 1024;

function run(
	command: string,
	args: readonly string[],
	options: { environment: Record<string, string>; timeoutMillis: number },
): Promise<Ended> {
	return new Promise((settle) => {
		// A group of its own: torch.compile starts compilers and workers, which a timeout must end too.
		const detached = process.platform !== 'win32';
		const child = spawn(command, [...args], {
			env: { ...process.env, ...options.environment },
			stdio: ['ignore', 'pipe', 'pipe'],
			detached,
		});
		const kill = () => {
			try {
				if (detached && child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
				else child.kill('SIGKILL');
			} catch {
				// already gone
			}
		};
		let late = false;
		const timer = setTimeout(() => {
			late = true;
			kill();
		}, options.timeoutMillis);
		process.once('exit', kill);
		const output = { stdout: '', stderr: '' };
		for (const stream of ['stdout', 'stderr'] as const) {
			child[stream].setEncoding('utf8').on('data', (text: string) => {
				output[stream] = (output[stream] + text).slice(-OUTPUT_LIMIT);
			});
		}
		const end = (failure?: string) => {
			clearTimeout(timer);
			process.removeListener('exit', kill);
			settle(failure === undefined ? output : { ...output, failure });
		};
		child.once('error', (error) => end(error.message));
		child.once('close', (code, signal) => {
			if (late) end(`stopped after ${options.timeoutMillis / 1000} s`);
			else if (code !== 0) end(code === null ? `killed by ${signal}` : `exit code ${code}`);
			else end();
		});
	});
}

function lastLines(text: string): string {
	const lines = text.trim().split('\n').slice(-6).join('\n');
	return lines === '' ? '' : `\n${lines}`;
}
