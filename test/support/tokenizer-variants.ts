/** @file Small hand-made tokenizer.json contents in the styles of published models, for tests and the referee. */

const added = (id: number, content: string, extra: object = {}) => ({
	id,
	content,
	single_word: false,
	lstrip: false,
	rstrip: false,
	normalized: false,
	special: true,
	...extra,
});
const shell = { version: '1.0', truncation: null, padding: null };
const ids = (tokens: readonly string[]): Record<string, number> =>
	Object.fromEntries(tokens.map((token, id) => [token, id]));
const LETTERS = [...'abcdefghijklmnopqrstuvwxyz'];

/** LLaMA 2: BPE over characters with `▁` for a space and one token for each byte. */
export function llamaStyle(): Record<string, unknown> {
	const bytes = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
	const tokens = [
		'<unk>',
		'<s>',
		'</s>',
		...bytes,
		'\u2581',
		...LETTERS,
		',',
		'.',
		'\u2581t',
		'\u2581th',
		'\u2581the',
		'he',
		'll',
		'llo',
		'hello',
		'\u2581w',
	];
	return {
		...shell,
		added_tokens: [added(0, '<unk>'), added(1, '<s>'), added(2, '</s>')],
		normalizer: {
			type: 'Sequence',
			normalizers: [
				{ type: 'Prepend', prepend: '\u2581' },
				{ type: 'Replace', pattern: { String: ' ' }, content: '\u2581' },
			],
		},
		pre_tokenizer: null,
		post_processor: {
			type: 'TemplateProcessing',
			single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
			pair: [{ Sequence: { id: 'A', type_id: 0 } }, { Sequence: { id: 'B', type_id: 1 } }],
			special_tokens: { '<s>': { id: '<s>', ids: [1], tokens: ['<s>'] } },
		},
		decoder: {
			type: 'Sequence',
			decoders: [
				{ type: 'Replace', pattern: { String: '\u2581' }, content: ' ' },
				{ type: 'ByteFallback' },
				{ type: 'Fuse' },
				{ type: 'Strip', content: ' ', start: 1, stop: 0 },
			],
		},
		model: {
			type: 'BPE',
			dropout: null,
			unk_token: '<unk>',
			continuing_subword_prefix: null,
			end_of_word_suffix: null,
			fuse_unk: true,
			byte_fallback: true,
			vocab: ids(tokens),
			merges: ['\u2581 t', '\u2581t h', '\u2581th e', 'h e', 'l l', 'll o', 'he llo', '\u2581 w'],
		},
	};
}

/** The same vocabulary with a Metaspace pre-tokenizer, as newer files are written. */
export function metaspaceStyle(): Record<string, unknown> {
	return {
		...llamaStyle(),
		normalizer: null,
		pre_tokenizer: { type: 'Metaspace', replacement: '\u2581', prepend_scheme: 'always', split: false },
	};
}

/** XLM-R: Unigram with scores. */
export function xlmrStyle(): Record<string, unknown> {
	const pieces: [string, number][] = [
		['<s>', 0],
		['<pad>', 0],
		['</s>', 0],
		['<unk>', 0],
		['\u2581', -3],
		['\u2581hug', -2],
		['s', -2.5],
		['h', -4],
		['u', -4],
		['g', -4],
		['\u2581p', -3],
		['ug', -2.2],
	];
	return {
		...shell,
		added_tokens: [
			added(0, '<s>'),
			added(1, '<pad>'),
			added(2, '</s>'),
			added(3, '<unk>'),
			added(12, '<mask>', { lstrip: true }),
		],
		normalizer: {
			type: 'Sequence',
			normalizers: [{ type: 'NFKC' }, { type: 'Replace', pattern: { Regex: ' {2,}' }, content: ' ' }],
		},
		pre_tokenizer: { type: 'Metaspace', replacement: '\u2581', prepend_scheme: 'always', split: true },
		post_processor: {
			type: 'TemplateProcessing',
			single: [
				{ SpecialToken: { id: '<s>', type_id: 0 } },
				{ Sequence: { id: 'A', type_id: 0 } },
				{ SpecialToken: { id: '</s>', type_id: 0 } },
			],
			pair: [
				{ Sequence: { id: 'A', type_id: 0 } },
				{ SpecialToken: { id: '</s>', type_id: 0 } },
				{ Sequence: { id: 'B', type_id: 0 } },
			],
			special_tokens: {
				'<s>': { id: '<s>', ids: [0], tokens: ['<s>'] },
				'</s>': { id: '</s>', ids: [2], tokens: ['</s>'] },
			},
		},
		decoder: { type: 'Metaspace', replacement: '\u2581', prepend_scheme: 'always', split: true },
		model: { type: 'Unigram', unk_id: 3, vocab: pieces, byte_fallback: false },
	};
}

/** BERT: WordPiece. */
export function bertStyle(): Record<string, unknown> {
	const tokens = [
		'[PAD]',
		'[UNK]',
		'[CLS]',
		'[SEP]',
		'[MASK]',
		...LETTERS,
		...LETTERS.map((letter) => `##${letter}`),
		'the',
		'##ing',
		'walk',
		'!',
		',',
		'\u6f22',
	];
	return {
		...shell,
		added_tokens: ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'].map((token, id) => added(id, token)),
		normalizer: {
			type: 'BertNormalizer',
			clean_text: true,
			handle_chinese_chars: true,
			strip_accents: null,
			lowercase: true,
		},
		pre_tokenizer: { type: 'BertPreTokenizer' },
		post_processor: { type: 'BertProcessing', sep: ['[SEP]', 3], cls: ['[CLS]', 2] },
		decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
		model: {
			type: 'WordPiece',
			unk_token: '[UNK]',
			continuing_subword_prefix: '##',
			max_input_chars_per_word: 100,
			vocab: ids(tokens),
		},
	};
}

/** A WordLevel model behind a given pre-tokenizer, whose pieces thus become visible as ids. */
export function wordLevelStyle(preTokenizer: unknown, words: readonly string[]): Record<string, unknown> {
	return {
		...shell,
		added_tokens: [],
		normalizer: null,
		pre_tokenizer: preTokenizer,
		post_processor: null,
		decoder: null,
		model: { type: 'WordLevel', unk_token: '[UNK]', vocab: ids(['[UNK]', ...words]) },
	};
}
