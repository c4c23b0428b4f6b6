/** @file Running a causal model token by token: batches of texts of different lengths that grow, split and are scored. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { InputError, InterruptedError } from '../base/errors.ts';
import { type HostTensor, hostTensor } from '../base/host-tensor.ts';
import type { CausalLanguageModel } from '../models/language-model.ts';
import type { Device } from '../runtime/device.ts';
import { Program } from '../runtime/program.ts';
import { type DecoderPlan, planDecoder, STEP } from './decoder-plan.ts';
import { DecoderState } from './decoder-state.ts';

/** A text whose tokens from index `from` (at least 1) on are scored, each given all before it. */
export interface ScoreRow {
	readonly tokens: ArrayLike<number>;
	readonly from: number;
}

/** Names an open batch within its session. */
export type BatchId = number;

export interface CallOptions {
	/** Ends the call with an InterruptedError at the next chunk. */
	readonly signal?: AbortSignal;
}

/**
 * What generation and scoring need of a model that runs; in this thread (createDecoderSession) or in a worker
 * (startWorkerSession). Calls on one session may overlap; they run one after the other.
 */
export interface DecoderSession {
	readonly vocabSize: number;
	/** Longest text, or undefined where there is no limit. */
	readonly maxLength: number | undefined;
	/** Opens a batch of empty texts. */
	open(rows: number): Promise<BatchId>;
	/**
	 * Appends tokens to every text of a batch, at least one to each. The first call of a batch may give each text another
	 * number (shorter ones are padded on the left); later calls give all the same number, as padding inside a text would
	 * change distances between tokens.
	 * When it fails the batch is closed.
	 * @returns logits of the token after each text [rows, vocab]
	 * @throws InputError for a token outside the vocabulary or a text that gets longer than maxLength
	 */
	extend(batch: BatchId, tokens: readonly ArrayLike<number>[], options?: CallOptions): Promise<Float32Array>;
	/** Makes row i of the batch what row rows[i] was: drops, repeats or reorders texts. */
	select(batch: BatchId, rows: readonly number[]): Promise<void>;
	close(batch: BatchId): Promise<void>;
	/**
	 * Log-probabilities (nats) of the tokens from `from` on, for each row [tokens.length - from].
	 * @throws InputError for rows that are empty, too long, or outside the vocabulary
	 */
	score(rows: readonly ScoreRow[], options?: CallOptions): Promise<Float64Array[]>;
	/** Frees the model. */
	dispose(): Promise<void>;
}

export interface SessionSettings {
	readonly device?: Device;
	/** Threads of the engine; default: as many as cores. */
	readonly threads?: number;
	/** Most columns computed at once: bounds memory and the time until an abort is seen. Default 512. */
	readonly chunk?: number;
}

/** A session in this thread. Each call blocks the event loop for one chunk at a time. @throws as planDecoder */
export async function createDecoderSession(
	model: CausalLanguageModel,
	weights: ReadonlyMap<string, HostTensor>,
	settings: SessionSettings = {},
): Promise<LocalDecoderSession> {
	return LocalDecoderSession.create(planDecoder(model, weights), settings);
}

/** Logits computed at once stay below this many numbers. */
const LOGITS_BUDGET = 1 << 24;

/** See DecoderSession. */
export class LocalDecoderSession implements DecoderSession {
	readonly vocabSize: number;
	readonly maxLength: number | undefined;
	private readonly plan: DecoderPlan;
	private readonly settings: SessionSettings;
	private readonly chunk: number;
	private readonly plain: Program;
	private maskedProgram: Promise<Program> | undefined;
	private readonly batches = new Map<BatchId, DecoderState>();
	private nextId = 1;
	private disposed = false;

	private constructor(plan: DecoderPlan, settings: SessionSettings, plain: Program) {
		this.plan = plan;
		this.settings = settings;
		this.plain = plain;
		this.vocabSize = plan.vocabSize;
		this.maxLength = plan.maxLength;
		this.chunk = Math.min(settings.chunk ?? 512, Math.max(16, Math.floor(LOGITS_BUDGET / plan.vocabSize)));
	}

