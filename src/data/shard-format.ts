/**
 * @file Token shards on disk: `<split>-00000.tokens` (ids, little-endian, of the manifest's width), `<split>.documents`
 * (float64 end position of every document) and `manifest.json`, written last.
 */
import { join } from 'node:path';
import { z } from 'zod';
import { FormatError } from '../base/errors.ts';
import { readJson } from '../base/files.ts';
import { SPLITS, type Split } from './split.ts';

export const SHARD_FORMAT_VERSION = 1;
export const MANIFEST_NAME = 'manifest.json';

const count = z.int().min(0);

const fileEntry = z.strictObject({
	name: z.string().regex(/^[a-z]+(-\d{5,})?\.(tokens|documents)$/),
	byteLength: count,
	sha256: z.string().regex(/^[0-9a-f]{64}$/),
});

const splitEntry = z.strictObject({
	tokens: count,
	documents: count,
	/** UTF-8 bytes of the text, what bits per byte is measured against. */
	bytes: count,
	shards: z.array(fileEntry),
	index: fileEntry,
});

export const shardManifest = z.strictObject({
	version: z.literal(SHARD_FORMAT_VERSION),
	fingerprint: z.string().regex(/^[0-9a-f]{64}$/),
	vocabSize: z.int().min(1),
	eosId: count.optional(),
	bytesPerToken: z.literal([2, 4]),
	/** Tokens of every shard but the last of a split. */
	shardTokens: z.int().min(1),
	skipped: count,
	splits: z.strictObject(
		Object.fromEntries(SPLITS.map((split) => [split, splitEntry])) as Record<Split, typeof splitEntry>,
	),
});

export type ShardManifest = z.output<typeof shardManifest>;
export type SplitManifest = z.output<typeof splitEntry>;
export type ShardFile = z.output<typeof fileEntry>;

export type TokenArray = Uint16Array | Uint32Array;

/** Ids above 65,535 need four bytes. */
export function tokenWidth(vocabSize: number): 2 | 4 {
	return vocabSize <= 65_536 ? 2 : 4;
}

/**
 * @throws InputError when there is no manifest, FormatError when it is damaged or of another version
 */
export function readManifest(directory: string): ShardManifest {
	const path = join(directory, MANIFEST_NAME);
	const parsed = shardManifest.safeParse(readJson(path, 'the manifest of token shards'));
	if (parsed.success) return parsed.data;
	const issue = parsed.error.issues[0];
	throw new FormatError('is not a manifest of token shards', {
		where: path,
		found: issue === undefined ? 'something else' : `${issue.path.join('.')}: ${issue.message}`,
		fix: 'remove the folder; the shards are built again from their source',
		cause: parsed.error,
	});
}
