/** @file Errors as plain data, for messages between threads: the receiver gets the same class, message and details. */
import {
	ConfigError,
	DeviceError,
	type ErrorDetails,
	FormatError,
	InputError,
	InterruptedError,
	ModelsmithError,
	NumericsError,
	ShapeError,
} from './errors.ts';

export interface ErrorMessage {
	readonly name: string;
	readonly message: string;
	readonly stack?: string | undefined;
	/** Of a ModelsmithError. */
	readonly details?: ErrorDetails;
}

const CLASSES = {
	ConfigError,
	DeviceError,
	FormatError,
	InputError,
	InterruptedError,
	ModelsmithError,
	NumericsError,
	ShapeError,
};

export function packError(error: unknown): ErrorMessage {
	if (!(error instanceof Error)) return { name: 'Error', message: String(error) };
	const { name, message, stack } = error;
	if (!(error instanceof ModelsmithError)) return { name, message, stack };
	// A cause may hold what cannot be sent; its message is what helps.
	const { cause, ...details } = error.details;
	return { name, message, stack, details: { ...details, ...(cause !== undefined && { cause: String(cause) }) } };
}

/** The error as it was in the other thread. */
export function unpackError({ name, message, stack, details }: ErrorMessage): Error {
	const Class = Object.hasOwn(CLASSES, name) ? CLASSES[name as keyof typeof CLASSES] : ModelsmithError;
	const error = details === undefined ? new Error('') : new Class('');
	// The message already contains the details; the constructor would add them again.
	error.message = message;
	if (stack !== undefined) error.stack = stack;
	if (error instanceof ModelsmithError) Object.defineProperty(error, 'details', { value: details, enumerable: true });
	return error;
}
