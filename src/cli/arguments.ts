/** @file Typed values of flags. The messages are completed by commander with the name of the flag. */
import { InvalidArgumentError } from 'commander';

/** A whole number in a range. */
export function integer(minimum: number, maximum = Number.MAX_SAFE_INTEGER): (text: string) => number {
	return (text) => {
		const value = Number(text);
		if (text.trim() === '' || !Number.isSafeInteger(value) || value < minimum || value > maximum) {
			const range = maximum === Number.MAX_SAFE_INTEGER ? `of at least ${minimum}` : `from ${minimum} to ${maximum}`;
			throw new InvalidArgumentError(`Expected a whole number ${range}.`);
		}
		return value;
	};
}

/** A number in a range. */
export function decimal(minimum: number, maximum = Number.POSITIVE_INFINITY): (text: string) => number {
	return (text) => {
		const value = Number(text);
		if (text.trim() === '' || !Number.isFinite(value) || value < minimum || value > maximum) {
			const range = maximum === Number.POSITIVE_INFINITY ? `of at least ${minimum}` : `from ${minimum} to ${maximum}`;
			throw new InvalidArgumentError(`Expected a number ${range}.`);
		}
		return value;
	};
}

/** Text of at least one character. */
export function text(value: string): string {
	if (value === '') throw new InvalidArgumentError('Expected some text.');
	return value;
}

/** Collects a flag that may be given several times. */
export function repeated<T>(read: (text: string) => T): (text: string, previous: readonly T[] | undefined) => T[] {
	return (value, previous) => [...(previous ?? []), read(value)];
}

/** The devices of --device; kept here so that help does not load the engine. */
export const DEVICE_CHOICES = ['cpu', 'webgpu', 'cuda'] as const;