	/** @throws DeviceError when the device is missing */
	static async create(plan: DecoderPlan, settings: SessionSettings = {}): Promise<LocalDecoderSession> {
		if (settings.chunk !== undefined && !(Number.isInteger(settings.chunk) && settings.chunk > 0)) {
			throw new InputError('is not usable', {
				where: 'chunk',
				expected: 'an integer from 1',
				found: `${settings.chunk}`,
			});
		}
		return new LocalDecoderSession(plan, settings, await compile(plan, settings, false));
	}

	/** Bytes of all open batches' states. */
	get stateBytes(): number {
		return [...this.batches.values()].reduce((total, state) => total + state.bytes, 0);
	}

	async open(rows: number): Promise<BatchId> {
		this.checkAlive();
		if (!Number.isInteger(rows) || rows < 1) {
			throw new InputError('a batch needs at least one text', {
				where: 'rows',
				expected: 'an integer from 1',
				found: `${rows}`,
			});
		}
		const id = this.nextId++;
		this.batches.set(id, new DecoderState(this.plan.states, rows));
		return id;
	}

	async extend(batch: BatchId, tokens: readonly ArrayLike<number>[], options: CallOptions = {}): Promise<Float32Array> {
		const state = this.stateOf(batch);
		try {
			return await this.extendState(state, tokens, options);
		} catch (error) {
			this.batches.delete(batch);
			throw error;
		}
	}

	async select(batch: BatchId, rows: readonly number[]): Promise<void> {
		const state = this.stateOf(batch);
		if (rows.length === 0 || rows.some((row) => !Number.isInteger(row) || row < 0 || row >= state.batch)) {
			throw new InputError('not rows of the batch', {
				where: 'rows',
				expected: `one or more integers from 0 to ${state.batch - 1}`,
				found: `[${rows.join(', ')}]`,
			});
		}
		if (rows.length !== state.batch || rows.some((row, i) => row !== i)) state.select(rows);
	}

	async close(batch: BatchId): Promise<void> {
		this.batches.delete(batch);
	}

	async score(rows: readonly ScoreRow[], options: CallOptions = {}): Promise<Float64Array[]> {
		this.checkAlive();
		rows.forEach(({ tokens, from }, i) => {
			this.checkTokens(tokens, `rows[${i}].tokens`);
			if (!Number.isInteger(from) || from < 1 || from >= tokens.length) {
				throw new InputError('nothing to score', {
					where: `rows[${i}].from`,
					expected: `an integer from 1 to ${tokens.length - 1}: the first scored token needs one before it`,
					found: `${from}`,
				});
			}
			// The last token is only predicted, so it needs no position.
			this.checkLength(tokens.length - 1, `rows[${i}]`);
		});
		const results = rows.map(({ tokens, from }) => new Float64Array(tokens.length - from));
		// Rows of like length together: little padding.
		const order = [...rows.keys()].sort((a, b) => rows[b]!.tokens.length - rows[a]!.tokens.length);
		let start = 0;
		while (start < order.length) {
			const columns = Math.min(this.chunk, rows[order[start]!]!.tokens.length);
			const count = Math.max(1, Math.floor((2 * this.chunk) / columns));
			const group = order.slice(start, start + count);
			await this.scoreGroup(
				group.map((i) => rows[i]!),
				group.map((i) => results[i]!),
				options,
			);
			start += count;
		}
		return results;
	}

	async dispose(): Promise<void> {
		if (this.disposed) return;
		this.disposed = true;
		this.batches.clear();
		await this.plain.session.release();
		if (this.maskedProgram !== undefined) await (await this.maskedProgram).session.release();
	}

