/** @file Checks the `model` part of tokenizer.json: BPE, Unigram, WordPiece or WordLevel with its vocabulary. */
import { z } from 'zod';
import { FormatError } from '../base/errors.ts';
import { describe, parseWith } from './format-check.ts';

const MAX_TOKENS = 1 << 21;
const MAX_MERGES = 1 << 22;
const MAX_TOKEN_LENGTH = 4096;
/** Pieces that are prefixes of one another cost time at every position of a text. */
const MAX_NESTED_PIECES = 256;

interface CommonModel {
	/** Id of each token. */
	readonly vocab: ReadonlyMap<string, number>;
	/** The model as read, with its type filled in. */
	readonly json: Readonly<Record<string, unknown>>;
	readonly unkToken: string | null;
}

export interface BpeModel extends CommonModel {
	readonly type: 'BPE';
	/** By importance. */
	readonly merges: readonly (readonly [string, string])[];
	readonly byteFallback: boolean;
	readonly ignoreMerges: boolean;
	readonly dropout: number;
	readonly endOfWordSuffix: string;
}

export type TokenModel = BpeModel | (CommonModel & { readonly type: 'Unigram' | 'WordPiece' | 'WordLevel' });

const flag = z.boolean().nullish();
const token = z.string().max(MAX_TOKEN_LENGTH);
const bpeSchema = z.looseObject({
	dropout: z.number().min(0).max(1).nullish(),
	unk_token: token.nullish(),
	continuing_subword_prefix: z.string().max(64).nullish(),
	end_of_word_suffix: z.string().max(64).nullish(),
	fuse_unk: flag,
	byte_fallback: flag,
	ignore_merges: flag,
	merges: z.custom<unknown[]>(Array.isArray, 'must be an array'),
});
const unigramSchema = z.looseObject({ unk_id: z.int().min(0).nullish(), byte_fallback: flag });
const wordPieceSchema = z.looseObject({
	unk_token: token.min(1),
	continuing_subword_prefix: z.string().max(64),
	// Time per word grows with its square.
	max_input_chars_per_word: z.int().min(0).max(1000).nullish(),
});
const wordLevelSchema = z.looseObject({ unk_token: token.min(1) });

/**
 * Checks a model. Old files leave out `type`; it is told from the fields, as the reference implementation does.
 * @throws FormatError naming the key
 */
export function parseModel(json: Record<string, unknown>, file: string): TokenModel {
	const where = `${file}: model`;
	const type = json.type ?? inferType(json);
	const typed = { ...json, type };
	switch (type) {
		case 'BPE':
			return parseBpe(typed, where);
		case 'Unigram':
			return parseUnigram(typed, where);
		case 'WordPiece':
		case 'WordLevel': {
			const schema = type === 'WordPiece' ? wordPieceSchema : wordLevelSchema;
			const { unk_token: unkToken } = parseWith<{ unk_token: string }>(schema, typed, where);
			const vocab = parseVocab(json.vocab, where);
			if (!vocab.has(unkToken)) throw missingToken(`${where}.unk_token`, unkToken);
			return { type: type as 'WordPiece' | 'WordLevel', vocab, json: typed, unkToken };
		}
		default:
			throw new FormatError('this kind of model is not supported', {
				where: `${where}.type`,
				expected: 'BPE, Unigram, WordPiece, WordLevel',
				found: describe(type),
			});
	}
}

function inferType(json: Record<string, unknown>): string {
	if (Array.isArray(json.vocab)) return 'Unigram';
	if (json.merges !== undefined) return 'BPE';
	return json.continuing_subword_prefix === undefined ? 'WordLevel' : 'WordPiece';
}

function parseBpe(json: Record<string, unknown>, where: string): BpeModel {
	const model = parseWith(bpeSchema, json, where);
	if ((model.continuing_subword_prefix ?? '') !== '')
		throw new FormatError('BPE with a continuing_subword_prefix is not supported', {
			where: `${where}.continuing_subword_prefix`,
			expected: 'null',
			found: describe(model.continuing_subword_prefix),
		});
	const vocab = parseVocab(json.vocab, where);
	const unkToken = model.unk_token ?? null;
	if (unkToken !== null && !vocab.has(unkToken)) throw missingToken(`${where}.unk_token`, unkToken);
	return {
		type: 'BPE',
		vocab,
		json,
		unkToken,
		merges: parseMerges(model.merges, vocab, `${where}.merges`),
		byteFallback: model.byte_fallback ?? false,
		ignoreMerges: model.ignore_merges ?? false,
		dropout: model.dropout ?? 0,
		endOfWordSuffix: model.end_of_word_suffix ?? '',
	};
}

