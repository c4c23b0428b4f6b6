/**
 * @file Reading and writing safetensors files: lazily, tensor by tensor, with positioned reads (files of any size) and
 * atomic writes. The header is checked in safetensors-header.ts.
 */
import { createHash } from 'node:crypto';
import { closeSync, fstatSync, openSync, readSync, statSync } from 'node:fs';
import { FormatError, InputError, ShapeError } from '../base/errors.ts';
import { unreadable, writeAtomically, writeFully } from '../base/files.ts';
import {
	allocate,
	bytesPerElement,
	type DType,
	elementCount,
	fromFloat16Bits,
	type HostTensor,
} from '../base/host-tensor.ts';
import {
	MAX_HEADER_BYTES,
	METADATA_KEY,
	parseHeader,
	parseHeaderLength,
	type SafetensorsDType,
	type SafetensorsHeader,
	type TensorEntry,
	tensorAt,
} from './safetensors-header.ts';

export type { SafetensorsDType } from './safetensors-header.ts';

const WRITTEN_AS: Readonly<Record<DType, SafetensorsDType>> = {
	float32: 'F32',
	float16: 'F16',
	int64: 'I64',
	int32: 'I32',
	bool: 'BOOL',
	uint8: 'U8',
	int8: 'I8',
};

const READ_AS: Partial<Readonly<Record<SafetensorsDType, DType>>> = {
	F32: 'float32',
	F16: 'float32',
	BF16: 'float32',
	F64: 'float32',
	I64: 'int64',
	I32: 'int32',
	U8: 'uint8',
	I8: 'int8',
	BOOL: 'bool',
};

/** Bytes read, converted, hashed or written at a time; a multiple of every element size. */
const PIECE = 8 << 20;

/** What a file says about one tensor. */
export interface SafetensorsInfo {
	readonly dtype: SafetensorsDType;
	readonly dims: readonly number[];
	readonly byteLength: number;
}

export interface ReadTensorOptions {
	/** Give F16 tensors as float16 (bits in a Uint16Array) instead of widening them to float32. Default false. */
	readonly keepFloat16?: boolean;
}

/** A tensor whose values are made when it is their turn to be written. */
export interface DeferredTensor {
	readonly dtype: DType;
	readonly dims: readonly number[];
	/** Called once, in file order. The result must have the dtype and dims announced. */
	readonly load: () => HostTensor;
}

export interface WrittenFile {
	/** SHA-256 of the whole file in hexadecimal. */
	readonly sha256: string;
	readonly byteLength: number;
}

/**
 * Writes tensors to a safetensors file, atomically. The order in the file is by element size (largest first, which
 * keeps every tensor aligned), then name, so equal content gives equal bytes. Data is written from the tensors' own
 * memory; with `DeferredTensor` values only one tensor needs to exist at a time.
 * @param metadata strings kept in the header under `__metadata__`
 * @throws InputError for a name given twice or reserved, ShapeError when data does not fill its dims
 */
export function writeSafetensors(
	path: string,
	tensors: Iterable<readonly [string, HostTensor | DeferredTensor]>,
	metadata: Readonly<Record<string, string>> = {},
): WrittenFile {
	const entries = [...tensors].sort(
		([a, x], [b, y]) => bytesPerElement(y.dtype) - bytesPerElement(x.dtype) || (a < b ? -1 : a > b ? 1 : 0),
	);
	const header = encodeHeader(path, entries, metadata);
	return writeAtomically(path, (handle) => {
		const hash = createHash('sha256');
		let byteLength = 0;
		const write = (bytes: Uint8Array): void => {
			for (let start = 0; start < bytes.byteLength; start += PIECE) {
				const piece = bytes.subarray(start, start + PIECE);
				hash.update(piece);
				writeFully(handle, piece);
			}
			byteLength += bytes.byteLength;
		};
		write(header);
		for (const [name, announced] of entries) write(bytesOf(path, name, announced));
		return { sha256: hash.digest('hex'), byteLength };
	});
}

