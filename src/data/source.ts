/** @file What a source of documents is. Each source is one file in sources/; source-registry.ts lists them. */
import type { z } from 'zod';
import type { InputError } from '../base/errors.ts';

/** A document, or a piece of one that is too long to be one string. */
export interface Document {
	/** Names the document for people: its file, its line or its number. The same for all pieces of a document. */
	readonly id: string;
	readonly text: string;
	/** True when the next item continues this document. */
	readonly partial?: boolean;
}

/** A file a source reads, as it was when it was looked at: what a cache needs to know whether it is still valid. */
export interface SourceFile {
	readonly path: string;
	/** Path as documents name it: relative to the directory of the configuration. */
	readonly id: string;
	readonly byteLength: number;
	readonly modifiedMs: number;
}

export interface ReadOptions {
	/** Told about bytes of input as they are read, for progress. They add up to the sizes of the files. */
	readonly onBytes?: (bytes: number) => void;
	/** Told about every record that was skipped because the source's `onError` is "skip". */
	readonly onSkip?: (reason: InputError) => void;
}

/** Documents in a fixed order. */
export interface DataSource {
	readonly kind: string;
	/** @throws InputError when there is nothing to read */
	files(): Promise<readonly SourceFile[]>;
	/**
	 * The documents, in the same order every time; memory is bounded by the largest record, not by the input.
	 * @throws InputError for unreadable or malformed input
	 */
	documents(options?: ReadOptions): AsyncIterable<Document>;
}

/** Where relative paths in a configuration start. */
export interface SourceContext {
	readonly directory: string;
}

/** One kind of source: its configuration schema (with a literal `kind`) and how to make it. */
export interface SourceKind<Schema extends z.ZodObject = z.ZodObject> {
	readonly kind: string;
	readonly schema: Schema;
	open(config: z.output<Schema>, context: SourceContext): DataSource;
}

/** Lets TypeScript infer the configuration type from the schema. */
export function defineSource<Schema extends z.ZodObject>(kind: SourceKind<Schema>): SourceKind<Schema> {
	return kind;
}
