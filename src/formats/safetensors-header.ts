/**
 * @file The header of a safetensors file: what it may say, checked before a byte of tensor data is read or allocated.
 * Format: https://github.com/huggingface/safetensors (8-byte little-endian header length, JSON header, data).
 */
import { FormatError } from '../base/errors.ts';

/** Bits an element of each dtype takes, for every dtype the format names. */
const BITS = {
	BOOL: 8,
	U8: 8,
	I8: 8,
	I16: 16,
	U16: 16,
	F16: 16,
	BF16: 16,
	I32: 32,
	U32: 32,
	F32: 32,
	I64: 64,
	U64: 64,
	F64: 64,
	C64: 64,
	F8_E5M2: 8,
	F8_E4M3: 8,
	F8_E8M0: 8,
	F8_E4M3FNUZ: 8,
	F8_E5M2FNUZ: 8,
	F6_E2M3: 6,
	F6_E3M2: 6,
	F4: 4,
} as const;

/** Element types as safetensors names them. */
export type SafetensorsDType = keyof typeof BITS;

/** Where one tensor lies. `offset` counts bytes from the start of the file. */
export interface TensorEntry {
	readonly dtype: SafetensorsDType;
	readonly dims: readonly number[];
	readonly offset: number;
	readonly byteLength: number;
}

export interface SafetensorsHeader {
	readonly metadata: Readonly<Record<string, string>>;
	/** In the order of the data. */
	readonly entries: ReadonlyMap<string, TensorEntry>;
}

/** The limit of the reference implementation. */
export const MAX_HEADER_BYTES = 100_000_000;
const MAX_NAME_LENGTH = 65_535;
const MAX_RANK = 64;
/** A header nests three deep; a little slack for fields of other tools, none for stack or memory games. */
const MAX_DEPTH = 8;
export const METADATA_KEY = '__metadata__';

/** Bits of one element, or undefined for a name the format does not know. */
export function bitsPerElement(dtype: string): number | undefined {
	return Object.hasOwn(BITS, dtype) ? BITS[dtype as SafetensorsDType] : undefined;
}

/**
 * Checks the first eight bytes of a file.
 * @returns the length of the JSON header in bytes
 * @throws FormatError when it cannot be the start of a safetensors file of `fileSize` bytes
 */
export function parseHeaderLength(prefix: Uint8Array, fileSize: number, path: string): number {
	if (fileSize < 8 || prefix.byteLength < 8) {
		throw new FormatError('is too short to be a safetensors file', {
			where: path,
			expected: 'at least 8 bytes',
			found: `${fileSize} bytes`,
			fix: 'the file is probably a partial download or not a safetensors file; fetch it again',
		});
	}
	const claimed = new DataView(prefix.buffer, prefix.byteOffset, 8).getBigUint64(0, true);
	if (claimed > BigInt(MAX_HEADER_BYTES)) {
		throw new FormatError('claims an impossible header length', {
			where: path,
			expected: `at most ${MAX_HEADER_BYTES} bytes`,
			found: `${claimed} bytes`,
			fix: 'check that this is a safetensors file (a PyTorch .bin or .pt file must be converted first)',
		});
	}
	const length = Number(claimed);
	if (8 + length > fileSize) {
		throw new FormatError('ends inside its header', {
			where: path,
			expected: `${8 + length} bytes or more`,
			found: `${fileSize} bytes`,
			fix: 'the file is truncated; fetch or write it again',
		});
	}
	return length;
}

/**
 * Parses and checks the JSON header: every tensor's dtype, dimensions and bytes agree, and the tensors fill the data
 * section without gap or overlap, as the format demands.
 * @throws FormatError naming the path, the tensor, what was expected and what was found
 */
