/** @file The Python that the suite compares with: `MODELSMITH_PYTHON`, or what scripts/referees.sh installed. */
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** The interpreter to try. */
export const python = process.env.MODELSMITH_PYTHON ?? join(root, '.venv/bin/python');

/** For `test(..., { skip })`: false where all modules are there, else the reason. */
export function skipWithout(...modules: readonly string[]): false | string {
	const works = spawnSync(python, ['-c', `import ${modules.join(', ')}`]).status === 0;
	return works ? false : `${python} with ${modules.join(' and ')} is not here (scripts/referees.sh)`;
}
