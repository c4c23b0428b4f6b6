/** @file The tokens that `eval` measures: files of the user, or the validation split of the run. */
import { createHash } from 'node:crypto';
import { InputError } from '../base/errors.ts';
import { validate } from '../base/validate.ts';
import { dataConfig } from '../data/data-config.ts';
import { prepareTokens } from '../data/prepare-tokens.ts';
import { openTokenDataset } from '../data/token-dataset.ts';
import type { LoadedRun } from '../generation/load-run.ts';
import { textSourceOf } from './text-paths.ts';
import { originOf } from './train-run.ts';

export interface EvaluationText {
	readonly tokens: Int32Array;
	/** UTF-8 bytes the tokens stand for. */
	readonly bytes: number;
	/** What it is, for people. */
	readonly source: string;
	/** There was more than was asked for. */
	readonly cut: boolean;
}

interface Options {
	readonly data?: readonly string[];
	readonly field?: string;
	readonly maxTokens: number;
}

/** @throws InputError when there is no such text, or fewer than two tokens of it */
export async function readEvaluationText(
	run: LoadedRun,
	options: Options,
	signal: AbortSignal,
): Promise<EvaluationText> {
	const text =
		options.data === undefined
			? await validationSplit(run, options.maxTokens, signal)
			: await filesOf(run, options.data, options, signal);
	if (text.tokens.length < 2) {
		throw new InputError('has too little text to measure', {
			where: text.source,
			expected: 'at least two tokens',
			found: `${text.tokens.length}`,
			fix: 'name files with --data',
		});
	}
	return text;
}

/** Documents one after the other, each ended by the end-of-sequence token, as in training. */
async function filesOf(
	{ tokenizer }: LoadedRun,
	paths: readonly string[],
	{ field, maxTokens }: Options,
	signal: AbortSignal,
): Promise<EvaluationText> {
	const pieces: Int32Array[] = [];
	let count = 0;
	let cut = false;
	for await (const { text, partial } of textSourceOf(paths, field).documents()) {
		signal.throwIfAborted();
		const ids = tokenizer.encodeTyped(text, { addSpecialTokens: false });
		pieces.push(ids);
		count += ids.length;
		if (partial !== true && tokenizer.eosId !== undefined) {
			pieces.push(Int32Array.of(tokenizer.eosId));
			count++;
		}
		if (count > maxTokens) {
			cut = true;
			break;
		}
	}
	const all = new Int32Array(count);
	let offset = 0;
	for (const piece of pieces) {
		all.set(piece, offset);
		offset += piece.length;
	}
	const tokens = all.subarray(0, maxTokens);
	return { tokens, bytes: tokenizer.countBytesOfIds(tokens.subarray(1)), source: paths.join(' '), cut };
}

/** The held-out documents of the run; its token shards are used again when they are there. */
async function validationSplit(run: LoadedRun, maxTokens: number, signal: AbortSignal): Promise<EvaluationText> {
	const { config, directory, tokenizer } = run;
	const source = `validation split of ${directory}`;
	if (config.data === undefined) {
		throw new InputError('has no data in its configuration', { where: directory, fix: 'name files with --data' });
	}
	const data = validate(dataConfig, config.data, `${directory}/config.json: data`);
	const { directory: shards, manifest } = await prepareTokens(data, {
		directory: originOf(directory),
		encoder: tokenizer,
		encoderFingerprint: createHash('sha256').update(JSON.stringify(tokenizer.toJson())).digest('hex'),
		signal,
	});
	const available = manifest.splits.validation.tokens;
	const tokens = new Int32Array(Math.min(available, maxTokens));
	if (tokens.length > 0) {
		const dataset = openTokenDataset(shards, 'validation');
		try {
			dataset.read(0, tokens.length, tokens);
		} finally {
			dataset.close();
		}
	}
	return { tokens, bytes: tokenizer.countBytesOfIds(tokens.subarray(1)), source, cut: tokens.length < available };
}
