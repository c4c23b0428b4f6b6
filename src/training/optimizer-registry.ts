/** @file All optimizers. A new one is a file in optimizers/ and a line here. */
import { z } from 'zod';
import type { Optimizer, OptimizerKind } from './optimizer.ts';
import { adamw } from './optimizers/adamw.ts';
import { lion } from './optimizers/lion.ts';
import { muon } from './optimizers/muon.ts';
import { sgd } from './optimizers/sgd.ts';

/** Configuration of an optimizer, told apart by `kind`. */
export const optimizerConfig = z
	.discriminatedUnion('kind', [adamw.schema, lion.schema, muon.schema, sgd.schema])
	.describe('How gradients change the parameters.');

export type OptimizerConfig = z.output<typeof optimizerConfig>;

const KINDS = [adamw, lion, muon, sgd] as readonly OptimizerKind[];

/** @param config checked by `optimizerConfig` */
export function createOptimizer(config: OptimizerConfig): Optimizer {
	const kind = KINDS.find((candidate) => candidate.kind === config.kind) as OptimizerKind;
	return kind.create(config);
}
