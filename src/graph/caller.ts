/** @file The line of the user's program that builds a graph, for error messages. */
import { fileURLToPath } from 'node:url';

const graphRoom = fileURLToPath(new URL('.', import.meta.url));

/** The first stack frame outside this room: the line of the model that built the graph. */
export function callerLine(): string {
	const frames = new Error().stack?.split('\n') ?? [];
	for (const frame of frames.slice(1)) {
		const match = /\(?((?:file:\/\/)?[^\s()]+):(\d+):(\d+)\)?$/.exec(frame.trim());
		if (match === null) continue;
		const file = (match[1] as string).startsWith('file://') ? fileURLToPath(match[1] as string) : (match[1] as string);
		if (file.startsWith('node:') || (file.startsWith(graphRoom) && !file.endsWith('.test.ts'))) continue;
		return ` (at ${file}:${match[2]})`;
	}
	return '';
}
