/**
 * @file Just enough safetensors for the benchmark's own files: float32 and int32, whole files in memory. The boundary is
 * `writeSafetensors(path, entries)` and `readSafetensors(path)`, so that the project's reader can take its place.
 */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { FormatError } from '../../src/base/errors.ts';
import { writeFileAtomic } from '../../src/base/files.ts';
import { elementCount, type HostTensor, hostTensor } from '../../src/base/host-tensor.ts';

const KINDS = { float32: 'F32', int32: 'I32' } as const;

const headerSchema = z.record(
	z.string(),
	z.object({
		dtype: z.enum(['F32', 'I32']),
		shape: z.array(z.int().min(0)),
		data_offsets: z.tuple([z.int().min(0), z.int().min(0)]),
	}),
);

/** Writes named float32 or int32 tensors, atomically. */
export function writeSafetensors(path: string, entries: Iterable<readonly [string, HostTensor]>): void {
	const header: z.input<typeof headerSchema> = {};
	const parts: Uint8Array[] = [];
	let offset = 0;
	for (const [name, { dtype, dims, data }] of entries) {
		if (dtype !== 'float32' && dtype !== 'int32') throw new FormatError(`cannot store ${dtype}`, { where: name });
		header[name] = { dtype: KINDS[dtype], shape: [...dims], data_offsets: [offset, offset + data.byteLength] };
		parts.push(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
		offset += data.byteLength;
	}
	const json = Buffer.from(JSON.stringify(header));
	// Spaces up to a multiple of eight keep every tensor aligned, as the format asks.
	const padded = Buffer.concat([json, Buffer.alloc((8 - (json.length % 8)) % 8, ' ')]);
	const length = Buffer.alloc(8);
	length.writeBigUInt64LE(BigInt(padded.length));
	writeFileAtomic(path, [length, padded, ...parts]);
}

/** Reads a file written by `writeSafetensors`. */
export function readSafetensors(path: string): Map<string, HostTensor> {
	const file = readFileSync(path);
	const headerEnd = 8 + Number(file.readBigUInt64LE(0));
	const header = headerSchema.parse(JSON.parse(file.toString('utf8', 8, headerEnd)));
	const tensors = new Map<string, HostTensor>();
	for (const [name, { dtype, shape, data_offsets }] of Object.entries(header)) {
		// A copy: typed arrays need their own alignment, and the file buffer can then be freed.
		const bytes = file.buffer.slice(
			file.byteOffset + headerEnd + data_offsets[0],
			file.byteOffset + headerEnd + data_offsets[1],
		);
		if (bytes.byteLength !== 4 * elementCount(shape))
			throw new FormatError('has the wrong size', { where: `${path}: ${name}` });
		tensors.set(
			name,
			dtype === 'F32'
				? hostTensor('float32', shape, new Float32Array(bytes))
				: hostTensor('int32', shape, new Int32Array(bytes)),
		);
	}
	return tensors;
}
