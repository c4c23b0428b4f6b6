/** @file Comparing our numbers with expected ones, element by element. */
import type { HostTensor } from '../../base/host-tensor.ts';

export interface Comparison {
	readonly maxAbsError: number;
	/** Largest deviation relative to the expected value, where that is above the absolute tolerance. */
	readonly maxRelError: number;
	readonly pass: boolean;
	/** What is wrong, for a person. */
	readonly error?: string;
}

/** Floats pass within |ours - theirs| <= abs + rel * |theirs|; integers must be equal; NaN never passes. */
export function compareTensors(
	name: string,
	ours: HostTensor,
	theirs: HostTensor,
	tolerance: { readonly abs: number; readonly rel: number },
): Comparison {
	if (ours.dims.join() !== theirs.dims.join()) {
		const error = `${name}: shape [${ours.dims.join(', ')}], expected [${theirs.dims.join(', ')}]`;
		return { maxAbsError: Number.POSITIVE_INFINITY, maxRelError: Number.POSITIVE_INFINITY, pass: false, error };
	}
	const exact = theirs.dtype !== 'float32';
	const { abs, rel } = exact ? { abs: 0, rel: 0 } : tolerance;
	let [maxAbsError, maxRelError] = [0, 0];
	let error: string | undefined;
	for (let i = 0; i < theirs.data.length; i++) {
		const [mine, expected] = [Number(ours.data[i]), Number(theirs.data[i])];
		const same = Object.is(mine, expected) || mine === expected;
		const off = same ? 0 : Math.abs(mine - expected);
		const deviation = Number.isNaN(off) ? Number.POSITIVE_INFINITY : off;
		maxAbsError = Math.max(maxAbsError, deviation);
		if (Math.abs(expected) > abs) maxRelError = Math.max(maxRelError, deviation / Math.abs(expected));
		if (!(deviation <= abs + rel * Math.abs(expected))) error ??= `${name}[${i}] is ${mine}, expected ${expected}`;
	}
	return { maxAbsError, maxRelError, pass: error === undefined, ...(error !== undefined && { error }) };
}
