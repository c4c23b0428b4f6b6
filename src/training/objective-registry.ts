/** @file All objectives. A new one is a file in objectives/ and a line here. */
import { z } from 'zod';
import type { Objective, ObjectiveKind } from './objective.ts';
import { causalLm } from './objectives/causal-lm.ts';

/** Configuration of an objective, told apart by `kind`. */
export const objectiveConfig = z.discriminatedUnion('kind', [causalLm.schema]).describe('What training minimises.');

export type ObjectiveConfig = z.output<typeof objectiveConfig>;

const KINDS = [causalLm] as readonly ObjectiveKind[];

/** @param config checked by `objectiveConfig` */
export function createObjective(config: ObjectiveConfig): Objective {
	const kind = KINDS.find((candidate) => candidate.kind === config.kind) as ObjectiveKind;
	return kind.create(config);
}
