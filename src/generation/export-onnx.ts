/** @file A trained model as an ONNX file that any ONNX Runtime runs: Node, Python, browser. */
import { join } from 'node:path';
import { writeFileAtomic } from '../base/files.ts';
import type { HostTensor } from '../base/host-tensor.ts';
import { cast } from '../graph/ops/cast.ts';
import { input } from '../graph/ops/source.ts';
import { dim } from '../graph/shape.ts';
import type { CausalLanguageModel } from '../models/language-model.ts';
import { lower } from '../runtime/lower.ts';
import { type ExternalLocation, encodeModel, rawBytes } from '../runtime/onnx.ts';
import { graphOf } from '../runtime/program.ts';

/** Protobuf files end at 2 GiB: larger weights go into a file beside the model. */
const EMBEDDED_BYTES = 1.5 * 2 ** 30;
const SMALL_BYTES = 1024;
const DATA_FILE = 'model.onnx.data';

export interface ExportedOnnx {
	readonly files: readonly string[];
	readonly inputs: readonly string[];
	readonly outputs: readonly string[];
}

/**
 * Writes model.onnx: `input_ids` int64 [batch, time] -> `logits` float32 [batch, time, vocab].
 * @param weights by graph input name
 * @param embedLimit bytes of weights up to which they are in the same file
 */
export function exportOnnx(
	model: CausalLanguageModel,
	weights: ReadonlyMap<string, HostTensor>,
	directory: string,
	embedLimit = EMBEDDED_BYTES,
): ExportedOnnx {
	const ids = input('input_ids', 'int64', [dim('batch'), dim('time')]);
	const { hidden } = model.hiddenStates({ tokens: cast(ids, 'int32') }, { training: false });
	const { onnx, inputs, outputs } = lower(graphOf({ logits: model.logits(hidden) }), {
		bound: weights,
		standardOnly: true,
	});
	const sizes = onnx.initializers.map(({ value }) => value.data.byteLength);
	const path = join(directory, 'model.onnx');
	const metadata = { producer: 'modelsmith', task: 'text-generation' };
	const names = { inputs: inputs.map(({ name }) => name), outputs: outputs.map(({ name }) => name) };
	if (sizes.reduce((total, size) => total + size, 0) <= embedLimit) {
		writeFileAtomic(path, encodeModel(onnx, metadata));
		return { files: ['model.onnx'], ...names };
	}
	let offset = 0;
	const parts: Uint8Array[] = [];
	const initializers = onnx.initializers.map((initializer) => {
		const bytes = rawBytes(initializer.value);
		// shapes and other small constants are read while the graph is checked, before data files are opened
		if (bytes.byteLength < SMALL_BYTES) return initializer;
		const external: ExternalLocation = { file: DATA_FILE, offset, length: bytes.byteLength };
		parts.push(bytes);
		offset += bytes.byteLength;
		return { ...initializer, external };
	});
	// The data first: a model file that is there always finds it.
	writeFileAtomic(join(directory, DATA_FILE), parts);
	writeFileAtomic(path, encodeModel({ ...onnx, initializers }, metadata));
	return { files: ['model.onnx', DATA_FILE], ...names };
}
