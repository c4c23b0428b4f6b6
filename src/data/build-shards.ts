/**
 * @file From documents to token shards on disk, once: a folder named by the fingerprint of everything the tokens depend
 * on, filled under a temporary name and renamed when complete.
 */
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { hostname } from 'node:os';
import { join, resolve } from 'node:path';
import { FormatError, InputError, InterruptedError } from '../base/errors.ts';
import { syncDirectory, writeFileAtomic } from '../base/files.ts';
import { MANIFEST_NAME, readManifest, SHARD_FORMAT_VERSION, type ShardManifest, tokenWidth } from './shard-format.ts';
import { SplitWriter } from './shard-writer.ts';
import type { DataSource } from './source.ts';
import { type Split, SplitBalance, splitAt, splitPosition } from './split.ts';
import { piecesOf } from './split-text.ts';
import { encodePiece, type TokenEncoder } from './token-encoder.ts';

export interface BuildProgress {
	/** Input bytes read so far, of `bytesTotal`, as they lie on disk. */
	readonly bytesDone: number;
	readonly bytesTotal: number;
	readonly documents: number;
	readonly tokens: number;
}

export interface BuildShardsOptions {
	readonly source: DataSource;
	/** The checked configuration of the source; part of the fingerprint. */
	readonly sourceConfig: unknown;
	readonly encoder: TokenEncoder;
	/** Changes when the encoder would give other ids: a hash of its tokenizer.json. */
	readonly encoderFingerprint: string;
	/** Cache folder; each different corpus, tokenizer or split gets its own folder in it. */
	readonly directory: string;
	/** Share of the documents that is kept for validation, in [0, 1). 0 keeps none. */
	readonly validationFraction: number;
	/** Decides which documents are for validation. */
	readonly seed: number;
	/** Documents for validation alone; `validationFraction` must then be 0. */
	readonly validation?: { readonly source: DataSource; readonly sourceConfig: unknown };
	/** Tokens of one shard file. Default 67,108,864. */
	readonly shardTokens?: number;
	/** Called at most every 100 ms and at the end. */
	readonly onProgress?: (progress: BuildProgress) => void;
	/** Called for every skipped record. */
	readonly onSkip?: (reason: InputError) => void;
	readonly signal?: AbortSignal;
}

export interface BuiltShards {
	/** Folder to give to `openTokenDataset`. */
	readonly directory: string;
	readonly manifest: ShardManifest;
	/** True when the shards of an earlier run were still valid. */
	readonly reused: boolean;
}

const DEFAULT_SHARD_TOKENS = 1 << 26;
const TEMPORARY = /^\.building-([0-9a-f]{8})-(\d+)-[0-9a-f]+$/;

/**
 * Tokenizes every document of a source and writes the ids to disk, or finds that this was done before. Memory does not
 * grow with the corpus. A build that is killed leaves only a temporary folder, which the next build removes.
 * @throws InputError for bad input, no text at all, or a split that cannot be made; InterruptedError on abort
 */
export async function buildShards(options: BuildShardsOptions): Promise<BuiltShards> {
	const { encoder, validationFraction, seed, shardTokens = DEFAULT_SHARD_TOKENS } = options;
	const files = await options.source.files();
	const validationFiles = (await options.validation?.source.files()) ?? [];
	const describe = (list: typeof files) => list.map(({ id, byteLength, modifiedMs }) => [id, byteLength, modifiedMs]);
	const fingerprint = createHash('sha256')
		.update(
			canonicalJson({
				version: SHARD_FORMAT_VERSION,
				source: options.sourceConfig,
				files: describe(files),
				validation: options.validation?.sourceConfig ?? null,
				validationFiles: describe(validationFiles),
				encoder: [options.encoderFingerprint, encoder.vocabSize, encoder.eosId ?? null],
				validationFraction,
				seed,
				shardTokens,
			}),
		)
		.digest('hex');
	const root = resolve(options.directory);
	const directory = join(root, fingerprint.slice(0, 16));
	const earlier = findEarlier(directory, fingerprint);
	if (earlier !== undefined) return { directory, manifest: earlier, reused: true };

	mkdirSync(root, { recursive: true });
	removeAbandoned(root);
	const bytesTotal = [...files, ...validationFiles].reduce((sum, { byteLength }) => sum + byteLength, 0);
	const plan = { options, fingerprint, shardTokens, bytesTotal };
	let moved: number | undefined;
	for (;;) {
		const temporary = join(root, `.building-${hostMark()}-${process.pid}-${randomBytes(4).toString('hex')}`);
		mkdirSync(temporary);
		try {
			const outcome = await fill(temporary, plan, moved);
			if (outcome.moved !== undefined) {
				// One side stayed empty, known only now that all documents were seen: once more, with one document moved.
				moved = outcome.moved;
				continue;
			}
			writeFileAtomic(join(temporary, MANIFEST_NAME), `${JSON.stringify(outcome.manifest, null, '\t')}\n`);
			publish(temporary, directory);
			return { directory, manifest: readManifest(directory), reused: false };
		} finally {
			rmSync(temporary, { recursive: true, force: true });
		}
	}
}

interface Plan {
	readonly options: BuildShardsOptions;
	readonly fingerprint: string;
	readonly shardTokens: number;
	readonly bytesTotal: number;
}

type Outcome = { readonly manifest: ShardManifest; readonly moved?: never } | { readonly moved: number };

