/** @file `--set path=value`: changes to a configuration from the command line. */
import { parse } from 'yaml';
import { InputError } from '../../base/errors.ts';

/** One parsed `--set`. */
export interface Override {
	/** As typed, for messages. */
	readonly text: string;
	readonly path: readonly (string | number)[];
	readonly value: unknown;
}

const EXAMPLE = '--set training.steps=1000';

/**
 * Reads `path=value`. The path has dots between keys and `[0]` or `.0` for the place in a list; the value is read as
 * YAML, so that `true`, `1e-3`, `[1, 2]` and `{ kind: glu }` have their types; quotes make text of anything.
 * @throws InputError naming the flag
 */
export function parseOverride(text: string): Override {
	const where = `--set ${text}`;
	const equals = text.indexOf('=');
	if (equals <= 0) {
		throw new InputError(equals === 0 ? 'has no path' : 'has no value', {
			where,
			expected: `path=value, e.g. ${EXAMPLE}`,
		});
	}
	const path = parsePath(text.slice(0, equals).trim(), where);
	const source = text.slice(equals + 1);
	let value: unknown;
	try {
		value = source.trim() === '' ? '' : parse(source, { maxAliasCount: 0 });
	} catch (cause) {
		throw new InputError('the value cannot be read', {
			where,
			expected: 'a number, true, false, text, [a, list] or { a: map }',
			found: source,
			fix: 'put text with special characters in quotes',
			cause,
		});
	}
	return { text, path, value };
}

function parsePath(text: string, where: string): (string | number)[] {
	const normal = text.replace(/\[(\d+)\]/g, '.$1');
	const keys = normal.split('.');
	for (const key of keys) {
		if (!/^[A-Za-z_$][\w$-]*$|^\d+$/.test(key) || ['__proto__', 'constructor', 'prototype'].includes(key)) {
			throw new InputError(`"${text}" is not a path`, {
				where,
				expected: `keys with dots between them, e.g. ${EXAMPLE}`,
				found: key === '' ? 'an empty key' : `the key "${key}"`,
			});
		}
	}
	return keys.map((key) => (/^\d+$/.test(key) ? Number(key) : key));
}

/**
 * A copy of `config` with the overrides made, in order. Missing maps on the way are made.
 * @throws InputError where a path goes through something that is not a map or a list
 */
export function applyOverrides(config: unknown, overrides: readonly Override[]): unknown {
	if (overrides.length === 0) return config;
	let result: unknown = structuredClone(config);
	for (const { path, value, text } of overrides) result = assign(result, path, value, `--set ${text}`, []);
	return result;
}

function assign(
	target: unknown,
	path: readonly (string | number)[],
	value: unknown,
	where: string,
	done: readonly (string | number)[],
): unknown {
	const [key, ...rest] = path;
	if (key === undefined) return value;
	const here = done.length === 0 ? 'the configuration' : formatPath(done);
	if (Array.isArray(target)) {
		if (typeof key !== 'number' || key > target.length) {
			throw new InputError(`${here} is a list`, {
				where,
				expected: `a place from 0 to ${target.length}`,
				found: String(key),
			});
		}
		target[key] = assign(target[key], rest, value, where, [...done, key]);
		return target;
	}
	if (target !== undefined && target !== null && typeof target !== 'object') {
		throw new InputError(`${here} is not a map`, {
			where,
			expected: `a path to a key that exists, or \`${formatPath(done)}={...}\``,
			found: JSON.stringify(target),
		});
	}
	const map = (target ?? {}) as Record<string, unknown>;
	map[String(key)] = assign(map[String(key)], rest, value, where, [...done, key]);
	return map;
}

/** ["layers", 0, "dim"] -> "layers[0].dim". */
export function formatPath(path: readonly PropertyKey[]): string {
	let text = '';
	for (const key of path) {
		if (typeof key === 'number') text += `[${key}]`;
		else text += text === '' ? String(key) : `.${String(key)}`;
	}
	return text;
}
