/** @file What the main thread and a session worker tell each other. */
import {
	ConfigError,
	DeviceError,
	type ErrorDetails,
	InputError,
	InterruptedError,
	ModelsmithError,
	NumericsError,
	ShapeError,
} from '../base/errors.ts';
import type { DecoderPlan } from './decoder-plan.ts';
import type { DecoderSession, SessionSettings } from './decoder-session.ts';

/** Given to the worker when it starts. */
export interface WorkerStart {
	readonly plan: DecoderPlan;
	readonly settings: SessionSettings;
}

/** Calls that go to the worker; an abort signal becomes an AbortRequest. */
export type SessionMethod = 'open' | 'extend' | 'select' | 'close' | 'score' | 'dispose';

export interface CallRequest {
	readonly id: number;
	readonly method: SessionMethod;
	readonly args: readonly unknown[];
}

export interface AbortRequest {
	readonly abort: number;
}

export type Request = CallRequest | AbortRequest;

/** id 0 answers the start. */
export type Reply =
	| { readonly id: number; readonly result: unknown }
	| { readonly id: number; readonly error: SentError };

/** An error as plain data. */
export interface SentError {
	readonly name: string;
	readonly message: string;
	readonly details?: ErrorDetails;
}

const CLASSES = { ConfigError, DeviceError, InputError, InterruptedError, NumericsError, ShapeError } as const;

export function packError(error: unknown): SentError {
	if (!(error instanceof Error)) return { name: 'Error', message: String(error) };
	const { name, message } = error;
	if (!(error instanceof ModelsmithError)) return { name, message };
	// A cause may hold what cannot be sent; its message is what helps.
	const { cause, ...details } = error.details;
	return { name, message, details: { ...details, ...(cause !== undefined && { cause: String(cause) }) } };
}

/** The error again, of the same class where that is one of ours. */
export function unpackError({ name, message, details }: SentError): Error {
	const Class = CLASSES[name as keyof typeof CLASSES] ?? ModelsmithError;
	const error = new Class(message);
	// The message was already laid out with its details on the other side.
	return details === undefined ? error : Object.assign(error, { details });
}

/** Runs one request on a session. `signal` ends the calls that can be aborted. */
export function callSession(
	session: DecoderSession,
	{ method, args }: CallRequest,
	signal: AbortSignal,
): Promise<unknown> {
	switch (method) {
		case 'open':
			return session.open(...(args as Parameters<DecoderSession['open']>));
		case 'select':
			return session.select(...(args as Parameters<DecoderSession['select']>));
		case 'close':
			return session.close(...(args as Parameters<DecoderSession['close']>));
		case 'dispose':
			return session.dispose();
		case 'extend': {
			const [batch, tokens] = args as Parameters<DecoderSession['extend']>;
			return session.extend(batch, tokens, { signal });
		}
		case 'score': {
			const [rows] = args as Parameters<DecoderSession['score']>;
			return session.score(rows, { signal });
		}
	}
}
