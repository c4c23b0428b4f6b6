/** @file From the `data` section of a configuration to token shards: the step every training run begins with. */
import { resolve } from 'node:path';
import { type BuildShardsOptions, type BuiltShards, buildShards } from './build-shards.ts';
import { type DataConfig, validationFractionOf } from './data-config.ts';
import type { SourceContext } from './source.ts';
import { openSource } from './source-registry.ts';

/** What the configuration does not say. */
export type PrepareOptions = SourceContext &
	Pick<BuildShardsOptions, 'encoder' | 'encoderFingerprint' | 'onProgress' | 'onSkip' | 'signal' | 'shardTokens'>;

/**
 * Tokenizes the sources of a configuration, or finds the tokens of an earlier run.
 * @throws as `buildShards`
 */
export function prepareTokens(config: DataConfig, { directory, ...rest }: PrepareOptions): Promise<BuiltShards> {
	const { source, validationSource, seed } = config;
	const validation = validationSource && {
		source: openSource(validationSource, { directory }),
		sourceConfig: validationSource,
	};
	return buildShards({
		...rest,
		source: openSource(source, { directory }),
		sourceConfig: source,
		...(validation === undefined ? {} : { validation }),
		directory: resolve(directory, config.cacheDirectory),
		validationFraction: validationFractionOf(config),
		seed,
	});
}
