/** @file Checking data from outside against a zod schema, with errors that name the key, the value and the nearest known key. */
import { z } from 'zod';
import { ConfigError, nearest } from './errors.ts';

/**
 * Parses `value` with `schema`.
 * @param where what the value is, put before the key path (`model` gives `model.mixer.heads`)
 * @throws ConfigError for the first problem, naming key, expectation, finding and nearest known key
 */
export function validate<Schema extends z.ZodType>(schema: Schema, value: unknown, where: string): z.output<Schema> {
	const result = schema.safeParse(value);
	if (result.success) return result.data;
	throw toConfigError(schema, value, result.error.issues[0] as z.core.$ZodIssue, where);
}

function toConfigError(schema: z.ZodType, value: unknown, issue: z.core.$ZodIssue, where: string): ConfigError {
	const path = issue.path.map(String);
	const at = [where, ...path].filter((part) => part !== '').join('.');
	const found = valueAt(value, issue.path);
	if (issue.code === 'unrecognized_keys') {
		const [key] = issue.keys as [string, ...string[]];
		const known = keysAt(schema, value, issue.path);
		const close = nearest(key, known);
		return new ConfigError(`unknown key "${key}"`, {
			where: at,
			expected: known.join(', '),
			...(close !== undefined && { fix: `did you mean "${close}"?` }),
		});
	}
	if (issue.code === 'invalid_union' && issue.discriminator !== undefined) {
		const kinds = discriminatorValues(schemaAt(schema, value, issue.path.slice(0, -1)), issue.discriminator);
		const close = typeof found === 'string' ? nearest(found, kinds) : undefined;
		return new ConfigError(found === undefined ? 'is missing' : 'is not one of the known kinds', {
			where: at,
			expected: kinds.join(', '),
			found: show(found),
			...(close !== undefined && { fix: `did you mean "${close}"?` }),
		});
	}
	if (issue.code === 'invalid_value') {
		const options = issue.values.map(String);
		const close = typeof found === 'string' ? nearest(found, options) : undefined;
		return new ConfigError(found === undefined ? 'is missing' : 'has an unknown value', {
			where: at,
			expected: options.join(', '),
			found: show(found),
			...(close !== undefined && { fix: `did you mean "${close}"?` }),
		});
	}
	if (issue.code === 'custom') return new ConfigError(issue.message, { where: at });
	return new ConfigError(found === undefined ? 'is missing' : 'is not valid', {
		where: at,
		expected: expectation(issue),
		found: show(found),
	});
}

function expectation(issue: z.core.$ZodIssue): string {
	switch (issue.code) {
		case 'invalid_type':
			return issue.expected;
		case 'too_small':
			return `${issue.origin} ${issue.inclusive === false ? '>' : '>='} ${issue.minimum}`;
		case 'too_big':
			return `${issue.origin} ${issue.inclusive === false ? '<' : '<='} ${issue.maximum}`;
		case 'invalid_union':
			return [...new Set(issue.errors.flatMap((alternative) => alternative.slice(0, 1).map(expectation)))].join(' or ');
		case 'invalid_value':
			return issue.values.map(String).join(', ');
		default:
			return issue.message;
	}
}

/** A value in a few words, however large or odd it is. */
function show(value: unknown): string {
	if (value === undefined) return 'nothing';
	if (typeof value === 'string') return JSON.stringify(value.length > 60 ? `${value.slice(0, 57)}...` : value);
	if (value === null || typeof value !== 'object') return String(value).slice(0, 60);
	if (Array.isArray(value)) return `a list of ${value.length}`;
	const keys = Object.keys(value);
	return keys.length === 0 ? 'an empty object' : `an object with ${keys.slice(0, 5).join(', ').slice(0, 60)}`;
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
	let current = value;
	for (const key of path) {
		if (current === null || typeof current !== 'object') return undefined;
		current = (current as Record<PropertyKey, unknown>)[key];
	}
	return current;
}

/** Follows a path through objects, arrays, optional values and unions (by discriminator) to the schema behind it. */
function schemaAt(schema: z.core.$ZodType, value: unknown, path: readonly PropertyKey[]): z.core.$ZodType | undefined {
	const resolved = resolve(schema, value);
	const [key, ...rest] = path;
	if (key === undefined || resolved === undefined) return resolved;
	const inner = valueAt(value, [key]);
	if (resolved instanceof z.core.$ZodObject) {
		const next = (resolved._zod.def.shape as Record<PropertyKey, z.core.$ZodType>)[key];
		return next === undefined ? undefined : schemaAt(next, inner, rest);
	}
	if (resolved instanceof z.core.$ZodArray) return schemaAt(resolved._zod.def.element, inner, rest);
	if (resolved instanceof z.core.$ZodRecord) return schemaAt(resolved._zod.def.valueType, inner, rest);
	return undefined;
}

function resolve(schema: z.core.$ZodType, value: unknown): z.core.$ZodType | undefined {
	if (schema instanceof z.core.$ZodLazy) return resolve(schema._zod.def.getter(), value);
	if (schema instanceof z.core.$ZodPipe) return resolve(schema._zod.def.in, value);
	if (
		schema instanceof z.core.$ZodOptional ||
		schema instanceof z.core.$ZodNullable ||
		schema instanceof z.core.$ZodDefault ||
		schema instanceof z.core.$ZodPrefault ||
		schema instanceof z.core.$ZodReadonly
	) {
		return resolve(schema._zod.def.innerType, value);
	}
	if (schema instanceof z.core.$ZodDiscriminatedUnion) {
		const { discriminator, options } = schema._zod.def;
		const wanted = valueAt(value, [discriminator]);
		if (wanted === undefined) return schema;
		return options.find((option) => option._zod.propValues?.[discriminator]?.has(wanted as string)) ?? schema;
	}
	if (schema instanceof z.core.$ZodUnion) {
		const kind = Array.isArray(value) ? z.core.$ZodArray : z.core.$ZodObject;
		return schema._zod.def.options.find((option) => option instanceof kind) ?? schema;
	}
	return schema;
}

function keysAt(schema: z.ZodType, value: unknown, path: readonly PropertyKey[]): string[] {
	const found = schemaAt(schema, value, path);
	return found instanceof z.core.$ZodObject ? Object.keys(found._zod.def.shape) : [];
}

function discriminatorValues(schema: z.core.$ZodType | undefined, discriminator: string): string[] {
	if (!(schema instanceof z.core.$ZodDiscriminatedUnion)) return [];
	const values = schema._zod.def.options.flatMap((option) => [...(option._zod.propValues?.[discriminator] ?? [])]);
	return values.filter((value) => value !== undefined).map(String);
}
