/**
 * @file Reads and checks the Hugging Face tokenizer.json (format version 1.0) and tokenizer_config.json. The files are
 * untrusted: everything is bounded and cross-checked before a runtime sees it.
 */
import { statSync } from 'node:fs';
import { z } from 'zod';
import { FormatError } from '../base/errors.ts';
import { readJson, unreadable } from '../base/files.ts';
import type { AddedToken } from './added-tokens.ts';
import { describe, parseWith } from './format-check.ts';
import {
	type Component,
	decoderSchema,
	eachComponent,
	normalizerSchema,
	postProcessorSchema,
	preTokenizerSchema,
} from './tokenizer-components.ts';
import { parseModel, type TokenModel } from './tokenizer-model.ts';

/** Largest tokenizer.json accepted, in bytes; the largest published ones have about 35 MB. */
export const MAX_FILE_BYTES = 128 * 2 ** 20;
const MAX_CONFIG_BYTES = 16 * 2 ** 20;
const MAX_DEPTH = 32;

/** A checked tokenizer.json. */
export interface TokenizerFile {
	/** The JSON as it was read: what saving writes. */
	readonly json: Readonly<Record<string, unknown>>;
	readonly addedTokens: readonly AddedToken[];
	readonly normalizer: Component | null;
	readonly preTokenizer: Component | null;
	readonly postProcessor: Component | null;
	readonly decoder: Component | null;
	readonly model: TokenModel;
}

/** What this toolkit uses of tokenizer_config.json; `json` keeps the rest. */
export interface TokenizerConfigFile {
	readonly json: Readonly<Record<string, unknown>>;
	/** Special token of each role, e.g. `eos_token`. */
	readonly roles: Readonly<Record<string, string>>;
	readonly cleanUpTokenizationSpaces: boolean;
}

const addedTokenSchema = z.looseObject({
	id: z.int().min(0),
	content: z.string().min(1).max(4096),
	single_word: z.boolean().nullish(),
	lstrip: z.boolean().nullish(),
	rstrip: z.boolean().nullish(),
	normalized: z.boolean().nullish(),
	special: z.boolean().nullish(),
});

const fileSchema = z.looseObject({
	version: z.string().nullish(),
	added_tokens: z
		.array(addedTokenSchema)
		.max(1 << 18)
		.nullish(),
	normalizer: normalizerSchema.nullish(),
	pre_tokenizer: preTokenizerSchema.nullish(),
	post_processor: postProcessorSchema.nullish(),
	decoder: decoderSchema.nullish(),
	model: z.looseObject({}),
});

/**
 * Reads a tokenizer.json.
 * @throws InputError when it cannot be read; FormatError naming the path and the key when it is not valid
 */
export function readTokenizerFile(path: string): TokenizerFile {
	checkSize(path, MAX_FILE_BYTES);
	return parseTokenizerFile(readJson(path, 'a Hugging Face tokenizer.json'), path);
}

/**
 * Checks the content of a tokenizer.json.
 * @param where what to call the source in errors
 * @throws FormatError naming the key
 */
export function parseTokenizerFile(json: unknown, where: string): TokenizerFile {
	checkDepth(json, where);
	const file = parseWith(fileSchema, json, where);
	const model = parseModel(file.model, where);
	const addedTokens = (file.added_tokens ?? []).map((token) => ({
		id: token.id,
		content: token.content,
		singleWord: token.single_word ?? false,
		lstrip: token.lstrip ?? false,
		rstrip: token.rstrip ?? false,
		normalized: token.normalized ?? token.special !== true,
		special: token.special ?? false,
	}));
	const component = (value: unknown): Component | null => (value as Component | null | undefined) ?? null;
	const parsed: TokenizerFile = {
		json: json as Record<string, unknown>,
		addedTokens,
		normalizer: component(file.normalizer),
		preTokenizer: component(file.pre_tokenizer),
		postProcessor: component(file.post_processor),
		decoder: component(file.decoder),
		model,
	};
	checkIds(parsed, where);
	checkPostProcessor(parsed, where);
	return parsed;
}

function checkSize(path: string, limit: number): void {
	let size: number;
	try {
		size = statSync(path).size;
	} catch (error) {
		throw unreadable(path, 'a readable file', error);
	}
	if (size > limit)
		throw new FormatError('is too large', { where: path, expected: `at most ${limit} bytes`, found: `${size} bytes` });
}

/** Refuses JSON nested so deep that a recursive reader would run out of stack. */
function checkDepth(json: unknown, where: string): void {
	// A set, so that values that contain themselves or share parts do not multiply.
	let level = new Set<unknown>([json]);
	for (let depth = 0; level.size > 0; depth++) {
		if (depth > MAX_DEPTH) throw new FormatError(`is nested deeper than ${MAX_DEPTH} levels`, { where });
		const next = new Set<unknown>();
		for (const value of level) {
			if (typeof value !== 'object' || value === null) continue;
			for (const inner of Object.values(value)) if (typeof inner === 'object' && inner !== null) next.add(inner);
		}
		level = next;
	}
}