function encodeHeader(
	path: string,
	entries: readonly (readonly [string, HostTensor | DeferredTensor])[],
	metadata: Readonly<Record<string, string>>,
): Uint8Array {
	const fields: string[] = [];
	const sorted = Object.entries(metadata).sort(([a], [b]) => (a < b ? -1 : 1));
	if (sorted.length > 0) {
		const pairs = sorted.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(String(value))}`);
		fields.push(`"${METADATA_KEY}":{${pairs.join(',')}}`);
	}
	const seen = new Set<string>();
	let offset = 0;
	for (const [name, { dtype, dims }] of entries) {
		if (seen.has(name) || name === METADATA_KEY || !name.isWellFormed()) {
			throw new InputError(seen.has(name) ? 'is given twice' : 'cannot be a tensor name', {
				where: tensorAt(path, name),
			});
		}
		seen.add(name);
		const end = offset + elementCount(dims) * bytesPerElement(dtype);
		fields.push(
			`${JSON.stringify(name)}:${JSON.stringify({ dtype: WRITTEN_AS[dtype], shape: dims, data_offsets: [offset, end] })}`,
		);
		offset = end;
	}
	const json = Buffer.from(`{${fields.join(',')}}`);
	if (json.byteLength > MAX_HEADER_BYTES - 8) {
		throw new InputError('would need a header larger than the format allows', {
			where: path,
			expected: `at most ${MAX_HEADER_BYTES} bytes`,
			found: `${json.byteLength} bytes for ${entries.length} tensors`,
			fix: 'split the tensors over several files',
		});
	}
	const padded = Math.ceil(json.byteLength / 8) * 8;
	const header = Buffer.alloc(8 + padded, 0x20);
	header.writeBigUInt64LE(BigInt(padded), 0);
	json.copy(header, 8);
	return header;
}

function bytesOf(path: string, name: string, announced: HostTensor | DeferredTensor): Uint8Array {
	const tensor = 'load' in announced ? announced.load() : announced;
	const { data } = tensor;
	const expected = elementCount(announced.dims) * bytesPerElement(announced.dtype);
	if (tensor.dtype !== announced.dtype || data.byteLength !== expected) {
		throw new ShapeError('has data that does not fill its shape', {
			where: tensorAt(path, name),
			expected: `${announced.dtype} [${announced.dims.join(', ')}], ${expected} bytes`,
			found: `${tensor.dtype}, ${data.byteLength} bytes`,
		});
	}
	return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

/**
 * An open safetensors file. Only the header is in memory; each `read` fetches one tensor. Close it when done
 * (or declare it with `using`).
 */
export class SafetensorsFile {
	readonly path: string;
	readonly metadata: Readonly<Record<string, string>>;
	/** Tensor names in the order of the data. */
	readonly names: readonly string[];
	readonly #entries: ReadonlyMap<string, TensorEntry>;
	#handle: number | undefined;

	constructor(path: string, handle: number, header: SafetensorsHeader) {
		this.path = path;
		this.#handle = handle;
		this.metadata = header.metadata;
		this.#entries = header.entries;
		this.names = [...header.entries.keys()];
	}

	has(name: string): boolean {
		return this.#entries.has(name);
	}

	/** @throws InputError when the file has no tensor of that name */
	info(name: string): SafetensorsInfo {
		const { dtype, dims, byteLength } = this.#entry(name);
		return { dtype, dims, byteLength };
	}

	/**
	 * One tensor. F16, BF16 and F64 become float32 (F16 may be kept); I64, I32, I8, U8 and BOOL keep their type.
	 * @throws InputError for an unknown name, FormatError for a dtype without a host type (use `readBytes`) or a file
	 * that shrank after it was opened
	 */
	read(name: string, { keepFloat16 = false }: ReadTensorOptions = {}): HostTensor {
		const entry = this.#entry(name);
		const dtype = entry.dtype === 'F16' && keepFloat16 ? 'float16' : READ_AS[entry.dtype];
		if (dtype === undefined) {
			throw new FormatError(`has dtype ${entry.dtype}, which cannot be computed with`, {
				where: tensorAt(this.path, name),
				expected: `one of ${Object.keys(READ_AS).join(', ')}`,
				found: entry.dtype,
				fix: 'read its bytes with readBytes and convert them, or save the tensor with another dtype',
			});
		}
		const count = elementCount(entry.dims);
		const data = this.#allocate(name, () => allocate(dtype, count));
		const widen = keepFloat16 ? WIDENED_EXCEPT_F16[entry.dtype] : WIDENED[entry.dtype];
		if (widen !== undefined) this.#convert(name, entry, data as Float32Array, widen);
		else this.#fill(name, new Uint8Array(data.buffer), entry.offset);
		if (dtype === 'bool') {
			const wrong = (data as Uint8Array).findIndex((value) => value > 1);
			if (wrong >= 0) {
				throw new FormatError('has a BOOL that is neither 0 nor 1', {
					where: `${tensorAt(this.path, name)}, element ${wrong}`,
					found: String(data[wrong]),
				});
			}
		}
		return { dtype, dims: entry.dims, data };
	}

	/** The bytes of a tensor as they are in the file (little-endian), whatever its dtype. */
	readBytes(name: string): Uint8Array {
		const entry = this.#entry(name);
		const bytes = this.#allocate(name, () => new Uint8Array(entry.byteLength));
		this.#fill(name, bytes, entry.offset);
		return bytes;
	}

	close(): void {
		if (this.#handle !== undefined) closeSync(this.#handle);
		this.#handle = undefined;
	}

	[Symbol.dispose](): void {
		this.close();
	}

	#entry(name: string): TensorEntry {
		const entry = this.#entries.get(name);
		if (entry !== undefined) return entry;
		throw new InputError('is not in the file', {
			where: tensorAt(this.path, name),
			expected: this.names.length === 0 ? 'nothing: the file is empty' : preview(this.names),
		});
	}

	#allocate<T>(name: string, make: () => T): T {
		try {
			return make();
		} catch (cause) {
			throw new InputError('does not fit in memory', {
				where: tensorAt(this.path, name),
				found: `${this.#entry(name).byteLength} bytes`,
				cause,
			});
		}
	}

	#fill(name: string, target: Uint8Array, position: number): void {
		if (this.#handle === undefined) throw new InputError('was read after it was closed', { where: this.path });
		let done = 0;
		while (done < target.byteLength) {
			const length = Math.min(target.byteLength - done, 1 << 30);
			const read = readSync(this.#handle, target, done, length, position + done);
			if (read === 0) {
				throw new FormatError('ends before the tensor does; it was cut while open', {
					where: tensorAt(this.path, name),
				});
			}
			done += read;
		}
	}

	#convert(name: string, entry: TensorEntry, data: Float32Array, widen: Widening): void {
		const buffer = new Uint8Array(Math.min(PIECE, entry.byteLength));
		for (let done = 0; done < entry.byteLength; done += buffer.byteLength) {
			const piece = buffer.subarray(0, Math.min(buffer.byteLength, entry.byteLength - done));
			this.#fill(name, piece, entry.offset + done);
			widen.convert(piece, data, done / widen.bytes);
		}
	}
}