async function fill(temporary: string, plan: Plan, moved: number | undefined): Promise<Outcome> {
	const { options, fingerprint, shardTokens, bytesTotal } = plan;
	const { encoder, validationFraction, seed, onProgress, signal } = options;
	const { vocabSize, eosId } = encoder;
	const bytesPerToken = tokenWidth(vocabSize);
	const layout = { vocabSize, bytesPerToken, shardTokens };
	const writers: Record<Split, SplitWriter> = {
		train: new SplitWriter(temporary, 'train', layout),
		validation: new SplitWriter(temporary, 'validation', layout),
	};
	const { train, validation } = writers;
	const balance = new SplitBalance(validationFraction);
	let bytesDone = 0;
	let skipped = 0;
	let reported = 0;
	const report = (now: number): void => {
		reported = now;
		const documents = train.documents + validation.documents;
		onProgress?.({ bytesDone, bytesTotal, documents, tokens: train.tokens + validation.tokens });
	};
	const read = async (source: DataSource, choose: (text: string, document: number) => Split): Promise<void> => {
		const reading = {
			onBytes: (bytes: number) => {
				bytesDone += bytes;
			},
			onSkip: (reason: InputError) => {
				skipped++;
				options.onSkip?.(reason);
			},
		};
		let writer: SplitWriter | undefined;
		let document = 0;
		for await (const { text, partial = false } of source.documents(reading)) {
			writer ??= writers[choose(text, document++)];
			for (const piece of piecesOf(text)) {
				if (signal?.aborted) throw new InterruptedError('the tokenization was interrupted; nothing was kept of it');
				writer.push(encodePiece(encoder, piece));
				writer.bytes += Buffer.byteLength(piece);
				const now = performance.now();
				if (now - reported >= 100) report(now);
			}
			if (partial) continue;
			if (eosId !== undefined) writer.push([eosId]);
			writer.endDocument();
			writer = undefined;
		}
	};
	try {
		await read(options.source, (text, document) => {
			const position = splitPosition(text, seed);
			balance.add(position);
			const split = splitAt(position, validationFraction);
			if (document !== moved) return split;
			return split === 'train' ? 'validation' : 'train';
		});
		if (moved === undefined) {
			const toMove = balance.moved();
			if (toMove !== undefined) return { moved: toMove };
		}
		if (options.validation !== undefined) await read(options.validation.source, () => 'validation');
		checkEnough(options, train.documents, validation.documents, skipped);
		report(performance.now());
		const splits = { train: train.finish(), validation: validation.finish() };
		const eos = eosId === undefined ? {} : { eosId };
		const version = SHARD_FORMAT_VERSION;
		return { manifest: { version, fingerprint, vocabSize, ...eos, bytesPerToken, shardTokens, skipped, splits } };
	} finally {
		train.abandon();
		validation.abandon();
	}
}

function checkEnough(options: BuildShardsOptions, train: number, validation: number, skipped: number): void {
	const { source, validationFraction } = options;
	if (train + validation === 0) {
		throw new InputError('holds no text', {
			where: `source "${source.kind}"`,
			expected: 'at least one document that is not blank',
			found: skipped > 0 ? `${skipped} skipped records` : 'only blank documents',
		});
	}
	if (validationFraction > 0 && train + validation === 1) {
		throw new InputError('holds a single document, which cannot be split into training and validation', {
			where: `source "${source.kind}"`,
			expected: 'at least two documents',
			fix: 'set documentSeparator so that the file has several documents, give a validationSource, or set validationFraction: 0',
		});
	}
	if (train === 0 || (options.validation !== undefined && validation === 0)) {
		throw new InputError('holds no text', { where: train === 0 ? `source "${source.kind}"` : 'validationSource' });
	}
}

/** A folder left by an earlier run, if it is whole; a damaged one is removed. */
function findEarlier(directory: string, fingerprint: string): ShardManifest | undefined {
	if (!existsSync(directory)) return undefined;
	try {
		const manifest = readManifest(directory);
		if (manifest.fingerprint === fingerprint) return manifest;
	} catch (error) {
		if (!(error instanceof InputError || error instanceof FormatError)) throw error;
	}
	rmSync(directory, { recursive: true });
	return undefined;
}

function publish(temporary: string, directory: string): void {
	try {
		renameSync(temporary, directory);
	} catch (error) {
		// Another process built the same shards in the meantime: equal by construction.
		const code = (error as NodeJS.ErrnoException).code;
		if (code !== 'ENOTEMPTY' && code !== 'EEXIST' && code !== 'EPERM') throw error;
	}
	syncDirectory(resolve(directory, '..'));
}

/** Temporary folders of processes of this machine that are gone. Those of other machines may still be at work. */
function removeAbandoned(root: string): void {
	for (const name of readdirSync(root)) {
		const [, host, pid] = TEMPORARY.exec(name) ?? [];
		if (host !== hostMark() || isRunning(Number(pid))) continue;
		rmSync(join(root, name), { recursive: true, force: true });
	}
}

function isRunning(pid: number): boolean {
	try {
		process.kill(pid, 0);
		return true;
	} catch (error) {
		return (error as NodeJS.ErrnoException).code === 'EPERM';
	}
}

function hostMark(): string {
	return createHash('sha256').update(hostname()).digest('hex').slice(0, 8);
}

/** JSON with sorted keys: equal configurations give equal text. */
function canonicalJson(value: unknown): string {
	return JSON.stringify(value, (_key, item: unknown) =>
		typeof item === 'object' && item !== null && !Array.isArray(item)
			? Object.fromEntries(Object.entries(item).sort(([a], [b]) => (a < b ? -1 : 1)))
			: item,
	);
}
