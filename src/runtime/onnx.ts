/** @file The ONNX wire format (onnx.proto): just the messages and fields we write, on a kept protobuf writer. */
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import type { DType, HostTensor } from '../base/host-tensor.ts';
import type { OnnxAttribute, OnnxAttributes } from '../graph/emitter.ts';
import { ONNX_DTYPE } from '../graph/ops/cast.ts';
import type { Shape } from '../graph/shape.ts';

/** Standard operator set the lowering is written for, and the version of Microsoft's contributed one. */
export const OPSETS: Readonly<Record<string, number>> = { '': 21, 'com.microsoft': 1 };
const IR_VERSION = 10;

export interface OnnxNode {
	readonly type: string;
	readonly name: string;
	readonly domain: string;
	readonly inputs: readonly string[];
	readonly outputs: readonly string[];
	readonly attributes: OnnxAttributes;
}

export interface OnnxValue {
	readonly name: string;
	readonly dtype: DType;
	readonly shape: Shape;
}

/** Where the bytes of a large initializer are when they are not in the model file. */
export interface ExternalLocation {
	readonly file: string;
	readonly offset: number;
	readonly length: number;
}

export interface OnnxInitializer {
	readonly name: string;
	readonly value: HostTensor;
	readonly external?: ExternalLocation;
}

export interface OnnxGraph {
	readonly name: string;
	readonly nodes: readonly OnnxNode[];
	readonly inputs: readonly OnnxValue[];
	readonly outputs: readonly OnnxValue[];
	readonly initializers: readonly OnnxInitializer[];
}

function message(writer: BinaryWriter, field: number, write: (inner: BinaryWriter) => void): void {
	writer.tag(field, WireType.LengthDelimited).fork();
	write(writer);
	writer.join();
}

function text(writer: BinaryWriter, field: number, value: string): void {
	writer.tag(field, WireType.LengthDelimited).string(value);
}

function integer(writer: BinaryWriter, field: number, value: number | bigint): void {
	writer.tag(field, WireType.Varint).int64(value);
}

/** Bytes of a typed array without a copy. */
export function rawBytes({ data }: HostTensor): Uint8Array {
	return new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);
}

function writeTensor(
	writer: BinaryWriter,
	{
		value,
		name,
		external,
	}: { readonly value: HostTensor; readonly name?: string; readonly external?: ExternalLocation },
): void {
	for (const size of value.dims) integer(writer, 1, size);
	integer(writer, 2, ONNX_DTYPE[value.dtype]);
	if (name !== undefined) text(writer, 8, name);
	if (external === undefined) {
		writer.tag(9, WireType.LengthDelimited).bytes(rawBytes(value));
		return;
	}
	for (const [key, entry] of [
		['location', external.file],
		['offset', `${external.offset}`],
		['length', `${external.length}`],
	] as const) {
		message(writer, 13, (inner) => {
			text(inner, 1, key);
			text(inner, 2, entry);
		});
	}
	integer(writer, 14, 1);
}

function writeAttribute(writer: BinaryWriter, name: string, value: OnnxAttribute): void {
	text(writer, 1, name);
	const kind = (type: number): void => integer(writer, 20, type);
	if (typeof value === 'number') {
		integer(writer, 3, value);
		kind(2);
	} else if (typeof value === 'string') {
		writer.tag(4, WireType.LengthDelimited).bytes(new TextEncoder().encode(value));
		kind(3);
	} else if ('float' in value) {
		writer.tag(2, WireType.Bit32).float(value.float);
		kind(1);
	} else if ('floats' in value) {
		for (const item of value.floats) writer.tag(7, WireType.Bit32).float(item);
		kind(6);
	} else if ('tensor' in value) {
		message(writer, 5, (inner) => writeTensor(inner, { value: value.tensor }));
		kind(4);
	} else if ('subgraph' in value) {
		writer.tag(6, WireType.LengthDelimited).bytes(value.subgraph.bytes);
		kind(5);
	} else {
		for (const item of value) integer(writer, 8, item);
		kind(7);
	}
}

function writeNode(writer: BinaryWriter, node: OnnxNode): void {
	for (const name of node.inputs) text(writer, 1, name);
	for (const name of node.outputs) text(writer, 2, name);
	text(writer, 3, node.name);
	text(writer, 4, node.type);
	for (const [name, value] of Object.entries(node.attributes)) {
		message(writer, 5, (inner) => writeAttribute(inner, name, value));
	}
	if (node.domain !== '') text(writer, 7, node.domain);
}

function writeValue(writer: BinaryWriter, { name, dtype, shape }: OnnxValue): void {
	text(writer, 1, name);
	message(writer, 2, (type) =>
		message(type, 1, (tensor) => {
			integer(tensor, 1, ONNX_DTYPE[dtype]);
			message(tensor, 2, (dims) => {
				for (const size of shape) {
					message(dims, 1, (entry) => {
						if (typeof size === 'number') integer(entry, 1, size);
						else text(entry, 2, size.key);
					});
				}
			});
		}),
	);
}

function writeGraph(writer: BinaryWriter, graph: OnnxGraph): void {
	for (const node of graph.nodes) message(writer, 1, (inner) => writeNode(inner, node));
	text(writer, 2, graph.name);
	for (const initializer of graph.initializers) message(writer, 5, (inner) => writeTensor(inner, initializer));
	for (const value of graph.inputs) message(writer, 11, (inner) => writeValue(inner, value));
	for (const value of graph.outputs) message(writer, 12, (inner) => writeValue(inner, value));
}

/** A GraphProto, for the body of a loop. */
export function encodeGraph(graph: OnnxGraph): Uint8Array {
	const writer = new BinaryWriter();
	writeGraph(writer, graph);
	return writer.finish();
}

/** A ModelProto: what goes into an .onnx file. */
export function encodeModel(graph: OnnxGraph, metadata: Readonly<Record<string, string>> = {}): Uint8Array {
	const writer = new BinaryWriter();
	integer(writer, 1, IR_VERSION);
	text(writer, 2, 'modelsmith');
	message(writer, 7, (inner) => writeGraph(inner, graph));
	for (const [domain, version] of Object.entries(OPSETS)) {
		message(writer, 8, (inner) => {
			text(inner, 1, domain);
			integer(inner, 2, version);
		});
	}
	for (const [key, value] of Object.entries(metadata)) {
		message(writer, 14, (inner) => {
			text(inner, 1, key);
			text(inner, 2, value);
		});
	}
	return writer.finish();
}
