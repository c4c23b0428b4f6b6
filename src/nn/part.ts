/**
 * @file Families of exchangeable parts (norms, mixers, feed-forwards ...). A part is one object: a `kind`, a zod schema of
 * its settings and a builder. Adding one is adding a file that registers it; nothing else changes.
 */
import { z } from 'zod';
import { ConfigError } from '../base/errors.ts';

/** Settings of a part: its kind and what the kind's schema allows. */
export type PartConfig = { readonly kind: string; readonly [key: string]: unknown };

/** One kind of a family. */
export interface PartDefinition<Schema extends z.ZodType, Args extends readonly unknown[], Built> {
	/** Object schema whose key `kind` is a literal. */
	readonly schema: Schema;
	readonly build: (config: z.output<Schema>, ...args: Args) => Built;
}

/** All parts that can stand in one place of a model. */
export class PartFamily<Args extends readonly unknown[], Built> {
	readonly name: string;
	/** Schema of any registered part; resolved when a config is first read, after all parts are registered. */
	readonly schema: z.ZodType<PartConfig, PartConfig>;
	private readonly parts = new Map<string, PartDefinition<z.ZodType, Args, Built>>();
	private closed = false;

	constructor(name: string) {
		this.name = name;
		this.schema = z.lazy(() => {
			this.closed = true;
			const options = [...this.parts.values()].map(({ schema }) => schema);
			return z.discriminatedUnion('kind', options as unknown as [z.ZodObject]);
		}) as unknown as z.ZodType<PartConfig, PartConfig>;
	}

	get kinds(): string[] {
		return [...this.parts.keys()];
	}

	/** Adds a kind. Call it at the top level of the part's file, before any config is read. */
	register<Schema extends z.ZodObject<{ kind: z.ZodLiteral<string> }, z.core.$strict>>(
		part: PartDefinition<Schema, Args, Built>,
	): void {
		const kind = part.schema.shape.kind.value;
		if (this.parts.has(kind)) throw new Error(`${this.name} "${kind}" is registered twice`);
		if (this.closed) {
			throw new Error(`${this.name} "${kind}" is registered after the first config was read; import its file earlier`);
		}
		this.parts.set(kind, part as unknown as PartDefinition<z.ZodType, Args, Built>);
	}

	/** Builds a part from settings that `schema` has accepted. @throws ConfigError for an unknown kind */
	build(config: PartConfig, ...args: Args): Built {
		const part = this.parts.get(config.kind);
		if (part === undefined) {
			throw new ConfigError(`there is no ${this.name} of kind "${config.kind}"`, { expected: this.kinds.join(', ') });
		}
		return part.build(config, ...args);
	}
}
