/** @file Writes the tokens of one split: shard files of bounded size and the index of document ends, hashed on the way. */
import { createHash, type Hash } from 'node:crypto';
import { closeSync, fsyncSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { ModelsmithError } from '../base/errors.ts';
import { writeFully } from '../base/files.ts';
import type { ShardFile, SplitManifest } from './shard-format.ts';
import type { Split } from './split.ts';

const BUFFER_ITEMS = 1 << 18;

/** A file that grows by numbers, with one fixed buffer. */
class NumberFile {
	readonly #name: string;
	readonly #buffer: Uint16Array | Uint32Array | Float64Array;
	readonly #hash: Hash = createHash('sha256');
	#handle: number | undefined;
	#filled = 0;
	#byteLength = 0;

	constructor(directory: string, name: string, buffer: Uint16Array | Uint32Array | Float64Array) {
		this.#name = name;
		this.#buffer = buffer;
		this.#handle = openSync(join(directory, name), 'wx');
	}

	push(value: number): void {
		if (this.#filled === this.#buffer.length) this.#flush();
		this.#buffer[this.#filled++] = value;
	}

	finish(): ShardFile {
		this.#flush();
		fsyncSync(this.#handle as number);
		this.abandon();
		return { name: this.#name, byteLength: this.#byteLength, sha256: this.#hash.digest('hex') };
	}

	abandon(): void {
		if (this.#handle !== undefined) closeSync(this.#handle);
		this.#handle = undefined;
	}

	#flush(): void {
		const bytes = new Uint8Array(this.#buffer.buffer, 0, this.#filled * this.#buffer.BYTES_PER_ELEMENT);
		this.#hash.update(bytes);
		writeFully(this.#handle as number, bytes);
		this.#byteLength += bytes.byteLength;
		this.#filled = 0;
	}
}

/** Memory is two buffers of a few megabytes, whatever is written. */
export class SplitWriter {
	readonly #directory: string;
	readonly #split: Split;
	readonly #shardTokens: number;
	readonly #vocabSize: number;
	readonly #buffer: Uint16Array | Uint32Array;
	readonly #index: NumberFile;
	readonly #shards: ShardFile[] = [];
	#shard: NumberFile | undefined;
	#inShard = 0;
	tokens = 0;
	documents = 0;
	bytes = 0;

	constructor(
		directory: string,
		split: Split,
		layout: { vocabSize: number; bytesPerToken: 2 | 4; shardTokens: number },
	) {
		this.#directory = directory;
		this.#split = split;
		this.#shardTokens = layout.shardTokens;
		this.#vocabSize = layout.vocabSize;
		this.#buffer = layout.bytesPerToken === 2 ? new Uint16Array(BUFFER_ITEMS) : new Uint32Array(BUFFER_ITEMS);
		this.#index = new NumberFile(directory, `${split}.documents`, new Float64Array(BUFFER_ITEMS));
	}

	/** @throws ModelsmithError for an id outside the vocabulary: the shards would be wrong without a sign of it */
	push(ids: ArrayLike<number>): void {
		for (let i = 0; i < ids.length; i++) {
			const id = ids[i] as number;
			if (!Number.isInteger(id) || id < 0 || id >= this.#vocabSize) {
				throw new ModelsmithError('the tokenizer gave an id outside its vocabulary', {
					expected: `a whole number in [0, ${this.#vocabSize})`,
					found: String(id),
				});
			}
			if (this.#shard === undefined || this.#inShard === this.#shardTokens) this.#nextShard();
			(this.#shard as NumberFile).push(id);
			this.#inShard++;
			this.tokens++;
		}
	}

	endDocument(): void {
		this.#index.push(this.tokens);
		this.documents++;
	}

	finish(): SplitManifest {
		this.#closeShard();
		const { tokens, documents, bytes } = this;
		return { tokens, documents, bytes, shards: this.#shards, index: this.#index.finish() };
	}

	/** Lets go of the files after a failure. */
	abandon(): void {
		this.#shard?.abandon();
		this.#index.abandon();
	}

	#nextShard(): void {
		this.#closeShard();
		const name = `${this.#split}-${String(this.#shards.length).padStart(5, '0')}.tokens`;
		this.#shard = new NumberFile(this.#directory, name, this.#buffer);
		this.#inShard = 0;
	}

	#closeShard(): void {
		if (this.#shard !== undefined) this.#shards.push(this.#shard.finish());
		this.#shard = undefined;
	}
}
