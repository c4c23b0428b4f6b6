/** @file The flags of generate and chat that say how tokens are drawn. */
import type { Command } from 'commander';
import type { SamplingOptions } from '../generation/sampling/options.ts';
import { decimal, integer, repeated, text } from './arguments.ts';

export interface SamplingFlags {
	readonly maxTokens: number;
	readonly temperature: number;
	readonly topK?: number;
	readonly topP?: number;
	readonly minP?: number;
	readonly repetitionPenalty?: number;
	readonly stop?: string[];
	readonly seed: number;
}

export function addSamplingOptions(command: Command): Command {
	return command
		.option('--max-tokens <n>', 'most tokens to write', integer(1, 1_000_000), 128)
		.option('--temperature <t>', '0 takes the likeliest token; higher is more varied', decimal(0, 100), 0.8)
		.option('--top-k <k>', 'draw from the k likeliest tokens', integer(1))
		.option('--top-p <p>', 'draw from the likeliest tokens that make up this probability', decimal(0, 1))
		.option('--min-p <p>', 'leave out tokens less likely than this share of the likeliest', decimal(0, 1))
		.option('--repetition-penalty <x>', 'above 1 makes tokens of the text so far less likely', decimal(0.01, 100))
		.option('--stop <text>', 'end before this text; may be repeated', repeated(text))
		.option('--seed <n>', 'the same seed gives the same text', integer(0, 2 ** 32 - 1), 0);
}

export function samplingOf(flags: SamplingFlags): SamplingOptions {
	const { temperature, topK, topP, minP, repetitionPenalty } = flags;
	return {
		temperature,
		...(topK !== undefined && { topK }),
		...(topP !== undefined && { topP }),
		...(minP !== undefined && { minP }),
		...(repetitionPenalty !== undefined && { repetitionPenalty }),
	};
}
