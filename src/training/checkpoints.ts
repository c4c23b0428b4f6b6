/**
 * @file Checkpoints of a run: `checkpoints/step-N/` is written under a temporary name, flushed, and renamed, so that a
 * folder with that name is whole; a manifest with checksums finds what went bad later.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { FormatError, InputError } from '../base/errors.ts';
import { readJson, sha256File, syncDirectory, writeFileAtomic } from '../base/files.ts';
import type { HostTensor } from '../base/host-tensor.ts';
import { openSafetensors, readSafetensors, writeSafetensors } from '../formats/safetensors.ts';
import {
	EMA_FILE,
	FORMAT_VERSION,
	MANIFEST_FILE,
	type Manifest,
	MODEL_FILE,
	manifest,
	OPTIMIZER_FILE,
	STATE_FILE,
	type TrainingState,
	trainingState,
} from './checkpoint-format.ts';

/** Tensors by saved name. */
export interface CheckpointTensors {
	readonly model: ReadonlyMap<string, HostTensor>;
	/** Optimizer state; names begin with the state's name. */
	readonly optimizer: ReadonlyMap<string, HostTensor>;
	/** Moving averages of the parameters. */
	readonly ema?: ReadonlyMap<string, HostTensor>;
}

export interface FoundCheckpoint {
	readonly step: number;
	readonly path: string;
}

const TEMPORARY = /^\.step-\d+\..*\.tmp$/;

export function checkpointsDirectory(run: string): string {
	return join(run, 'checkpoints');
}

/**
 * Writes a checkpoint of a run and returns its folder.
 * @throws Error of the file system; a half-written folder is removed, or ignored and removed at the next start
 */
export async function writeCheckpoint(run: string, tensors: CheckpointTensors, state: TrainingState): Promise<string> {
	const parent = checkpointsDirectory(run);
	mkdirSync(parent, { recursive: true });
	const name = `step-${state.step}`;
	const temporary = join(parent, `.${name}.${randomBytes(6).toString('hex')}.tmp`);
	mkdirSync(temporary);
	try {
		const files: Record<string, { sha256: string; byteLength: number }> = {};
		const note = { step: String(state.step), format: 'pt' };
		files[MODEL_FILE] = writeSafetensors(join(temporary, MODEL_FILE), tensors.model, note);
		files[OPTIMIZER_FILE] = writeSafetensors(join(temporary, OPTIMIZER_FILE), tensors.optimizer, note);
		if (tensors.ema !== undefined) files[EMA_FILE] = writeSafetensors(join(temporary, EMA_FILE), tensors.ema, note);
		const statePath = join(temporary, STATE_FILE);
		writeFileAtomic(statePath, `${JSON.stringify(state, null, '\t')}\n`);
		files[STATE_FILE] = { sha256: await sha256File(statePath), byteLength: statSync(statePath).size };
		const contents: Manifest = { formatVersion: FORMAT_VERSION, step: state.step, files };
		writeFileAtomic(join(temporary, MANIFEST_FILE), `${JSON.stringify(contents, null, '\t')}\n`);
		syncDirectory(temporary);
		const path = join(parent, name);
		// A folder of that name is from a run that went on from an earlier checkpoint, or is damaged.
		if (existsSync(path)) retire(parent, state.step);
		renameSync(temporary, path);
		syncDirectory(parent);
		return path;
	} catch (error) {
		rmSync(temporary, { recursive: true, force: true });
		throw error;
	}
}

/** Complete checkpoint folders of a run, the latest first; their contents are not looked at. */
export function listCheckpoints(run: string): FoundCheckpoint[] {
	const parent = checkpointsDirectory(run);
	if (!existsSync(parent)) return [];
	return readdirSync(parent)
		.flatMap((name) => {
			const match = /^step-(\d{1,15})$/.exec(name);
			return match === null ? [] : [{ step: Number(match[1]), path: join(parent, name) }];
		})
		.sort((a, b) => b.step - a.step);
}

/** Removes what interrupted writes and deletions left behind. */
export function removeTemporary(run: string): void {
	const parent = checkpointsDirectory(run);
	if (!existsSync(parent)) return;
	for (const name of readdirSync(parent)) {
		if (TEMPORARY.test(name)) rmSync(join(parent, name), { recursive: true, force: true });
	}
}

/**
 * Deletes all but the last `keep` checkpoints up to `step` and those in `spared`. Later ones are damaged and were passed
 * over on resuming; they neither count nor are they deleted, until the run writes them again.
 */
export function prune(run: string, step: number, keep: number, spared: ReadonlySet<number>): void {
	const own = listCheckpoints(run).filter((found) => found.step <= step);
	for (const found of own.slice(keep)) if (!spared.has(found.step)) retire(checkpointsDirectory(run), found.step);
}

