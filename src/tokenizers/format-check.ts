/** @file Turns what is wrong with untrusted JSON into FormatErrors that name the file and the key. */
import type { z } from 'zod';
import { FormatError } from '../base/errors.ts';

/** Runs a schema and turns its first complaint into a FormatError. */
export function parseWith<T>(schema: z.ZodType<T>, json: unknown, where: string): T {
	const result = schema.safeParse(json);
	if (result.success) return result.data;
	const issue = result.error.issues[0]!;
	const key = issue.path.map(String).join('.');
	const known = 'options' in issue && Array.isArray(issue.options) ? issue.options.join(', ') : undefined;
	throw new FormatError(issue.message.toLowerCase(), {
		where: key === '' ? where : `${where}: ${key.slice(0, 200)}`,
		expected: known ?? 'what the Hugging Face tokenizer.json format defines',
		found: describe(valueAt(json, issue.path)),
	});
}

function valueAt(json: unknown, path: readonly PropertyKey[]): unknown {
	let value = json;
	for (const key of path) {
		if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
		value = (value as Record<PropertyKey, unknown>)[key];
	}
	return value;
}

/** A short description of any JSON value for error messages. */
export function describe(value: unknown): string {
	if (value === undefined) return 'nothing';
	if (Array.isArray(value)) return `an array of ${value.length}`;
	if (typeof value === 'object' && value !== null) {
		const type = (value as { type?: unknown }).type;
		return typeof type === 'string' ? `an object of type ${JSON.stringify(type.slice(0, 60))}` : 'an object';
	}
	const text = JSON.stringify(value);
	return text.length > 60 ? `${text.slice(0, 60)}...` : text;
}