export function parseHeader(bytes: Uint8Array, fileSize: number, path: string): SafetensorsHeader {
	const root = parseJsonObject(bytes, path);
	const dataStart = 8 + bytes.byteLength;
	const dataLength = fileSize - dataStart;
	let metadata: Readonly<Record<string, string>> = {};
	const found: [string, TensorEntry][] = [];
	for (const [name, value] of Object.entries(root)) {
		if (name === METADATA_KEY) metadata = parseMetadata(value, path);
		else found.push([name, parseEntry(name, value, dataStart, dataLength, path)]);
	}
	found.sort(([a, x], [b, y]) => x.offset - y.offset || x.byteLength - y.byteLength || (a < b ? -1 : 1));
	let end = dataStart;
	for (const [name, entry] of found) {
		if (entry.offset !== end) {
			throw new FormatError(entry.offset > end ? 'leaves a hole before a tensor' : 'has overlapping tensors', {
				where: tensorAt(path, name),
				expected: `data_offsets to begin at ${end - dataStart}`,
				found: String(entry.offset - dataStart),
			});
		}
		end += entry.byteLength;
	}
	if (end !== fileSize) {
		throw new FormatError('does not end where its last tensor ends', {
			where: path,
			expected: `${end} bytes`,
			found: `${fileSize} bytes`,
			fix: 'the file was cut or appended to; fetch or write it again',
		});
	}
	return { metadata, entries: new Map(found) };
}

function parseJsonObject(bytes: Uint8Array, path: string): object {
	let text: string;
	try {
		text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
	} catch (cause) {
		throw new FormatError('has a header that is not UTF-8', { where: path, expected: 'a JSON header', cause });
	}
	if (text[0] !== '{') {
		throw new FormatError('has a header that is not a JSON object', {
			where: path,
			expected: 'the header to begin with "{"',
			found: text.length === 0 ? 'an empty header' : quote(text[0] as string),
		});
	}
	const problem = scanJson(text);
	if (problem !== undefined) throw new FormatError(problem, { where: path });
	try {
		return JSON.parse(text) as object;
	} catch (cause) {
		throw new FormatError('has a header that is not valid JSON', {
			where: path,
			found: (cause as Error).message.slice(0, 200),
			cause,
		});
	}
}

/**
 * What JSON.parse would hide or choke on: a key given twice in one object (the last would silently win) and nesting
 * made to exhaust memory. Malformed JSON is left for JSON.parse to report.
 */
function scanJson(text: string): string | undefined {
	const scopes: (Set<string> | undefined)[] = [];
	let lastString: string | undefined;
	for (let i = 0; i < text.length; i++) {
		switch (text.charCodeAt(i)) {
			case 0x22: {
				const start = i;
				for (i++; i < text.length && text.charCodeAt(i) !== 0x22; i++) if (text.charCodeAt(i) === 0x5c) i++;
				lastString = text.slice(start, i + 1);
				break;
			}
			case 0x7b:
				scopes.push(new Set());
				if (scopes.length > MAX_DEPTH) return `has a header nested deeper than ${MAX_DEPTH} levels`;
				break;
			case 0x5b:
				scopes.push(undefined);
				if (scopes.length > MAX_DEPTH) return `has a header nested deeper than ${MAX_DEPTH} levels`;
				break;
			case 0x7d:
			case 0x5d:
				scopes.pop();
				break;
			case 0x3a: {
				const keys = scopes.at(-1);
				const key = lastString === undefined ? undefined : decodeString(lastString);
				if (keys === undefined || key === undefined) break;
				if (keys.has(key)) return `names ${quote(key)} twice in its header`;
				keys.add(key);
				break;
			}
		}
	}
	return undefined;
}

function decodeString(literal: string): string | undefined {
	if (!literal.includes('\\')) return literal.slice(1, -1);
	try {
		return JSON.parse(literal) as string;
	} catch {
		return undefined; // not JSON at all: JSON.parse of the whole header says where
	}
}

