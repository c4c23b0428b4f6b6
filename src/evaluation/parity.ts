/** @file `modelsmith parity DIR`: runs golden cases, numbers of official implementations, against our modules. */
import { findCases, loadCase } from './parity/golden-case.ts';
import './parity/kinds.ts';
import { type ParityOptions, parityKind } from './parity/parity-kind.ts';
import { runCase, unsupportedOption } from './parity/run-case.ts';

export interface ParityCaseResult {
	readonly case: string;
	/** Path below the directory, without extension. */
	readonly path: string;
	readonly kind: string;
	/** Absent where the case could not be run. */
	readonly maxAbsError?: number;
	readonly maxRelError?: number;
	readonly pass: boolean;
	/** The kind, and in parentheses the option of it, that is not implemented yet; such a case did not run. */
	readonly unknown?: string;
	/** First element out of tolerance, or why the case could not be run. */
	readonly error?: string;
}

export interface ParityReport {
	readonly cases: readonly ParityCaseResult[];
	readonly passed: number;
	readonly failed: number;
	/** Cases that were not run because their kind or option is not known yet. */
	readonly unknown: number;
	/** Those kinds, each once, sorted. */
	readonly unknownKinds: readonly string[];
}

export interface RunParityOptions extends Partial<ParityOptions> {
	/** Gets one line a case. */
	readonly log?: (line: string) => void;
}

/**
 * Runs every case below `directory`.
 * @throws InputError when the directory or a case file is missing, FormatError when one is damaged
 */
export async function runParity(directory: string, options: RunParityOptions = {}): Promise<ParityReport> {
	const { log = () => {}, layerMode = 'unroll' } = options;
	const cases: ParityCaseResult[] = [];
	for (const described of findCases(directory)) {
		const golden = loadCase(described);
		const { kind, path } = golden;
		const identity = { case: golden.case, path, kind };
		const known = parityKind(kind);
		let result: ParityCaseResult;
		try {
			const option = known && unsupportedOption(known, golden);
			if (known === undefined || option !== undefined) {
				result = { ...identity, pass: false, unknown: option === undefined ? kind : `${kind} (${option})` };
			} else result = { ...identity, ...(await runCase(known, golden, { layerMode })) };
		} catch (error) {
			// The engine's own errors (an index out of range, say) are findings about the case too.
			result = { ...identity, pass: false, error: String((error as Error).message).replaceAll(/\s*\n\s*/g, '; ') };
		}
		log(formatResult(result));
		cases.push(result);
	}
	const unknownKinds = [...new Set(cases.flatMap(({ unknown }) => (unknown === undefined ? [] : [unknown])))].sort();
	const unknown = cases.filter((result) => result.unknown !== undefined).length;
	const passed = cases.filter(({ pass }) => pass).length;
	return { cases, passed, failed: cases.length - passed - unknown, unknown, unknownKinds };
}

function formatResult({
	path,
	kind,
	pass,
	unknown,
	error,
	maxAbsError = 0,
	maxRelError = 0,
}: ParityCaseResult): string {
	if (unknown !== undefined) return `unknown  ${path}  ${unknown}`;
	const figures = `abs ${maxAbsError.toExponential(1)} rel ${maxRelError.toExponential(1)}`;
	return pass ? `pass     ${path}  ${kind}  ${figures}` : `FAIL     ${path}  ${kind}  ${error ?? figures}`;
}
