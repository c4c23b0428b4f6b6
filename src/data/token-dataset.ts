/** @file Random access to the tokens of one split on disk, with positioned reads and bounded memory. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { FormatError, InputError } from '../base/errors.ts';
import { sha256File, unreadable } from '../base/files.ts';
import {
	readManifest,
	type ShardFile,
	type ShardManifest,
	type SplitManifest,
	type TokenArray,
} from './shard-format.ts';
import type { Split } from './split.ts';
import type { TokenRange, TokenReader } from './token-reader.ts';

/** Document ends read at a time, and how many such pages are remembered. */
const PAGE_ENTRIES = 4096;
const MAX_PAGES = 64;

/** The tokens of one split. Close it when done. */
export class TokenDataset implements TokenReader {
	readonly directory: string;
	readonly split: Split;
	readonly tokenCount: number;
	readonly documentCount: number;
	/** UTF-8 bytes of the text the tokens stand for. */
	readonly byteCount: number;
	readonly vocabSize: number;
	readonly eosId: number | undefined;
	/** Identifies the contents: equal fingerprints and splits mean equal tokens. */
	readonly fingerprint: string;
	readonly #shards: readonly number[];
	#index: number | undefined;
	readonly #shardTokens: number;
	readonly #bytesPerToken: 2 | 4;
	readonly #pages = new Map<number, Float64Array>();
	#scratch: TokenArray;

	constructor(directory: string, split: Split, manifest: ShardManifest) {
		const entry: SplitManifest = manifest.splits[split];
		this.directory = directory;
		this.split = split;
		this.tokenCount = entry.tokens;
		this.documentCount = entry.documents;
		this.byteCount = entry.bytes;
		this.vocabSize = manifest.vocabSize;
		this.eosId = manifest.eosId;
		this.fingerprint = manifest.fingerprint;
		this.#shardTokens = manifest.shardTokens;
		this.#bytesPerToken = manifest.bytesPerToken;
		this.#scratch = this.#makeScratch(0);
		checkSizes(directory, manifest, entry);
		const handles: number[] = [];
		try {
			for (const file of [...entry.shards, entry.index]) handles.push(openChecked(directory, file));
		} catch (error) {
			for (const handle of handles) closeSync(handle);
			throw error;
		}
		this.#index = handles.pop() as number;
		this.#shards = handles;
	}

	/**
	 * Copies `count` tokens from position `start` on to `target` at `offset`.
	 * @throws RangeError outside the tokens
	 */
	read(start: number, count: number, target: Int32Array, offset = 0): void {
		if (!(start >= 0 && count >= 0 && start + count <= this.tokenCount && offset + count <= target.length)) {
			throw new RangeError(`tokens ${start} to ${start + count} of ${this.tokenCount} do not exist or do not fit`);
		}
		if (this.#scratch.length < count) this.#scratch = this.#makeScratch(count);
		for (let done = 0; done < count; ) {
			const shard = Math.floor((start + done) / this.#shardTokens);
			const within = start + done - shard * this.#shardTokens;
			const length = Math.min(count - done, this.#shardTokens - within);
			const bytes = new Uint8Array(this.#scratch.buffer, 0, length * this.#bytesPerToken);
			readFully(this.#shards[shard] as number, bytes, within * this.#bytesPerToken, this.directory);
			for (let i = 0; i < length; i++) target[offset + done + i] = this.#scratch[i] as number;
			done += length;
		}
	}

	/** Positions of the tokens of document `document`, from 0. */
	documentRange(document: number): TokenRange {
		if (!(document >= 0 && document < this.documentCount)) {
			throw new RangeError(`document ${document} of ${this.documentCount} does not exist`);
		}
		return { start: document === 0 ? 0 : this.#end(document - 1), end: this.#end(document) };
	}

	/** The number of the document the token at `position` belongs to. */
	documentAt(position: number): number {
		if (!(position >= 0 && position < this.tokenCount)) {
			throw new RangeError(`token ${position} of ${this.tokenCount} does not exist`);
		}
		let low = 0;
		let high = this.documentCount - 1;
		while (low < high) {
			const middle = Math.floor((low + high) / 2);
			if (this.#end(middle) > position) high = middle;
			else low = middle + 1;
		}
		return low;
	}

	close(): void {
		for (const handle of this.#shards) closeSync(handle);
		if (this.#index !== undefined) closeSync(this.#index);
		this.#index = undefined;
		(this.#shards as number[]).length = 0;
	}

	#makeScratch(count: number): TokenArray {
		return this.#bytesPerToken === 2 ? new Uint16Array(count) : new Uint32Array(count);
	}

	#end(document: number): number {
		const number = Math.floor(document / PAGE_ENTRIES);
		let page = this.#pages.get(number);
		if (page === undefined) {
			page = new Float64Array(Math.min(PAGE_ENTRIES, this.documentCount - number * PAGE_ENTRIES));
			readFully(this.#index, new Uint8Array(page.buffer), number * PAGE_ENTRIES * 8, this.directory);
			if (this.#pages.size >= MAX_PAGES) this.#pages.delete(this.#pages.keys().next().value as number);
			this.#pages.set(number, page);
		}
		return page[document - number * PAGE_ENTRIES] as number;
	}
}

/**
 * Opens the tokens of one split.
 * @param directory as `buildShards` gave it
 * @throws InputError when there are none, FormatError when files are damaged (sizes; see `verifyShards` for contents)
 */
export function openTokenDataset(directory: string, split: Split): TokenDataset {
	return new TokenDataset(directory, split, readManifest(directory));
}

/**
 * Reads every shard and compares it with the checksum of the manifest.
 * @throws FormatError naming the first damaged file
 */
export async function verifyShards(directory: string): Promise<void> {
	for (const { shards, index } of Object.values(readManifest(directory).splits)) {
		for (const { name, sha256 } of [...shards, index]) {
			const found = await sha256File(join(directory, name));
			if (found !== sha256) throw damaged(join(directory, name), `checksum ${sha256}`, found);
		}
	}
}

function checkSizes(directory: string, { bytesPerToken, shardTokens }: ShardManifest, entry: SplitManifest): void {
	const total = entry.shards.reduce((sum, { byteLength }) => sum + byteLength, 0);
	const full = entry.shards.slice(0, -1).every(({ byteLength }) => byteLength === shardTokens * bytesPerToken);
	if (total !== entry.tokens * bytesPerToken || !full || entry.index.byteLength !== entry.documents * 8) {
		throw damaged(directory, `files of ${entry.tokens} tokens in ${entry.documents} documents`, 'other sizes');
	}
}

function openChecked(directory: string, { name, byteLength }: ShardFile): number {
	const path = join(directory, name);
	let handle: number;
	try {
		handle = openSync(path, 'r');
	} catch (error) {
		throw unreadable(path, 'a token shard', error);
	}
	const { size } = fstatSync(handle);
	if (size === byteLength) return handle;
	closeSync(handle);
	throw damaged(path, `${byteLength} bytes`, `${size} bytes`);
}

function damaged(where: string, expected: string, found: string): FormatError {
	return new FormatError('is a damaged token shard', {
		where,
		expected,
		found,
		fix: 'remove the folder; the shards are built again from their source',
	});
}

function readFully(handle: number | undefined, bytes: Uint8Array, position: number, directory: string): void {
	if (handle === undefined) throw new InputError('was read after it was closed', { where: directory });
	for (let done = 0; done < bytes.byteLength; ) {
		const read = readSync(handle, bytes, done, bytes.byteLength - done, position + done);
		if (read === 0) throw damaged(directory, 'more tokens', 'a file cut while open');
		done += read;
	}
}
