/** @file Checks a configuration against its schema and says file, line, key, expectation and finding of every fault. */
import { z } from 'zod';
import { ConfigError, nearest } from '../../base/errors.ts';
import type { RawConfig } from './load.ts';
import { formatPath, type Override } from './overrides.ts';

type Issue = z.core.$ZodIssue;
type Path = readonly PropertyKey[];

const MOST_PROBLEMS = 8;

/**
 * The checked configuration.
 * @param value `raw.value` with the overrides made
 * @throws ConfigError with every problem found
 */
export function checkConfig<S extends z.ZodType>(
	schema: S,
	raw: RawConfig,
	value: unknown,
	overrides: readonly Override[] = [],
): z.output<S> {
	const parsed = schema.safeParse(value);
	if (parsed.success) return parsed.data;
	throw configError(schema, parsed.error.issues, raw, value, overrides);
}

interface Problem {
	readonly path: Path;
	readonly summary: string;
	readonly expected?: string;
	readonly found?: string;
	readonly fix?: string;
}

function configError(
	schema: z.ZodType,
	issues: readonly Issue[],
	raw: RawConfig,
	value: unknown,
	overrides: readonly Override[],
): ConfigError {
	const jsonSchema = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as JsonSchema;
	const problems = issues.flatMap((issue) => describe(issue, value, jsonSchema));
	const located = problems.map((problem) => ({ ...problem, where: whereIs(problem.path, raw, overrides) }));
	const [only] = located;
	if (located.length === 1 && only !== undefined) {
		const { summary, path: _path, ...details } = only;
		return new ConfigError(summary, details);
	}
	const lines = located.slice(0, MOST_PROBLEMS).map(({ where, summary, expected, found, fix }) => {
		const parts = [`  ${where}: ${summary}`];
		if (expected !== undefined) parts.push(`    expected: ${expected}`);
		if (found !== undefined) parts.push(`    found:    ${found}`);
		if (fix !== undefined) parts.push(`    to fix:   ${fix}`);
		return parts.join('\n');
	});
	const left = located.length - MOST_PROBLEMS;
	if (left > 0) lines.push(`  and ${left} more`);
	return new ConfigError(`${located.length} problems\n${lines.join('\n')}`, { where: raw.path });
}

/** File and position of a key, or the --set that put it there. */
function whereIs(path: Path, raw: RawConfig, overrides: readonly Override[]): string {
	const key = path.length === 0 ? '' : `: ${formatPath(path)}`;
	const override = overrides.findLast(({ path: set }) =>
		set.slice(0, path.length).every((part, index) => String(part) === String(path[index])),
	);
	if (override !== undefined && path.length > 0) return `--set ${override.text}${key}`;
	const position = raw.locate(path);
	return `${raw.path}${position === undefined ? '' : `:${position.line}:${position.column}`}${key}`;
}

function describe(issue: Issue, value: unknown, schema: JsonSchema): Problem[] {
	const { path } = issue;
	const found = valueAt(value, path);
	const showFound = found === undefined ? 'nothing: the key is missing' : show(found);
	switch (issue.code) {
		case 'unrecognized_keys':
			return issue.keys.map((key) => unknownKey(key, path, value, schema));
		case 'invalid_type':
			return [
				{
					path,
					summary: found === undefined ? 'is missing' : 'has the wrong type',
					expected: issue.expected === 'int' ? 'a whole number' : describeType(issue.expected),
					found: showFound,
				},
			];
		case 'invalid_value': {
			const options = issue.values.map(String);
			return [
				{
					path,
					summary: found === undefined ? 'is missing' : 'is not one of the choices',
					expected: options.join(', '),
					found: showFound,
					...didYouMean(found, options),
				},
			];
		}
		case 'invalid_union': {
			const options = 'options' in issue && Array.isArray(issue.options) ? issue.options.map(String) : undefined;
			if (options !== undefined) {
				return [
					{
						path,
						summary: found === undefined ? 'is missing' : 'is not a known kind',
						expected: options.join(', '),
						found: showFound,
						...didYouMean(found, options),
					},
				];
			}
			const expected = issue.errors.flat().map((inner) => `${formatPath(inner.path)} ${inner.message}`.trim());
			return [
				{ path, summary: 'fits none of its forms', expected: [...new Set(expected)].join('; or '), found: showFound },
			];
		}
		case 'too_small':
		case 'too_big': {
			const limit = issue.code === 'too_small' ? issue.minimum : issue.maximum;
			const relation =
				issue.code === 'too_small'
					? issue.inclusive === false
						? 'more than'
						: 'at least'
					: issue.inclusive === false
						? 'less than'
						: 'at most';
			const unit = issue.origin === 'string' ? ' characters' : issue.origin === 'array' ? ' items' : '';
			return [
				{
					path,
					summary: issue.code === 'too_small' ? 'is too small' : 'is too large',
					expected: `${relation} ${limit}${unit}`,
					found: showFound,
				},
			];
		}
		default:
			return [{ path, summary: issue.message, found: showFound }];
	}
}

