/** @file The research systems: one folder each, with a description, an experiment and its evidence. */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { FormatError } from '../base/errors.ts';
import { readJson } from '../base/files.ts';
import { claimHolds, type Evidence, evidenceSchema } from './reproduction.ts';

const SLUG = /^[a-z0-9]+(-[a-z0-9]+)*$/;

/** systems/<slug>/system.json. */
export const systemSchema = z.strictObject({
	slug: z.string().regex(SLUG),
	title: z.string().min(1),
	/** What it is, in a line. */
	summary: z.string().min(1),
	/** Order in which the systems are built. */
	wave: z.int().min(1).max(3),
	/** Rooms of src/ it lives in. */
	rooms: z.array(z.string()).min(1),
	paper: z.strictObject({
		authors: z.string(),
		year: z.int(),
		venue: z.string(),
		arxiv: z.string().regex(/^\d{4}\.\d{4,5}$/),
	}),
});

export type SystemDescription = z.output<typeof systemSchema>;

export interface SystemStatus extends SystemDescription {
	/** `works` only with evidence of a full run of the experiment as it stands now, with every claim met. */
	readonly status: 'planned' | 'works';
	/** Why evidence that exists does not count. */
	readonly reason?: string;
	readonly evidence?: Evidence;
}

/** The folder of the installed package or checkout. */
export function systemsFolder(): string {
	return fileURLToPath(new URL('../../systems', import.meta.url));
}

/** All systems by wave and name. @throws FormatError naming a system.json that is not valid */
export function listSystems(folder: string = systemsFolder()): SystemStatus[] {
	return readdirSync(folder, { withFileTypes: true })
		.filter((entry) => entry.isDirectory() && existsSync(join(folder, entry.name, 'system.json')))
		.map(({ name }) => readSystem(folder, name))
		.sort((a, b) => a.wave - b.wave || a.slug.localeCompare(b.slug));
}

function readSystem(folder: string, name: string): SystemStatus {
	const path = join(folder, name, 'system.json');
	const parsed = systemSchema.safeParse(readJson(path, 'the description of a system'));
	if (!parsed.success || parsed.data.slug !== name) {
		throw new FormatError('is not the description of a system', {
			where: path,
			expected: `slug "${name}", title, summary, wave, rooms, paper`,
			...(parsed.success ? { found: `slug "${parsed.data.slug}"` } : { found: z.prettifyError(parsed.error) }),
		});
	}
	return { ...parsed.data, ...readEvidence(join(folder, name), name) };
}

function readEvidence(folder: string, slug: string): Pick<SystemStatus, 'status' | 'reason' | 'evidence'> {
	const path = join(folder, 'evidence.json');
	if (!existsSync(path)) return { status: 'planned' };
	let content: unknown;
	try {
		content = readJson(path, 'evidence');
	} catch {
		return { status: 'planned', reason: 'evidence.json is not JSON' };
	}
	const parsed = evidenceSchema.safeParse(content);
	if (!parsed.success) return { status: 'planned', reason: 'evidence.json has another format' };
	const evidence = parsed.data;
	if (evidence.slug !== slug) return { status: 'planned', reason: `evidence.json is of ${evidence.slug}` };
	if (evidence.definition !== definitionHash(folder)) {
		return { status: 'planned', reason: 'the experiment has changed since its last full run', evidence };
	}
	if (!claimHolds(evidence.measurements)) return { status: 'planned', reason: 'the claim did not hold', evidence };
	return { status: 'works', evidence };
}

/**
 * Hash of what an experiment is: every file of its folder but descriptions, tests and results. Line ends do not count.
 * @returns 64 hexadecimal digits
 */
export function definitionHash(folder: string): string {
	const hash = createHash('sha256');
	const names = readdirSync(folder, { recursive: true, encoding: 'utf8', withFileTypes: true })
		.filter((entry) => entry.isFile())
		.map((entry) =>
			join(entry.parentPath, entry.name)
				.slice(folder.length + 1)
				.replaceAll('\\', '/'),
		)
		.filter((name) => !/(^|\/)(README\.md|system\.json|evidence\.json|.*\.test\.ts)$/.test(name))
		.sort();
	for (const name of names) {
		const text = readFileSync(join(folder, name), 'latin1').replaceAll('\r\n', '\n');
		hash.update(`${name}\0${text.length}\0`).update(text, 'latin1');
	}
	return hash.digest('hex');
}
