/** @file One golden case: a JSON description beside a safetensors file with inputs, parameters and expected numbers. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { z } from 'zod';
import { FormatError, InputError } from '../../base/errors.ts';
import { readJson, unreadable } from '../../base/files.ts';
import type { HostTensor } from '../../base/host-tensor.ts';
import { readSafetensors } from '../../formats/safetensors.ts';

const description = z.looseObject({
	case: z.string().min(1),
	kind: z.string().min(1),
	config: z.record(z.string(), z.unknown()),
	tolerance: z.strictObject({ abs: z.number().min(0), rel: z.number().min(0) }),
	tensors: z.record(z.string(), z.array(z.int().min(0))),
});

/** What a case says, without its numbers. */
export interface GoldenDescription {
	/** Path of the JSON file without its extension. */
	readonly base: string;
	/** The same relative to the directory that was walked, with forward slashes. */
	readonly path: string;
	readonly case: string;
	readonly kind: string;
	readonly config: Readonly<Record<string, unknown>>;
	readonly tolerance: { readonly abs: number; readonly rel: number };
	readonly tensors: Readonly<Record<string, readonly number[]>>;
}

/** A case with its numbers; tensors by name without the prefix. */
export interface GoldenCase extends GoldenDescription {
	readonly inputs: ReadonlyMap<string, HostTensor>;
	readonly params: ReadonlyMap<string, HostTensor>;
	readonly outputs: ReadonlyMap<string, HostTensor>;
	readonly gradients: ReadonlyMap<string, HostTensor>;
	readonly cotangents: ReadonlyMap<string, HostTensor>;
}

/**
 * Descriptions of all cases below a directory, sorted by path.
 * @throws InputError when the directory has no cases or a case lacks its tensors, FormatError when a file is not a case
 */
export function findCases(directory: string): GoldenDescription[] {
	let names: string[];
	try {
		if (!statSync(directory).isDirectory()) {
			throw new InputError('is not a directory', { where: directory, expected: 'a directory of golden cases' });
		}
		names = readdirSync(directory, { recursive: true, withFileTypes: true })
			.filter((entry) => entry.isFile() && entry.name.endsWith('.json'))
			.map((entry) => join(entry.parentPath, entry.name));
	} catch (error) {
		if (error instanceof InputError) throw error;
		throw unreadable(directory, 'a directory of golden cases', error);
	}
	if (names.length === 0) {
		throw new InputError('has no golden cases', {
			where: directory,
			expected: '<suite>/<case>.json beside <case>.safetensors',
		});
	}
	return names.sort().map((file) => describe(file, directory));
}

function describe(file: string, directory: string): GoldenDescription {
	const parsed = description.safeParse(readJson(file, 'the description of a golden case'));
	if (!parsed.success) {
		const [issue] = parsed.error.issues;
		throw new FormatError('is not the description of a golden case', {
			where: file,
			expected: 'case, kind, config, tolerance { abs, rel }, tensors { name: shape }',
			found: `${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`,
		});
	}
	const base = file.slice(0, -'.json'.length);
	if (!existsSync(`${base}.safetensors`)) {
		throw new InputError('no such file', { where: `${base}.safetensors`, expected: `the tensors of ${file}` });
	}
	const { kind, config, tolerance, tensors } = parsed.data;
	const path = relative(directory, base).split(sep).join('/');
	return { base, path, case: parsed.data.case, kind, config, tolerance, tensors };
}

/**
 * Reads the numbers of a case.
 * @throws InputError when the file cannot be read, FormatError when it is damaged or not as described
 */
export function loadCase(described: GoldenDescription): GoldenCase {
	const file = `${described.base}.safetensors`;
	const tensors = readSafetensors(file);
	for (const [name, dims] of Object.entries(described.tensors)) {
		const value = tensors.get(name);
		if (value === undefined || value.dims.join() !== dims.join()) {
			throw new FormatError(`does not have the tensor "${name}" as described`, {
				where: file,
				expected: `[${dims.join(', ')}]`,
				found: value === undefined ? 'nothing' : `[${value.dims.join(', ')}]`,
			});
		}
	}
	const group = (prefix: string): Map<string, HostTensor> =>
		new Map(
			[...tensors].flatMap(([name, value]) =>
				name.startsWith(prefix) ? [[name.slice(prefix.length), value] as const] : [],
			),
		);
	return {
		...described,
		inputs: group('input.'),
		params: group('param.'),
		outputs: group('output.'),
		gradients: group('grad.'),
		cotangents: group('cotangent.'),
	};
}