/** Deletes a folder under a name that is never read, so that an interrupted deletion leaves no half checkpoint. */
function retire(parent: string, step: number): void {
	const doomed = join(parent, `.step-${step}.${randomBytes(6).toString('hex')}.tmp`);
	renameSync(join(parent, `step-${step}`), doomed);
	rmSync(doomed, { recursive: true, force: true });
}

/** What is wrong with a checkpoint folder, one line a problem; empty for a sound one. */
export async function checkpointProblems({ step, path }: FoundCheckpoint): Promise<string[]> {
	let contents: Manifest;
	try {
		const parsed = manifest.safeParse(readJson(join(path, MANIFEST_FILE), 'the manifest of a checkpoint'));
		if (!parsed.success) return [`${MANIFEST_FILE} is not a manifest`];
		contents = parsed.data;
	} catch (error) {
		return [`${MANIFEST_FILE}: ${(error as Error).message.split('\n')[0]}`];
	}
	const problems: string[] = [];
	if (contents.step !== step) problems.push(`${MANIFEST_FILE} belongs to step ${contents.step}`);
	for (const required of [MODEL_FILE, OPTIMIZER_FILE, STATE_FILE]) {
		if (contents.files[required] === undefined) problems.push(`${MANIFEST_FILE} does not list ${required}`);
	}
	for (const [name, { sha256, byteLength }] of Object.entries(contents.files)) {
		const file = join(path, name);
		if (!existsSync(file)) problems.push(`${name} is missing`);
		else if (statSync(file).size !== byteLength) {
			problems.push(`${name} has ${statSync(file).size} bytes instead of ${byteLength}`);
		} else if ((await sha256File(file)) !== sha256) problems.push(`${name} does not match its checksum`);
	}
	return problems;
}

export interface DamagedCheckpoint extends FoundCheckpoint {
	readonly problems: readonly string[];
}

/**
 * The latest sound checkpoint of a run.
 * @param onDamaged told about each damaged one that is passed over
 * @returns undefined where the run has no checkpoint at all
 * @throws FormatError listing the damage when there are checkpoints and none is sound
 */
export async function latestCheckpoint(
	run: string,
	onDamaged: (damaged: DamagedCheckpoint) => void = () => {},
): Promise<FoundCheckpoint | undefined> {
	const damaged: DamagedCheckpoint[] = [];
	for (const found of listCheckpoints(run)) {
		const problems = await checkpointProblems(found);
		if (problems.length === 0) return found;
		damaged.push({ ...found, problems });
		onDamaged({ ...found, problems });
	}
	if (damaged.length === 0) return undefined;
	throw new FormatError('every checkpoint of the run is damaged', {
		where: checkpointsDirectory(run),
		expected: 'files that match the checksums in manifest.json',
		found: damaged.map(({ step, problems }) => `step-${step}: ${problems.join('; ')}`).join('\n            '),
		fix: 'restore the folder from a copy, or delete it to start again',
	});
}

/** @throws FormatError when state.json is not what this version writes */
export function readState(path: string): TrainingState {
	const file = join(path, STATE_FILE);
	const parsed = trainingState.safeParse(readJson(file, 'the state of a training run'));
	if (parsed.success) return parsed.data;
	const [issue] = parsed.error.issues;
	throw new FormatError('is not a training state this version can read', {
		where: file,
		found: `${issue?.path.join('.')}: ${issue?.message}`,
		fix: 'resume with the version of modelsmith that wrote it',
	});
}

/** All tensors of a checkpoint folder. @throws FormatError, InputError as readSafetensors */
export function readTensors(path: string): CheckpointTensors {
	const ema = join(path, EMA_FILE);
	return {
		model: readSafetensors(join(path, MODEL_FILE)),
		optimizer: readSafetensors(join(path, OPTIMIZER_FILE)),
		...(existsSync(ema) && { ema: readSafetensors(ema) }),
	};
}

/**
 * The weights of a run or of one checkpoint folder, read one by one on demand.
 * @param path a run folder (its best checkpoint if `best`, else its latest sound one) or a checkpoint folder
 * @throws InputError where there is no checkpoint
 */
export async function findWeights(path: string, best = false): Promise<string> {
	if (existsSync(join(path, MODEL_FILE))) return join(path, MODEL_FILE);
	const latest = await latestCheckpoint(path);
	if (latest === undefined) {
		throw new InputError('has no checkpoint', {
			where: path,
			expected: 'a run folder with checkpoints/step-N',
			fix: 'train first: modelsmith train CONFIG',
		});
	}
	const wanted = best ? readState(latest.path).best : null;
	const bestPath = wanted === null ? undefined : join(checkpointsDirectory(path), `step-${wanted.step}`, MODEL_FILE);
	const chosen = bestPath !== undefined && existsSync(bestPath) ? bestPath : join(latest.path, MODEL_FILE);
	openSafetensors(chosen).close();
	return chosen;
}
