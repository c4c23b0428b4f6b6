/** @file What the main thread and a session worker tell each other. */
import type { ErrorMessage } from '../base/error-transfer.ts';
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
	| { readonly id: number; readonly error: ErrorMessage };

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
