/** @file docs/configuration.md from the JSON Schema of a run: every key with its type, default and meaning. */

/** The part of JSON Schema that zod writes for our configurations. */
export interface Schema {
	readonly type?: string | readonly string[];
	readonly description?: string;
	readonly default?: unknown;
	readonly const?: unknown;
	readonly enum?: readonly unknown[];
	readonly properties?: Readonly<Record<string, Schema>>;
	readonly required?: readonly string[];
	readonly items?: Schema;
	readonly additionalProperties?: Schema | boolean;
	readonly oneOf?: readonly Schema[];
	readonly anyOf?: readonly Schema[];
	readonly minimum?: number;
	readonly maximum?: number;
	readonly exclusiveMinimum?: number;
	readonly exclusiveMaximum?: number;
	readonly minItems?: number;
	readonly $ref?: string;
	readonly $defs?: Readonly<Record<string, Schema>>;
}

/** Keys that tell the variants of a choice apart. */
const TAGS = ['architecture', 'kind'];

interface Section {
	readonly title: string;
	readonly lines: readonly string[];
}

/** The reference as Markdown. */
export function configReference(root: Schema, introduction: string): string {
	const sections: Section[] = [];
	const seen = new Set<string>();
	describe('', root, sections, seen, root);
	const body = sections.flatMap(({ title, lines }) => ['', title, '', ...lines]);
	return `${[introduction.trim(), ...body].join('\n').trim()}\n`;
}

/** Adds the section of a map, then those of the maps inside it. */
function describe(path: string, schema: Schema, sections: Section[], seen: Set<string>, root: Schema): void {
	const target = follow(schema, root);
	const variants = choicesOf(target, root);
	if (variants !== undefined) {
		for (const variant of variants) describeMap(path, variant, tagOf(variant), sections, seen, root);
		return;
	}
	if (target.properties !== undefined) describeMap(path, target, undefined, sections, seen, root);
	else if (target.items !== undefined) describe(`${path}[]`, target.items, sections, seen, root);
	else if (target.anyOf !== undefined) for (const form of target.anyOf) describe(path, form, sections, seen, root);
}

function describeMap(
	path: string,
	schema: Schema,
	tag: readonly [string, unknown] | undefined,
	sections: Section[],
	seen: Set<string>,
	root: Schema,
): void {
	const properties = Object.entries(schema.properties ?? {});
	const name = path === '' ? 'The whole' : `\`${path}\``;
	const heading = `${name}${tag === undefined ? '' : ` with \`${tag[0]}: ${String(tag[1])}\``}`;
	const rows = properties
		.filter(([key]) => key !== tag?.[0])
		.map(([key, value]) => {
			const inner = follow(value, root);
			const required = schema.required?.includes(key) === true && inner.default === undefined;
			return `| \`${key}\` | ${cell(typeOf(inner, root))} | ${required ? '*required*' : cell(defaultOf(inner))} | ${cell(value.description ?? inner.description ?? '')} |`;
		});
	const signature = JSON.stringify([tag, schema.properties]);
	const title = `${path === '' ? '##' : path.includes('.') ? '####' : '###'} ${heading}`;
	// the same part in several places is described once
	if (seen.has(signature)) return;
	seen.add(signature);
	const table =
		rows.length === 0 ? ['No settings.'] : ['| key | type | default | meaning |', '| --- | --- | --- | --- |', ...rows];
	sections.push({ title, lines: schema.description === undefined ? table : [schema.description, '', ...table] });
	for (const [key, value] of properties) describe(path === '' ? key : `${path}.${key}`, value, sections, seen, root);
}

function follow(schema: Schema, root: Schema): Schema {
	if (schema.$ref === undefined) return schema;
	const target = root.$defs?.[schema.$ref.replace('#/$defs/', '')];
	return target === undefined ? schema : { ...target, ...schema };
}

/** Variants told apart by a tag, or undefined where the schema is no such choice. */
function choicesOf(schema: Schema, root: Schema): readonly Schema[] | undefined {
	const choices = (schema.oneOf ?? schema.anyOf)?.map((choice) => follow(choice, root));
	return choices?.every((choice) => tagOf(choice) !== undefined) === true ? choices : undefined;
}

function tagOf(schema: Schema): readonly [string, unknown] | undefined {
	for (const key of TAGS) {
		const value = schema.properties?.[key]?.const;
		if (value !== undefined) return [key, value];
	}
	return undefined;
}

function typeOf(schema: Schema, root: Schema): string {
	if (schema.const !== undefined) return code(schema.const);
	if (schema.enum !== undefined) return schema.enum.map(code).join(', ');
	const choices = choicesOf(schema, root);
	if (choices !== undefined) return `one of ${choices.map((choice) => code(tagOf(choice)?.[1])).join(', ')}`;
	const forms = schema.anyOf ?? schema.oneOf;
	if (forms !== undefined) return [...new Set(forms.map((form) => typeOf(follow(form, root), root)))].join(' or ');
	switch (schema.type) {
		case 'integer':
			return `whole number${range(schema)}`;
		case 'number':
			return `number${range(schema)}`;
		case 'boolean':
			return 'true or false';
		case 'string':
			return 'text';
		case 'array':
			return schema.items === undefined ? 'list' : `list of ${typeOf(follow(schema.items, root), root)}`;
		case 'object':
			return schema.properties === undefined ? 'map' : 'settings';
		default:
			return Array.isArray(schema.type) ? schema.type.join(' or ') : 'any';
	}
}

/** Limits that mean something: not those of a 53-bit integer. */
function range(schema: Schema): string {
	const low = schema.exclusiveMinimum ?? schema.minimum;
	const high = schema.exclusiveMaximum ?? schema.maximum;
	const parts: string[] = [];
	if (low !== undefined && low > Number.MIN_SAFE_INTEGER)
		parts.push(`${schema.exclusiveMinimum === undefined ? '>=' : '>'} ${low}`);
	if (high !== undefined && high < Number.MAX_SAFE_INTEGER)
		parts.push(`${schema.exclusiveMaximum === undefined ? '<=' : '<'} ${high}`);
	return parts.length === 0 ? '' : ` ${parts.join(', ')}`;
}

function defaultOf(schema: Schema): string {
	return schema.default === undefined ? '' : code(schema.default);
}

function code(value: unknown): string {
	return `\`${typeof value === 'string' ? value : JSON.stringify(value)}\``;
}

/** A bar ends a cell, and `<` could begin a tag. */
function cell(text: string): string {
	return text
		.replaceAll('|', '\\|')
		.replaceAll('\n', ' ')
		.replaceAll('<', '&lt;')
		.replaceAll(/`[^`]*`/g, (code) => code.replaceAll('&lt;', '<'));
}