/**
 * Opens a safetensors file and checks its header.
 * @throws InputError when it cannot be opened, FormatError when it is not a sound safetensors file
 */
export function openSafetensors(path: string): SafetensorsFile {
	let handle: number;
	let regular: boolean;
	try {
		// Looked at before it is opened: opening a named pipe would wait for a writer for ever.
		regular = statSync(path).isFile();
		handle = regular ? openSync(path, 'r') : -1;
	} catch (error) {
		throw unreadable(path, 'a safetensors file', error);
	}
	if (!regular) throw new InputError('is not a regular file', { where: path, expected: 'a safetensors file' });
	try {
		const fileSize = fstatSync(handle).size;
		const length = parseHeaderLength(readAt(handle, 0, Math.min(8, fileSize)), fileSize, path);
		return new SafetensorsFile(path, handle, parseHeader(readAt(handle, 8, length), fileSize, path));
	} catch (error) {
		closeSync(handle);
		throw error;
	}
}

/**
 * Reads every tensor of a file.
 * @throws as `openSafetensors` and `SafetensorsFile.read`
 */
export function readSafetensors(path: string, options: ReadTensorOptions = {}): Map<string, HostTensor> {
	const file = openSafetensors(path);
	try {
		return new Map(file.names.map((name) => [name, file.read(name, options)]));
	} finally {
		file.close();
	}
}

function readAt(handle: number, position: number, length: number): Uint8Array {
	const bytes = new Uint8Array(length);
	let done = 0;
	while (done < length) {
		const read = readSync(handle, bytes, done, length - done, position + done);
		if (read === 0) break;
		done += read;
	}
	return bytes.subarray(0, done);
}

function preview(names: readonly string[]): string {
	const shown = names.slice(0, 8).join(', ');
	return names.length > 8 ? `${shown}, ... (${names.length} tensors)` : shown;
}

interface Widening {
	readonly bytes: number;
	/** Converts all elements of `source` into `target` from index `start` on. */
	readonly convert: (source: Uint8Array, target: Float32Array, start: number) => void;
}

const F16: Widening = {
	bytes: 2,
	convert(source, target, start) {
		const bits = new Uint16Array(source.buffer, source.byteOffset, source.byteLength / 2);
		for (let i = 0; i < bits.length; i++) target[start + i] = fromFloat16Bits(bits[i] as number);
	},
};

const BF16: Widening = {
	bytes: 2,
	// bfloat16 is the upper half of a float32; moving bits keeps NaN payloads.
	convert(source, target, start) {
		const bits = new Uint16Array(source.buffer, source.byteOffset, source.byteLength / 2);
		const wide = new Uint32Array(target.buffer, target.byteOffset, target.length);
		for (let i = 0; i < bits.length; i++) wide[start + i] = (bits[i] as number) << 16;
	},
};

const F64: Widening = {
	bytes: 8,
	convert(source, target, start) {
		target.set(new Float64Array(source.buffer, source.byteOffset, source.byteLength / 8), start);
	},
};

const WIDENED_EXCEPT_F16: Partial<Readonly<Record<SafetensorsDType, Widening>>> = { BF16, F64 };
const WIDENED: Partial<Readonly<Record<SafetensorsDType, Widening>>> = { ...WIDENED_EXCEPT_F16, F16 };
