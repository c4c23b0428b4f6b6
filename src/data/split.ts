/** @file Which documents are for training and which for validation, decided by their content alone. */
import { createHash } from 'node:crypto';
import { deriveSeed, randomBits } from '../base/random.ts';

export const SPLITS = ['train', 'validation'] as const;
export type Split = (typeof SPLITS)[number];

/**
 * A number in [0, 1) that depends on the seed and the beginning of the document only: not on its name, its place or
 * other documents. Exact copies of a document therefore never end up on both sides.
 * @param text the document, or its first piece when it is long
 */
export function splitPosition(text: string, seed: number): number {
	const digest = createHash('sha256').update(text).digest();
	return randomBits(deriveSeed(seed, 'split'), digest.readUInt32LE(0)) / 2 ** 32;
}

/** Below the fraction is validation. */
export function splitAt(position: number, validationFraction: number): Split {
	return position < validationFraction ? 'validation' : 'train';
}

/**
 * Notices when one side stayed empty and says which document to move there: the one nearest to the border.
 * With fewer than two documents there is nothing to move.
 */
export class SplitBalance {
	readonly #fraction: number;
	#documents = 0;
	#validation = 0;
	#lowest = { position: Number.POSITIVE_INFINITY, document: -1 };
	#highest = { position: Number.NEGATIVE_INFINITY, document: -1 };

	constructor(validationFraction: number) {
		this.#fraction = validationFraction;
	}

	/** Takes note of the next document. */
	add(position: number): void {
		const document = this.#documents++;
		if (splitAt(position, this.#fraction) === 'validation') this.#validation++;
		if (position < this.#lowest.position) this.#lowest = { position, document };
		if (position > this.#highest.position) this.#highest = { position, document };
	}

	/** The number of the document to move to the other side, if one side would be empty otherwise. */
	moved(): number | undefined {
		if (this.#fraction === 0 || this.#documents < 2) return undefined;
		if (this.#validation === 0) return this.#lowest.document;
		return this.#validation === this.#documents ? this.#highest.document : undefined;
	}
}