/** Ids must be unique, agree with the vocabulary, and leave few holes: tables are as long as the largest id. */
function checkIds({ addedTokens, model }: TokenizerFile, where: string): void {
	const limit = 2 * (model.vocab.size + addedTokens.length) + 10_000;
	const owner = new Map<number, string>();
	for (const [token, id] of model.vocab) {
		if (id >= limit) throw idTooLarge(`${where}: model.vocab[${describe(token)}]`, id, limit);
		const other = owner.get(id);
		if (other !== undefined)
			throw new FormatError(`two tokens have the id ${id}`, {
				where: `${where}: model.vocab`,
				found: `${describe(other)} and ${describe(token)}`,
			});
		owner.set(id, token);
	}
	for (const [i, { id, content }] of addedTokens.entries()) {
		const key = `${where}: added_tokens[${i}]`;
		if (id >= limit) throw idTooLarge(key, id, limit);
		const other = owner.get(id);
		if (other !== undefined && other !== content)
			throw new FormatError(`the id ${id} belongs to two tokens`, {
				where: key,
				found: `${describe(other)} and ${describe(content)}`,
			});
		const known = model.vocab.get(content);
		if (known !== undefined && known !== id)
			throw new FormatError(`the token ${describe(content)} has two ids`, { where: key, found: `${known} and ${id}` });
		owner.set(id, content);
	}
}

function idTooLarge(where: string, id: number, limit: number): FormatError {
	return new FormatError('the id is far above the number of tokens', {
		where,
		expected: `ids below ${limit}`,
		found: `${id}`,
	});
}

/** Special tokens that a post-processor inserts must exist, with the ids it states. */
function checkPostProcessor(file: TokenizerFile, where: string): void {
	const added = new Map(file.addedTokens.map((token) => [token.content, token.id]));
	const check = (token: string, id: number | undefined, key: string): void => {
		const known = added.get(token) ?? file.model.vocab.get(token);
		if (known === undefined || (id !== undefined && id !== known))
			throw new FormatError(`the special token ${describe(token)} is not in the vocabulary with this id`, {
				where: `${where}: ${key}`,
				expected: known === undefined ? 'a token of the vocabulary' : `id ${known}`,
				found: `id ${id ?? 'not stated'}`,
			});
	};
	for (const [part, key] of eachComponent(file.postProcessor, 'post_processor')) {
		if (part.type === 'BertProcessing' || part.type === 'RobertaProcessing') {
			for (const role of ['sep', 'cls']) {
				const [token, id] = part[role] as [string, number];
				check(token, id, `${key}.${role}`);
			}
		}
		if (part.type !== 'TemplateProcessing') continue;
		const stated = (part.special_tokens ?? {}) as Record<string, { ids: number[] }>;
		const texts = (part.single as { Sequence?: { id: string } }[]).flatMap(({ Sequence }) => Sequence?.id ?? []);
		if (texts.join() !== 'A')
			throw new FormatError('the template of a single text must hold that text once', {
				where: `${where}: ${key}.single`,
				expected: 'one Sequence with id A',
				found: texts.length === 0 ? 'no Sequence' : `Sequences ${texts.join(', ')}`,
			});
		for (const field of ['single', 'pair']) {
			for (const [i, item] of (part[field] as { SpecialToken?: { id: string } }[]).entries()) {
				if (item.SpecialToken === undefined) continue;
				const token = item.SpecialToken.id;
				const ids = Object.hasOwn(stated, token) ? stated[token]!.ids : undefined;
				if (ids !== undefined && ids.length !== 1)
					throw new FormatError('a template token must stand for one id', {
						where: `${where}: ${key}.special_tokens`,
						found: `${ids.length} ids for ${describe(token)}`,
					});
				check(token, ids?.[0], `${key}.${field}[${i}]`);
			}
		}
	}
}

const roleValue = z.union([z.string(), z.looseObject({ content: z.string() })]).nullish();
const configSchema = z.looseObject({
	bos_token: roleValue,
	eos_token: roleValue,
	unk_token: roleValue,
	sep_token: roleValue,
	pad_token: roleValue,
	cls_token: roleValue,
	mask_token: roleValue,
	clean_up_tokenization_spaces: z.boolean().nullish(),
});
const ROLES = ['bos_token', 'eos_token', 'unk_token', 'sep_token', 'pad_token', 'cls_token', 'mask_token'] as const;

/**
 * Reads a tokenizer_config.json.
 * @throws InputError when it cannot be read; FormatError naming the path and the key when it is not valid
 */
export function readTokenizerConfig(path: string): TokenizerConfigFile {
	checkSize(path, MAX_CONFIG_BYTES);
	return parseTokenizerConfig(readJson(path, 'a Hugging Face tokenizer_config.json'), path);
}

/** Checks the content of a tokenizer_config.json. */
export function parseTokenizerConfig(json: unknown, where: string): TokenizerConfigFile {
	checkDepth(json, where);
	const config = parseWith(configSchema, json, where);
	const roles: Record<string, string> = {};
	for (const role of ROLES) {
		const value = config[role];
		if (typeof value === 'string') roles[role] = value;
		else if (value !== null && value !== undefined) roles[role] = value.content;
	}
	return {
		json: json as Record<string, unknown>,
		roles,
		cleanUpTokenizationSpaces: config.clean_up_tokenization_spaces ?? false,
	};
}
