/** @file Writes the binary of a WebAssembly module with one function over an imported memory: just enough for SIMD loops. */

/** Instruction bytes under construction. */
export type Code = number[];

export const VALUE_TYPE = { i32: 0x7f, f32: 0x7d, v128: 0x7b } as const;
export type ValueType = keyof typeof VALUE_TYPE;

/** Opcodes behind the SIMD prefix, by their names in the WebAssembly specification. */
export const SIMD = {
	'v128.load': 0x00,
	'v128.store': 0x0b,
	'f32x4.splat': 0x13,
	'f32x4.eq': 0x41,
	'f32x4.lt': 0x43,
	'f32x4.gt': 0x44,
	'f32x4.le': 0x45,
	'f32x4.ge': 0x46,
	'v128.and': 0x4e,
	'v128.bitselect': 0x52,
	'f32x4.ceil': 0x67,
	'f32x4.floor': 0x68,
	'f32x4.nearest': 0x6a,
	'f32x4.abs': 0xe0,
	'f32x4.neg': 0xe1,
	'f32x4.sqrt': 0xe3,
	'f32x4.add': 0xe4,
	'f32x4.sub': 0xe5,
	'f32x4.mul': 0xe6,
	'f32x4.div': 0xe7,
	'f32x4.min': 0xe8,
	'f32x4.max': 0xe9,
} as const;
export type SimdOp = keyof typeof SIMD;

/** Unsigned LEB128. */
export function unsigned(value: number): number[] {
	const bytes: number[] = [];
	let rest = value;
	do {
		const byte = rest % 128;
		rest = Math.floor(rest / 128);
		bytes.push(rest > 0 ? byte | 0x80 : byte);
	} while (rest > 0);
	return bytes;
}

/** Signed LEB128 of a 32-bit integer. */
function signed(value: number): number[] {
	const bytes: number[] = [];
	let rest = value;
	for (;;) {
		const byte = rest & 0x7f;
		rest >>= 7;
		if ((rest === 0 && (byte & 0x40) === 0) || (rest === -1 && (byte & 0x40) !== 0)) return [...bytes, byte];
		bytes.push(byte | 0x80);
	}
}

export const getLocal = (index: number): number[] => [0x20, ...unsigned(index)];
export const setLocal = (index: number): number[] => [0x21, ...unsigned(index)];
export const constI32 = (value: number): number[] => [0x41, ...signed(value)];
export const addI32 = (): number[] => [0x6a];

/** A SIMD instruction; loads and stores are 16-byte aligned at offset 0. */
export function simd(op: SimdOp): number[] {
	const memory = op === 'v128.load' || op === 'v128.store';
	return [0xfd, ...unsigned(SIMD[op]), ...(memory ? [4, 0] : [])];
}

/** `while (local < limit) body`, unsigned. */
export function loopWhileLess(local: number, limit: number, body: Code): Code {
	const exitTest = [...getLocal(local), ...getLocal(limit), 0x4f, 0x0d, 1];
	return [0x02, 0x40, 0x03, 0x40, ...exitTest, ...body, 0x0c, 0, 0x0b, 0x0b];
}

function vector(items: readonly (readonly number[])[]): number[] {
	return [...unsigned(items.length), ...items.flat()];
}

function section(id: number, content: readonly number[]): number[] {
	return [id, ...unsigned(content.length), ...content];
}

function name(text: string): number[] {
	const bytes = [...new TextEncoder().encode(text)];
	return [...unsigned(bytes.length), ...bytes];
}

/** A module that imports `env.memory` and exports `run`. */
export function moduleWith(
	parameters: readonly ValueType[],
	locals: readonly ValueType[],
	code: Code,
): Uint8Array<ArrayBuffer> {
	const type = [0x60, ...vector(parameters.map((kind) => [VALUE_TYPE[kind]])), ...vector([])];
	const body = [...vector(locals.map((kind) => [1, VALUE_TYPE[kind]])), ...code, 0x0b];
	return Uint8Array.from([
		...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
		...section(1, vector([type])),
		...section(2, vector([[...name('env'), ...name('memory'), 0x02, 0, 0]])),
		...section(3, vector([[0]])),
		...section(7, vector([[...name('run'), 0x00, 0]])),
		...section(10, vector([[...unsigned(body.length), ...body]])),
	]);
}
