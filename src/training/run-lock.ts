/** @file One process at a time may train in a run folder: a lock file with the number of the process that holds it. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { InputError } from '../base/errors.ts';

const LOCK_FILE = 'run.lock';

/**
 * Takes the lock of a run folder; a lock whose process is gone (killed, crashed) is taken over.
 * @returns a function that gives it back
 * @throws InputError where a living process holds it
 */
export function lockRun(directory: string): () => void {
	mkdirSync(directory, { recursive: true });
	const path = join(directory, LOCK_FILE);
	// Two tries: the second after a stale lock was removed.
	for (let attempt = 0; ; attempt++) {
		try {
			writeFileSync(path, `${process.pid} ${lifeOf(process.pid)}\n`, { flag: 'wx' });
			return () => rmSync(path, { force: true });
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || attempt === 1) throw error;
		}
		const holder = livingHolder(path);
		if (holder !== undefined && holder !== process.pid) {
			throw new InputError(`is being trained by process ${holder}`, {
				where: directory,
				expected: 'a run that nobody is training',
				fix: `wait for it or stop it; if no training is running, delete ${path}`,
			});
		}
		rmSync(path, { force: true });
	}
}

/** Number of the process that holds the lock, if that very process still lives. */
function livingHolder(path: string): number | undefined {
	let content: string;
	try {
		content = readFileSync(path, 'utf8');
	} catch {
		// given back in this moment
		return undefined;
	}
	const [, number, life] = /^([1-9]\d{0,9}) (\S+)\s*$/.exec(content) ?? [];
	const pid = Number(number);
	return number !== undefined && lifeOf(pid) === life ? pid : undefined;
}

/**
 * What tells one life of a process number from the next: its start time on Linux, where the killed may also linger as
 * zombies; elsewhere only whether it lives.
 */
function lifeOf(pid: number): string | undefined {
	if (process.platform === 'linux') {
		try {
			// After the name in parentheses: the state is field 3, the start time field 22 of proc(5).
			const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
				.replace(/^.*\) /s, '')
				.split(' ');
			return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
		} catch {
			return undefined;
		}
	}
	try {
		process.kill(pid, 0);
		return 'alive';
	} catch (error) {
		// EPERM: it lives and belongs to somebody else
		return (error as NodeJS.ErrnoException).code === 'EPERM' ? 'alive' : undefined;
	}
}