	private async extendState(
		state: DecoderState,
		rows: readonly ArrayLike<number>[],
		options: CallOptions,
	): Promise<Float32Array> {
		if (rows.length !== state.batch || rows.some((row) => row.length === 0)) {
			throw new InputError('every text of a batch needs at least one token', {
				where: 'tokens',
				expected: `${state.batch} lists that are not empty`,
				found: `lists of [${rows.map((row) => row.length).join(', ')}]`,
			});
		}
		rows.forEach((row, i) => {
			this.checkTokens(row, `tokens[${i}]`);
			this.checkLength((state.lengths[i] as number) + row.length, `tokens[${i}]`);
		});
		const time = Math.max(...rows.map((row) => row.length));
		if (rows.some((row) => row.length < time)) {
			if (state.past > 0) {
				throw new InputError('texts of a batch grow by the same number of tokens', {
					where: 'tokens',
					expected: 'lists of one length, after the first call',
					found: `lists of [${rows.map((row) => row.length).join(', ')}]`,
				});
			}
			state.mask = rows.map(() => new Uint8Array(0));
		}
		let logits: Float32Array = new Float32Array(0);
		for (let column = 0; column < time; column += this.chunk) {
			const width = Math.min(this.chunk, time - column);
			const last = column + width === time;
			logits = await this.runPadded(state, rows, time, column, width, last);
			await this.breathe(options, last);
		}
		return logits;
	}

	/** Columns [column, column + width) of the new tokens, padded on the left to `time` columns. */
	private async runPadded(
		state: DecoderState,
		rows: readonly ArrayLike<number>[],
		time: number,
		column: number,
		width: number,
		last: boolean,
	): Promise<Float32Array> {
		const batch = rows.length;
		const tokens = new Int32Array(batch * width);
		const positions = new Int32Array(batch * width);
		rows.forEach((row, r) => {
			const padding = time - row.length;
			let position = state.lengths[r] as number;
			for (let c = 0; c < width; c++) {
				const at = column + c - padding;
				if (at < 0) continue;
				tokens[r * width + c] = row[at] as number;
				positions[r * width + c] = position++;
			}
			state.lengths[r] = position;
			if (state.mask === undefined) return;
			const mask = new Uint8Array(state.past + width);
			mask.set(state.mask[r] as Uint8Array);
			for (let c = 0; c < width; c++) if (column + c >= padding) mask[state.past + c] = 1;
			state.mask[r] = mask;
		});
		// Only the last column is asked for; before the last chunk one hidden state is the least a graph can give.
		const scored = last ? Int32Array.from({ length: batch }, (_, r) => r * width + width - 1) : new Int32Array(1);
		const outputs = await this.run(
			state,
			tokens,
			positions,
			scored,
			new Int32Array(scored.length),
			last ? [STEP.logits] : [],
			true,
		);
		return last ? (outputs[STEP.logits]?.data as Float32Array) : new Float32Array(0);
	}

	/** Rows are padded on the right, where causality hides the padding. */
	private async scoreGroup(
		rows: readonly ScoreRow[],
		results: readonly Float64Array[],
		options: CallOptions,
	): Promise<void> {
		const state = new DecoderState(this.plan.states, rows.length);
		const time = Math.max(...rows.map(({ tokens }) => tokens.length)) - 1;
		for (let column = 0; column < time; column += this.chunk) {
			const width = Math.min(this.chunk, time - column);
			const tokens = new Int32Array(rows.length * width);
			const positions = new Int32Array(rows.length * width);
			const places: { readonly row: number; readonly index: number }[] = [];
			const scored: number[] = [];
			const labels: number[] = [];
			rows.forEach((row, r) => {
				for (let c = 0; c < width; c++) {
					const at = column + c;
					if (at >= row.tokens.length - 1) break;
					tokens[r * width + c] = row.tokens[at] as number;
					positions[r * width + c] = at;
					if (at + 1 < row.from) continue;
					scored.push(r * width + c);
					labels.push(row.tokens[at + 1] as number);
					places.push({ row: r, index: at + 1 - row.from });
				}
			});
			const last = column + width === time;
			const wanted = scored.length > 0 ? [STEP.labelLogprobs] : [];
			if (scored.length === 0) {
				scored.push(0);
				labels.push(0);
			}
			const outputs = await this.run(
				state,
				tokens,
				positions,
				Int32Array.from(scored),
				Int32Array.from(labels),
				wanted,
				!last,
			);
			const logprobs = outputs[STEP.labelLogprobs]?.data as Float32Array | undefined;
			places.forEach(({ row, index }, i) => {
				(results[row] as Float64Array)[index] = logprobs?.[i] as number;
			});
			await this.breathe(options, last);
		}
	}