function parseMetadata(value: unknown, path: string): Readonly<Record<string, string>> {
	if (value === null) return {};
	const where = `${path}, ${METADATA_KEY}`;
	if (typeof value !== 'object' || Array.isArray(value)) {
		throw new FormatError('is not an object', { where, expected: 'an object of strings', found: describe(value) });
	}
	// Without a prototype a key such as "__proto__" is only a key.
	const metadata: Record<string, string> = Object.create(null);
	for (const [key, text] of Object.entries(value)) {
		if (typeof text !== 'string') {
			throw new FormatError(`has a value for ${quote(key)} that is not a string`, { where, found: describe(text) });
		}
		metadata[key] = text;
	}
	return metadata;
}

function parseEntry(name: string, value: unknown, dataStart: number, dataLength: number, path: string): TensorEntry {
	const where = tensorAt(path, name);
	if (name.length > MAX_NAME_LENGTH || !name.isWellFormed()) {
		throw new FormatError('is not a usable tensor name', {
			where,
			expected: `well-formed Unicode of at most ${MAX_NAME_LENGTH} characters`,
			found: name.isWellFormed() ? `${name.length} characters` : 'a lone surrogate',
		});
	}
	if (typeof value !== 'object' || value === null || Array.isArray(value)) {
		throw new FormatError('is not described by an object', {
			where,
			expected: '{ "dtype", "shape", "data_offsets" }',
			found: describe(value),
		});
	}
	const own = (key: string): unknown =>
		Object.hasOwn(value, key) ? (value as Record<string, unknown>)[key] : undefined;
	const dtype = own('dtype');
	const bits = typeof dtype === 'string' ? bitsPerElement(dtype) : undefined;
	if (bits === undefined) {
		throw new FormatError('has an unknown dtype', {
			where,
			expected: `one of ${Object.keys(BITS).join(', ')}`,
			found: describe(dtype),
		});
	}
	const shape = own('shape');
	if (!isSizes(shape) || shape.length > MAX_RANK) {
		throw new FormatError('has a shape that is not a list of sizes', {
			where,
			expected: `at most ${MAX_RANK} whole numbers >= 0`,
			found: describe(shape),
		});
	}
	const offsets = own('data_offsets');
	if (!isSizes(offsets) || offsets.length !== 2 || (offsets[0] as number) > (offsets[1] as number)) {
		throw new FormatError('has data_offsets that are not a range', {
			where,
			expected: '[begin, end] with 0 <= begin <= end',
			found: describe(offsets),
		});
	}
	const [begin, end] = offsets as [number, number];
	if (end > dataLength) {
		throw new FormatError('reaches past the end of the file', {
			where,
			expected: `an end of at most ${dataLength} (the length of the data section)`,
			found: String(end),
			fix: 'the file is truncated; fetch or write it again',
		});
	}
	let totalBits = bits as number;
	for (const dim of shape) {
		totalBits *= dim;
		// Past 2^53 products are no longer exact, and no file is that large.
		if (!Number.isSafeInteger(totalBits)) {
			throw new FormatError('has more elements than can be counted', { where, found: describe(shape) });
		}
	}
	if (totalBits !== (end - begin) * 8) {
		throw new FormatError('has data that does not fill its shape', {
			where,
			expected: `${totalBits / 8} bytes for ${dtype} ${describe(shape)}`,
			found: `${end - begin} bytes`,
		});
	}
	return { dtype: dtype as SafetensorsDType, dims: shape, offset: dataStart + begin, byteLength: end - begin };
}

function isSizes(value: unknown): value is readonly number[] {
	return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0 && !Object.is(size, -0));
}

/** "model.safetensors, tensor "wte.weight"". */
export function tensorAt(path: string, name: string): string {
	return `${path}, tensor ${quote(name)}`;
}

function quote(text: string): string {
	return JSON.stringify(text.length > 100 ? `${text.slice(0, 100)}...` : text);
}

function describe(value: unknown): string {
	if (value === undefined) return 'nothing';
	const text = JSON.stringify(Array.isArray(value) ? value.slice(0, 100) : value);
	return text.length > 120 ? `${text.slice(0, 120)}...` : text;
}
