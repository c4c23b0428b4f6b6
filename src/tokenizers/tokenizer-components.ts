/**
 * @file Schemas of the parts of tokenizer.json: normalizers, pre-tokenizers, post-processors, decoders. They bound
 * everything that could make the runtime loop or grow, and accept only kinds that it knows.
 */
import { z } from 'zod';

const flag = z.boolean().nullish();
const shortText = z.string().max(1024);
const pattern = z.union([
	z.object({ String: z.string().min(1).max(1024) }).strict(),
	z.object({ Regex: z.string().min(1).max(4096) }).strict(),
]);
export type Pattern = z.infer<typeof pattern>;

/** What to do with the text that a Split or Punctuation pre-tokenizer matches. */
const behavior = z.enum(['Removed', 'Isolated', 'MergedWithPrevious', 'MergedWithNext', 'Contiguous']);
export type SplitBehavior = z.infer<typeof behavior>;

/** Sequences nested deeper than this are refused, as is a file with more parts than this in one list. */
const MAX_DEPTH = 4;
const MAX_PARTS = 64;

/** A union of component kinds in which `Sequence` may hold further ones under `key`. */
function kinds<T extends readonly [z.ZodObject, ...z.ZodObject[]]>(
	key: string,
	options: T,
	depth = MAX_DEPTH,
): z.ZodType {
	const nested =
		depth === 0
			? options
			: [
					...options,
					z.looseObject({
						type: z.literal('Sequence'),
						[key]: z.array(z.lazy(() => kinds(key, options, depth - 1))).max(MAX_PARTS),
					}),
				];
	return z.discriminatedUnion('type', nested as unknown as [z.ZodObject, ...z.ZodObject[]]);
}

const plain = <T extends string>(type: T) => z.looseObject({ type: z.literal(type) });
const byteLevel = z.looseObject({
	type: z.literal('ByteLevel'),
	add_prefix_space: flag,
	trim_offsets: flag,
	use_regex: flag,
});
const metaspace = z.looseObject({
	type: z.literal('Metaspace'),
	replacement: z.string().min(1).max(2),
	str_rep: z.string().max(16).nullish(),
	prepend_scheme: z.enum(['always', 'never', 'first']).nullish(),
	add_prefix_space: flag,
	split: flag,
});

export const normalizerSchema = kinds('normalizers', [
	z.looseObject({
		type: z.literal('BertNormalizer'),
		clean_text: flag,
		handle_chinese_chars: flag,
		strip_accents: flag,
		lowercase: flag,
	}),
	z.looseObject({
		type: z.literal('Precompiled'),
		precompiled_charsmap: z
			.string()
			.max(1 << 24)
			.nullish(),
	}),
	z.looseObject({ type: z.literal('Replace'), pattern, content: shortText }),
	z.looseObject({ type: z.literal('Strip'), strip_left: flag, strip_right: flag }),
	z.looseObject({ type: z.literal('Prepend'), prepend: shortText }),
	plain('NFC'),
	plain('NFD'),
	plain('NFKC'),
	plain('NFKD'),
	plain('StripAccents'),
	plain('Lowercase'),
]);

export const preTokenizerSchema = kinds('pretokenizers', [
	byteLevel,
	metaspace,
	z.looseObject({ type: z.literal('Split'), pattern, behavior, invert: flag }),
	z.looseObject({ type: z.literal('Punctuation'), behavior: behavior.nullish() }),
	z.looseObject({ type: z.literal('Digits'), individual_digits: flag }),
	z.looseObject({
		type: z.literal('FixedLength'),
		length: z
			.int()
			.min(1)
			.max(1 << 20),
	}),
	plain('BertPreTokenizer'),
	plain('Whitespace'),
	plain('WhitespaceSplit'),
]);

const tokenAndId = z.tuple([z.string().max(4096), z.int().min(0)]);
const templateItem = z.union([
	z.looseObject({ SpecialToken: z.looseObject({ id: z.string().max(4096), type_id: z.int().min(0).nullish() }) }),
	z.looseObject({ Sequence: z.looseObject({ id: z.enum(['A', 'B']), type_id: z.int().min(0).nullish() }) }),
]);
const template = z.array(templateItem).max(MAX_PARTS);

export const postProcessorSchema = kinds('processors', [
	byteLevel,
	z.looseObject({
		type: z.literal('TemplateProcessing'),
		single: template,
		pair: template,
		special_tokens: z
			.record(z.string().max(4096), z.looseObject({ ids: z.array(z.int().min(0)).max(MAX_PARTS) }))
			.optional(),
	}),
	z.looseObject({ type: z.literal('BertProcessing'), sep: tokenAndId, cls: tokenAndId }),
	z.looseObject({ type: z.literal('RobertaProcessing'), sep: tokenAndId, cls: tokenAndId }),
]);

const cut = z.int().min(0).max(1024);

export const decoderSchema = kinds('decoders', [
	byteLevel,
	metaspace,
	z.looseObject({ type: z.literal('WordPiece'), prefix: shortText, cleanup: flag }),
	z.looseObject({ type: z.literal('BPEDecoder'), suffix: z.string().min(1).max(1024) }),
	z.looseObject({
		type: z.literal('CTC'),
		pad_token: shortText,
		word_delimiter_token: z.string().min(1).max(1024),
		cleanup: flag,
	}),
	z.looseObject({ type: z.literal('Replace'), pattern, content: shortText }),
	z.looseObject({ type: z.literal('Strip'), content: z.string().min(1).max(2), start: cut, stop: cut }),
	plain('Fuse'),
	plain('ByteFallback'),
]);

/** A validated component; the fields depend on its type. */
export interface Component {
	readonly type: string;
	readonly [key: string]: unknown;
}

/** A component and all those inside its Sequences, with the key path of each. */
export function* eachComponent(component: Component | null, where: string): Generator<[Component, string]> {
	if (component === null) return;
	yield [component, where];
	if (component.type !== 'Sequence') return;
	for (const key of ['normalizers', 'pretokenizers', 'processors', 'decoders']) {
		const parts = component[key];
		if (!Array.isArray(parts)) continue;
		for (const [i, part] of parts.entries()) yield* eachComponent(part as Component, `${where}.${key}[${i}]`);
	}
}