function parseMerges(
	merges: readonly unknown[],
	vocab: ReadonlyMap<string, number>,
	where: string,
): [string, string][] {
	if (merges.length > MAX_MERGES) throw tooMany(where, merges.length, MAX_MERGES);
	const legacy = typeof merges[0] === 'string';
	// Array.from also visits holes, which arrays not made by JSON.parse can have.
	return Array.from(merges, (merge, i) => {
		// Old files write "a b"; the pair form came when tokens were allowed to hold spaces.
		const parts = legacy && typeof merge === 'string' ? merge.split(' ') : merge;
		if (!Array.isArray(parts) || parts.length !== 2 || typeof parts[0] !== 'string' || typeof parts[1] !== 'string')
			throw new FormatError('is not a merge', {
				where: `${where}[${i}]`,
				expected: legacy ? 'two tokens with one space between, as in the first merge' : 'an array of two tokens',
				found: describe(merge),
			});
		const [a, b] = parts as [string, string];
		for (const part of [a, b, a + b]) if (!vocab.has(part)) throw missingToken(`${where}[${i}]`, part);
		return [a, b];
	});
}

function parseUnigram(json: Record<string, unknown>, where: string): TokenModel {
	const model = parseWith(unigramSchema, json, where);
	if (model.byte_fallback === true)
		throw new FormatError('Unigram with byte_fallback is not supported', {
			where: `${where}.byte_fallback`,
			expected: 'false',
			found: 'true',
		});
	const pieces = json.vocab;
	if (!Array.isArray(pieces) || pieces.length === 0)
		throw new FormatError('is not a Unigram vocabulary', {
			where: `${where}.vocab`,
			expected: 'an array of [piece, score]',
			found: describe(pieces),
		});
	if (pieces.length > MAX_TOKENS) throw tooMany(`${where}.vocab`, pieces.length, MAX_TOKENS);
	const vocab = new Map<string, number>();
	for (const [id, entry] of pieces.entries()) {
		const valid =
			Array.isArray(entry) &&
			entry.length === 2 &&
			typeof entry[0] === 'string' &&
			entry[0].length <= MAX_TOKEN_LENGTH &&
			typeof entry[1] === 'number';
		if (!valid)
			throw new FormatError('is not a piece', {
				where: `${where}.vocab[${id}]`,
				expected: `[piece of at most ${MAX_TOKEN_LENGTH} characters, score]`,
				found: describe(entry),
			});
		const [piece] = entry as [string, number];
		if (vocab.has(piece))
			throw new FormatError('the piece occurs twice', { where: `${where}.vocab[${id}]`, found: describe(piece) });
		vocab.set(piece, id);
	}
	const unkId = model.unk_id ?? null;
	if (unkId !== null && unkId >= pieces.length)
		throw new FormatError('is not the id of a piece', {
			where: `${where}.unk_id`,
			expected: `0 to ${pieces.length - 1}`,
			found: `${unkId}`,
		});
	checkNesting(vocab, `${where}.vocab`);
	return { type: 'Unigram', vocab, json, unkToken: unkId === null ? null : (pieces[unkId] as [string])[0] };
}

function checkNesting(vocab: ReadonlyMap<string, number>, where: string): void {
	for (const piece of vocab.keys()) {
		if (piece.length <= MAX_NESTED_PIECES) continue;
		let nested = 0;
		for (let end = 1; end <= piece.length; end++) if (vocab.has(piece.slice(0, end))) nested++;
		if (nested > MAX_NESTED_PIECES)
			throw new FormatError('too many pieces begin with one another', {
				where,
				expected: `at most ${MAX_NESTED_PIECES}`,
				found: `${nested} prefixes of ${describe(piece)}`,
			});
	}
}

function parseVocab(json: unknown, where: string): Map<string, number> {
	if (typeof json !== 'object' || json === null || Array.isArray(json))
		throw new FormatError('is not a vocabulary', {
			where: `${where}.vocab`,
			expected: 'an object of token: id',
			found: describe(json),
		});
	const entries = Object.entries(json);
	if (entries.length > MAX_TOKENS) throw tooMany(`${where}.vocab`, entries.length, MAX_TOKENS);
	for (const [text, id] of entries) {
		if (!Number.isSafeInteger(id) || (id as number) < 0 || text.length > MAX_TOKEN_LENGTH)
			throw new FormatError('is not a token with its id', {
				where: `${where}.vocab[${describe(text)}]`,
				expected: `a token of at most ${MAX_TOKEN_LENGTH} characters and an integer from 0`,
				found: describe(id),
			});
	}
	return new Map(entries as [string, number][]);
}

function missingToken(where: string, text: string): FormatError {
	return new FormatError(`the token ${describe(text)} is not in the vocabulary`, {
		where,
		expected: 'a key of model.vocab',
	});
}

function tooMany(where: string, found: number, limit: number): FormatError {
	return new FormatError('has too many entries', { where, expected: `at most ${limit}`, found: `${found}` });
}