function unknownKey(key: string, path: Path, value: unknown, schema: JsonSchema): Problem {
	const known = keysAt(schema, value, path);
	return {
		path: [...path, key],
		summary: 'unknown key',
		...(known.length > 0 && { expected: known.join(', ') }),
		found: key,
		...didYouMean(key, known),
	};
}

function didYouMean(found: unknown, options: readonly string[]): { fix?: string } {
	const guess = typeof found === 'string' ? nearest(found, options) : undefined;
	return guess === undefined ? {} : { fix: `did you mean ${guess}?` };
}

function describeType(type: string): string {
	const names: Readonly<Record<string, string>> = {
		object: 'a map of keys and values',
		array: 'a list',
		string: 'text',
		number: 'a number',
		boolean: 'true or false',
		record: 'a map of keys and values',
	};
	return names[type] ?? type;
}

function valueAt(value: unknown, path: Path): unknown {
	let current = value;
	for (const key of path) {
		if (typeof current !== 'object' || current === null || !Object.hasOwn(current, key)) return undefined;
		current = (current as Record<PropertyKey, unknown>)[key];
	}
	return current;
}

function show(value: unknown): string {
	const text = typeof value === 'number' ? String(value) : (JSON.stringify(value) ?? String(value));
	return text.length > 120 ? `${text.slice(0, 117)}...` : text;
}

/** The part of JSON Schema that zod writes and this file reads. */
interface JsonSchema {
	readonly properties?: Readonly<Record<string, JsonSchema>>;
	readonly items?: JsonSchema | boolean;
	readonly oneOf?: readonly JsonSchema[];
	readonly anyOf?: readonly JsonSchema[];
	readonly allOf?: readonly JsonSchema[];
	readonly const?: unknown;
	readonly $ref?: string;
	readonly $defs?: Readonly<Record<string, JsonSchema>>;
	readonly additionalProperties?: JsonSchema | boolean;
}

/** Keys that the schema knows at a path, going into the variant whose `kind` the value has. */
function keysAt(root: JsonSchema, value: unknown, path: Path): string[] {
	let schemas = variants(root, root, value);
	let current = value;
	for (const key of path) {
		current = valueAt(current, [key]);
		schemas = schemas.flatMap((schema) => {
			const inner =
				typeof key === 'number' ? schema.items : (schema.properties?.[String(key)] ?? schema.additionalProperties);
			return typeof inner === 'object' ? variants(root, inner, current) : [];
		});
	}
	return [...new Set(schemas.flatMap((schema) => Object.keys(schema.properties ?? {})))];
}

function variants(root: JsonSchema, schema: JsonSchema, value: unknown, depth = 0): JsonSchema[] {
	if (depth > 16) return [];
	if (schema.$ref !== undefined) {
		const target = schema.$ref === '#' ? root : root.$defs?.[schema.$ref.replace('#/$defs/', '')];
		return target === undefined ? [] : variants(root, target, value, depth + 1);
	}
	const choices = schema.oneOf ?? schema.anyOf ?? schema.allOf;
	if (choices === undefined) return [schema];
	return choices.flatMap((choice) => {
		// a variant is told by a key with one fixed value, such as `kind`
		const other = Object.entries(choice.properties ?? {}).some(
			([key, { const: fixed }]) => fixed !== undefined && valueAt(value, [key]) !== fixed,
		);
		return other ? [] : variants(root, choice, value, depth + 1);
	});
}
