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
			writeFileSync(path, `${process.pid}\n`, { flag: 'wx' });
			return () => rmSync(path, { force: true });
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || attempt === 1) throw error;
		}
		const holder = holderOf(path);
		if (holder !== undefined && holder !== process.pid && isAlive(holder)) {
			throw new InputError(`is being trained by process ${holder}`, {
				where: directory,
				expected: 'a run that nobody is training',
				fix: `wait for it or stop it; if no training is running, delete ${path}`,
			});
		}
		rmSync(path, { force: true });
	}
}

function holderOf(path: string): number | undefined {
	try {
		const pid = Number.parseInt(readFileSync(path, 'utf8'), 10);
		return Number.isSafeInteger(pid) && pid > 0 ? pid : undefined;
	} catch {
		// given back in this moment
		return undefined;
	}
}

function isAlive(pid: number): boolean {
	try {
		process.kill(pid, 0);
		return true;
	} catch (error) {
		// EPERM: it lives and belongs to somebody else
		return (error as NodeJS.ErrnoException).code === 'EPERM';
	}
}
