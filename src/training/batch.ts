/** @file What the trainer needs of its data, whoever provides it, and how a batch becomes graph inputs. */
import type { HostTensor } from '../base/host-tensor.ts';
import { input } from '../graph/ops/source.ts';
import type { LabeledInputs } from './objective.ts';

/** Rows of text side by side; every array is [batch, time], row-major. */
export interface Batch {
	readonly dims: readonly [batch: number, time: number];
	readonly tokens: Int32Array;
	/** Already shifted; negative where there is no target. */
	readonly labels: Int32Array;
	readonly segmentIds?: Int32Array;
	readonly positions?: Int32Array;
	/** Labels that are not negative. */
	readonly targetCount: number;
}

/** An endless source of training batches whose place can be saved. */
export interface TrainingBatches {
	next(): Batch;
	/** Plain JSON. */
	state(): unknown;
	restore(state: unknown): void;
	/** Passes over the data so far, with the fraction of the current one. */
	readonly epoch?: number;
}

export interface BatchShape {
	readonly batchSize: number;
	/** Tokens of a row. */
	readonly time: number;
	/** Whether batches carry document numbers and positions. */
	readonly segmented: boolean;
}

/** Graph inputs for batches of one shape. */
export function batchInputs({ batchSize, time, segmented }: BatchShape): LabeledInputs {
	const make = (name: string) => input(name, 'int32', [batchSize, time]);
	const plain = { tokens: make('tokens'), labels: make('labels') };
	return segmented ? { ...plain, segmentIds: make('segmentIds'), positions: make('positions') } : plain;
}

/** The values of those inputs; arrays are handed over, not copied. */
export function batchFeeds({ dims, tokens, labels, segmentIds, positions }: Batch): Record<string, HostTensor> {
	const tensor = (data: Int32Array): HostTensor => ({ dtype: 'int32', dims, data });
	return {
		tokens: tensor(tokens),
		labels: tensor(labels),
		...(segmentIds !== undefined && { segmentIds: tensor(segmentIds) }),
		...(positions !== undefined && { positions: tensor(positions) }),
	};
}
