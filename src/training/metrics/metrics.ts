/** @file What is measured at every step and at every validation, and the numbers derived from it. */

/** A line of metrics.jsonl for one step. The first group is the same in every run; the second depends on the machine. */
export interface StepMetrics {
	readonly step: number;
	/** Mean over the labels of the step of what is minimised. */
	readonly loss: number;
	/** Mean negative log-likelihood in nats, where the loss has more to it. */
	readonly likelihood?: number;
	readonly perplexity: number;
	/** Where the number of bytes a token stands for is known. */
	readonly bitsPerByte?: number;
	/** Before clipping. */
	readonly gradientNorm: number;
	readonly learningRate: number;
	/** Tokens seen since the beginning of the run. */
	readonly tokens: number;
	/** Passes over the data. */
	readonly epoch?: number;
	/** With mixed precision. */
	readonly lossScale?: number;

	/** Of this step alone. */
	readonly tokensPerSecond: number;
	/** Share of the measured speed of a large matrix product that went into the model's own operations. */
	readonly mfu?: number;
	/** Seconds of training since the beginning of the run, pauses between runs left out. */
	readonly seconds: number;
	/** Bytes of the whole process, and of its arrays. */
	readonly memory: { readonly rss: number; readonly arrays: number };
}

export interface ValidationMetrics {
	readonly step: number;
	readonly validation: {
		/** Mean negative log-likelihood of a token in nats. */
		readonly loss: number;
		readonly perplexity: number;
		readonly bitsPerByte?: number;
		/** Labels it is the mean over. */
		readonly labels: number;
		/** Lowest so far. */
		readonly best: boolean;
	};
}

/** Bits a byte of text from nats a token. */
export function bitsPerByte(loss: number, bytesPerToken: number | undefined): number | undefined {
	return bytesPerToken === undefined || bytesPerToken <= 0 ? undefined : loss / Math.LN2 / bytesPerToken;
}

/** A backward pass costs about twice the forward pass. */
export const TRAINING_TO_FORWARD = 3;

/** Model operations a second over the peak. */
export function utilization(tokensPerSecond: number, forwardFlopsPerToken: number, peak: number): number {
	return (tokensPerSecond * TRAINING_TO_FORWARD * forwardFlopsPerToken) / peak;
}
