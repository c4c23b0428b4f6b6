/** @file What a model consists of: one row a parameter, totals, and floating-point operations per token. */
import { elementCount } from '../base/host-tensor.ts';
import { fullShape, type ParameterRole, type ParameterSpec } from '../nn/parameters.ts';
import type { Model } from './model.ts';

/** One parameter, or the parameters of equal layers together. */
export interface SummaryRow {
	/** Dotted name; `*` stands for the layer number. */
	readonly name: string;
	/** Shape in one layer. */
	readonly shape: readonly number[];
	/** How many layers have it. */
	readonly count: number;
	/** Numbers in all of them. */
	readonly parameters: number;
	readonly role: ParameterRole;
	readonly trainable: boolean;
}

export interface ModelSummary {
	readonly architecture: Model['config']['architecture'];
	readonly rows: readonly SummaryRow[];
	readonly parameters: number;
	readonly trainableParameters: number;
	/** Without token and position tables and the output layer: the number scaling laws speak of. */
	readonly nonEmbeddingParameters: number;
	/** Bytes of the weights in float32. */
	readonly bytes: number;
	/** Multiply-add counts as 2. */
	readonly forwardFlopsPerToken: number;
	/** Forward and backward pass: three times the forward pass. */
	readonly trainingFlopsPerToken: number;
	/** Text length for which operations are counted. */
	readonly contextLength: number;
}

/** Parameters of equal layers are one row, whether the layers run as a loop or not. */
export function modelSummary(model: Model, contextLength = defaultContext(model)): ModelSummary {
	const rows: SummaryRow[] = [];
	const byKey = new Map<string, number>();
	for (const spec of model.parameters.all) {
		const row = rowOf(spec);
		const key = `${row.name} ${row.shape.join()} ${row.trainable}`;
		const at = byKey.get(key);
		if (at === undefined) {
			byKey.set(key, rows.length);
			rows.push(row);
		} else {
			const known = rows[at] as SummaryRow;
			rows[at] = { ...known, count: known.count + row.count, parameters: known.parameters + row.parameters };
		}
	}
	const total = (wanted: (row: SummaryRow) => boolean): number =>
		rows.filter(wanted).reduce((sum, row) => sum + row.parameters, 0);
	const forward = forwardFlops(model, contextLength);
	return {
		architecture: model.config.architecture,
		rows,
		parameters: total(() => true),
		trainableParameters: total(({ trainable }) => trainable),
		nonEmbeddingParameters: total(({ role }) => role !== 'embedding' && role !== 'output'),
		bytes: 4 * total(() => true),
		forwardFlopsPerToken: forward,
		trainingFlopsPerToken: 3 * forward,
		contextLength,
	};
}

function rowOf(spec: ParameterSpec): SummaryRow {
	return {
		name: spec.name.replace(/(^|\.)layers\.\d+\./, '$1layers.*.'),
		shape: spec.shape,
		count: spec.stacked ?? 1,
		parameters: elementCount(fullShape(spec)),
		role: spec.role,
		trainable: spec.trainable,
	};
}

function defaultContext({ config }: Model): number {
	return config.architecture === 'encoder-decoder' ? config.decoder.maxLength : config.maxLength;
}

/** For an encoder-decoder: one source and one target token together, both texts of the given length. */
function forwardFlops(model: Model, contextLength: number): number {
	if (model.kind !== 'encoder-decoder') return model.forwardFlopsPerToken(contextLength);
	const { source, target } = model.forwardFlopsPerToken(contextLength, contextLength);
	return source + target;
}

/** The summary as lines of text, ready to print. */
export function formatSummary(summary: ModelSummary): string {
	const number = (value: number): string => value.toLocaleString('en-US');
	const table = summary.rows.map(({ name, shape, count, parameters }) => [
		name,
		`[${shape.join(', ')}]`,
		count === 1 ? '' : `x ${count}`,
		number(parameters),
	]);
	const widths = [0, 1, 2, 3].map((column) => Math.max(0, ...table.map((row) => (row[column] as string).length)));
	const lines = table.map((row) =>
		row
			.map((cell, column) => (column === 3 ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0)))
			.join('  '),
	);
	return [
		...lines,
		`parameters               ${number(summary.parameters)} (${number(summary.nonEmbeddingParameters)} without embeddings and output)`,
		`trainable                ${number(summary.trainableParameters)}`,
		`weights                  ${(summary.bytes / 2 ** 20).toFixed(1)} MiB`,
		`FLOPs per token, forward ${number(summary.forwardFlopsPerToken)} at ${number(summary.contextLength)} tokens`,
		`FLOPs per token, train   ${number(summary.trainingFlopsPerToken)}`,
	].join('\n');
}
