/** @file Runs the command line inside the test process with captured output. */
import { PassThrough } from 'node:stream';
import { main } from '../../src/cli/main.ts';

export interface CliRun {
	readonly code: number;
	readonly stdout: string;
	readonly stderr: string;
}

export interface Surroundings {
	readonly isTTY?: boolean;
	readonly env?: Readonly<Record<string, string>>;
	/** What is typed. */
	readonly input?: string;
}

function runner({ isTTY = false, env = {}, input = '' }: Surroundings) {
	return async (...args: string[]): Promise<CliRun> => {
		let stdout = '';
		let stderr = '';
		const stdin = new PassThrough();
		stdin.end(input);
		const code = await main(args, {
			stdout: { write: (text) => (stdout += text), isTTY, columns: 100 },
			stderr: { write: (text) => (stderr += text), isTTY, columns: 100 },
			stdin,
			env,
		});
		return { code, stdout, stderr };
	};
}

/** `runCli('train', 'config.yaml')`; `runCli.with({ isTTY: true })(...)` for other surroundings. */
export const runCli = Object.assign(runner({}), { with: runner });
