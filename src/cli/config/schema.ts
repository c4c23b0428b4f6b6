/** @file JSON Schema of a run's configuration, for editors and for `modelsmith schema`. */
import { z } from 'zod';
import { runConfig } from '../../training/config.ts';

/** Where the published schema is, for `$schema` in JSON files and `# yaml-language-server` in YAML. */
export const SCHEMA_URL = 'https://unpkg.com/modelsmith/schema/config.schema.json';

/** JSON Schema (draft 2020-12) of what a configuration file may hold. */
export function configJsonSchema(): Record<string, unknown> {
	const schema = z.toJSONSchema(runConfig, { io: 'input', unrepresentable: 'any' }) as Record<string, unknown>;
	return { $id: SCHEMA_URL, title: 'modelsmith configuration', ...schema };
}