	/** One run of the graph; with `keepState` the state advances. */
	private async run(
		state: DecoderState,
		tokens: Int32Array,
		positions: Int32Array,
		scored: Int32Array,
		labels: Int32Array,
		wanted: readonly string[],
		keepState: boolean,
	): Promise<Record<string, HostTensor>> {
		this.checkAlive();
		const time = tokens.length / state.batch;
		const feeds: Record<string, HostTensor> = {
			[STEP.tokens]: hostTensor('int32', [state.batch, time], tokens),
			[STEP.positions]: hostTensor('int32', [state.batch, time], positions),
			[STEP.scored]: hostTensor('int32', [scored.length], scored),
			[STEP.labels]: hostTensor('int32', [labels.length], labels),
		};
		if (state.mask !== undefined) {
			const columns = state.past + time;
			const mask = new Uint8Array(state.batch * columns);
			state.mask.forEach((row, r) => void mask.set(row, r * columns));
			feeds[STEP.attentionMask] = hostTensor('bool', [state.batch, columns], mask);
		}
		const next = keepState ? state.nextTensors(time) : [];
		const into: Record<string, HostTensor> = {};
		const names = [...wanted];
		this.plan.states.forEach(({ name }, i) => {
			feeds[STEP.stateIn(name)] = state.tensors[i] as HostTensor;
			if (!keepState) return;
			into[STEP.stateOut(name)] = next[i] as HostTensor;
			names.push(STEP.stateOut(name));
		});
		const program = state.mask === undefined ? this.plain : await this.masked();
		const outputs = await program.run(feeds, into, names);
		if (keepState) state.advance(next, time);
		return outputs;
	}

	private masked(): Promise<Program> {
		this.maskedProgram ??= compile(this.plan, this.settings, true);
		return this.maskedProgram;
	}

	/** Lets timers, sockets and signals have their turn between runs, which block. */
	private async breathe({ signal }: CallOptions, last: boolean): Promise<void> {
		await nextTurn();
		if (!last) throwIfAborted(signal);
	}

	private stateOf(batch: BatchId): DecoderState {
		this.checkAlive();
		const state = this.batches.get(batch);
		if (state === undefined) throw new InputError('the batch is closed', { where: `batch ${batch}` });
		return state;
	}

	private checkAlive(): void {
		if (this.disposed) throw new InputError('the session was disposed of');
	}

	private checkTokens(tokens: ArrayLike<number>, where: string): void {
		for (let i = 0; i < tokens.length; i++) {
			const token = tokens[i] as number;
			if (!Number.isInteger(token) || token < 0 || token >= this.vocabSize) {
				throw new InputError('is not a token of the model', {
					where: `${where}[${i}]`,
					expected: `an integer from 0 to ${this.vocabSize - 1}`,
					found: String(token),
				});
			}
		}
	}

	private checkLength(length: number, where: string): void {
		if (this.maxLength !== undefined && length > this.maxLength) {
			throw new InputError('the text is longer than the model can read', {
				where,
				expected: `at most ${this.maxLength} tokens`,
				found: `${length}`,
				fix: 'shorten the text',
			});
		}
	}
}

/** @throws InterruptedError when the signal has fired */
export function throwIfAborted(signal: AbortSignal | undefined): void {
	if (signal?.aborted) throw new InterruptedError('generation was cancelled', { cause: signal.reason });
}

function compile(plan: DecoderPlan, { device, threads }: SessionSettings, masked: boolean): Promise<Program> {
	return Program.fromEncoded(masked ? plan.masked : plan.plain, {
		...(device !== undefined && { device }),
		...(threads !== undefined && { threads }),
		// A session owns its engine: the process-wide cache would keep the weights of models no longer used.
		cache: false,
	});
}
