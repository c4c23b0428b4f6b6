/** @file Round trips, every dtype, large files and refusals of safetensors files. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import {
	ftruncateSync,
	mkdtempSync,
	openSync,
	readdirSync,
	readFileSync,
	rmSync,
	writeFileSync,
	writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { FormatError, InputError, ShapeError } from '../base/errors.ts';
import {
	allocate,
	type DType,
	elementCount,
	fromFloat16Bits,
	type HostTensor,
	hostTensor,
} from '../base/host-tensor.ts';
import { openSafetensors, readSafetensors, writeSafetensors } from './safetensors.ts';

const directory = mkdtempSync(join(tmpdir(), 'safetensors-'));
after(() => rmSync(directory, { recursive: true }));
const file = (name: string): string => join(directory, name);

/** A file from a header object (or text) and data, as any other program could have written it. */
function forge(name: string, header: unknown, data: Uint8Array = new Uint8Array(0)): string {
	const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
	const length = Buffer.alloc(8);
	length.writeBigUInt64LE(BigInt(json.byteLength));
	writeFileSync(file(name), Buffer.concat([length, json, data]));
	return file(name);
}

test('any set of tensors survives a round trip byte for byte, in a file that does not depend on their order', () => {
	const dtypes: DType[] = ['float32', 'float16', 'int64', 'int32', 'bool', 'uint8', 'int8'];
	const tensor = fc
		.record({
			dtype: fc.constantFrom(...dtypes),
			dims: fc.array(fc.nat({ max: 4 }), { maxLength: 4 }),
			seed: fc.nat(255),
		})
		.map(({ dtype, dims, seed }): HostTensor => {
			const data = allocate(dtype, elementCount(dims));
			const bytes = new Uint8Array(data.buffer);
			for (let i = 0; i < bytes.length; i++) bytes[i] = dtype === 'bool' ? (i + seed) & 1 : Math.imul(i + seed, 37);
			return { dtype, dims, data };
		});
	const names = fc.oneof(fc.string({ unit: 'grapheme' }), fc.constantFrom('__proto__', 'constructor', 'a.b', ''));
	const tensors = fc.uniqueArray(fc.tuple(names, tensor), { selector: ([name]) => name, maxLength: 6 });
	const metadata = fc.dictionary(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'grapheme' }), { maxKeys: 3 });
	fc.assert(
		fc.property(tensors, metadata, (entries, notes) => {
			const path = file('round-trip.safetensors');
			const written = writeSafetensors(path, entries, notes);
			const bytes = readFileSync(path);
			assert.equal(written.byteLength, bytes.byteLength);
			assert.equal(written.sha256, createHash('sha256').update(bytes).digest('hex'));
			assert.equal(bytes.readBigUInt64LE(0) % 8n, 0n);
			assert.equal(writeSafetensors(path, new Map(entries.toReversed()), notes).sha256, written.sha256);
			const read = readSafetensors(path, { keepFloat16: true });
			assert.equal(read.size, entries.length);
			for (const [name, expected] of entries) {
				const actual = read.get(name);
				assert.deepEqual([actual?.dtype, actual?.dims], [expected.dtype, expected.dims]);
				assert.deepEqual(new Uint8Array(actual?.data.buffer as ArrayBuffer), new Uint8Array(expected.data.buffer));
			}
			using opened = openSafetensors(path);
			assert.deepEqual(Object.entries(opened.metadata).sort(), Object.entries(notes).sort());
		}),
		{ numRuns: 100 },
	);
});

test('half, bfloat16 and double tensors are widened or narrowed to float32', () => {
	const data = Buffer.alloc(8 + 4 + 4);
	data.writeDoubleLE(Math.PI, 0);
	data.set([0x00, 0x3c, 0x01, 0x80], 8); // float16: 1, -2^-24
	data.set([0x80, 0x3f, 0x49, 0xc0], 12); // bfloat16: 1, -3.140625
	const path = forge(
		'widen.safetensors',
		{
			d: { dtype: 'F64', shape: [], data_offsets: [0, 8] },
			h: { dtype: 'F16', shape: [2], data_offsets: [8, 12] },
			b: { dtype: 'BF16', shape: [1, 2], data_offsets: [12, 16] },
		},
		data,
	);
	const read = readSafetensors(path);
	assert.deepEqual(read.get('d'), hostTensor('float32', [], [Math.PI]));
	assert.deepEqual(read.get('h'), hostTensor('float32', [2], [1, -(2 ** -24)]));
	assert.deepEqual(read.get('b'), hostTensor('float32', [1, 2], [1, -3.140625]));
	using opened = openSafetensors(path);
	assert.deepEqual(opened.info('b'), { dtype: 'BF16', dims: [1, 2], byteLength: 4 });
	assert.deepEqual([...opened.readBytes('b')], [0x80, 0x3f, 0x49, 0xc0]);
	assert.deepEqual(opened.read('h', { keepFloat16: true }), hostTensor('float16', [2], [1, -(2 ** -24)]));
});

test('conversion of a tensor larger than one piece keeps every element', () => {
	const count = (8 << 20) / 2 + 12_345;
	const data = new Uint16Array(count);
	for (let i = 0; i < count; i++) data[i] = i & 0x7bff;
	const path = file('pieces.safetensors');
	writeSafetensors(path, [['x', { dtype: 'float16', dims: [count], data }]]);
	const read = readSafetensors(path).get('x')?.data as Float32Array;
	for (const i of [0, 1, 4_194_303, 4_194_304, 4_194_305, count - 1])
		assert.equal(read[i], fromFloat16Bits(i & 0x7bff));
});

test('a tensor is read at its place in a file of more than 4 GB', () => {
	const path = file('huge.safetensors');
	const big = 5 * 2 ** 30;
	const header = Buffer.from(
		JSON.stringify({
			big: { dtype: 'U8', shape: [big], data_offsets: [0, big] },
			last: { dtype: 'I32', shape: [2], data_offsets: [big, big + 8] },
		}),
	);
	const length = Buffer.alloc(8);
	length.writeBigUInt64LE(BigInt(header.byteLength));
	// A sparse file: the big tensor is a hole that takes no disk space.
	const handle = openSync(path, 'w');
	writeSync(handle, Buffer.concat([length, header]));
	ftruncateSync(handle, 8 + header.byteLength + big + 8);
	writeSync(handle, new Uint8Array(new Int32Array([7, -9]).buffer), 0, 8, 8 + header.byteLength + big);
	using opened = openSafetensors(path);
	assert.deepEqual(opened.names, ['big', 'last']);
	assert.deepEqual(opened.read('last'), hostTensor('int32', [2], [7, -9]));
	rmSync(path);
});

test('deferred tensors are loaded one at a time and must be what was announced', () => {
	const path = file('deferred.safetensors');
	const loaded: string[] = [];
	const deferred = (name: string, dims: number[]) => ({
		dtype: 'float32' as const,
		dims,
		load: () => {
			loaded.push(name);
			return hostTensor('float32', [2], [1, 2]);
		},
	});
	writeSafetensors(path, [
		['b', deferred('b', [2])],
		['a', deferred('a', [2])],
	]);
	assert.deepEqual(loaded, ['a', 'b']);
	const before = readFileSync(path);
	assert.throws(() => writeSafetensors(path, [['a', deferred('a', [3])]]), ShapeError);
	assert.deepEqual(readFileSync(path), before, 'the old file is untouched');
	assert.deepEqual(
		readdirSync(directory).filter((name) => name.endsWith('.tmp')),
		[],
	);
});

test('names that cannot be written are refused', () => {
	const x = hostTensor('int8', [1], [1]);
	for (const names of [['a', 'a'], ['__metadata__'], ['\ud800']]) {
		assert.throws(
			() =>
				writeSafetensors(
					file('names.safetensors'),
					names.map((name) => [name, x] as const),
				),
			InputError,
		);
	}
});

const F32 = (begin: number, end: number, shape: unknown = [(end - begin) / 4]) => ({
	dtype: 'F32',
	shape,
	data_offsets: [begin, end],
});

const REFUSED: readonly [what: string, header: unknown, dataBytes: number, message: RegExp][] = [
	['not an object', '[]', 0, /begin with "\{"/],
	['empty header', '', 0, /empty header/],
	['leading space', ' {}', 0, /begin with/],
	['broken JSON', '{"a":', 0, /not valid JSON/],
	['trailing text', '{}x', 0, /not valid JSON/],
	['deep nesting', `{"a":${'['.repeat(100_000)}`, 0, /nested deeper/],
	['duplicate tensor', '{"a":1,"\\u0061":2}', 0, /"a" twice/],
	['duplicate key inside', '{"a":{"dtype":"F32","dtype":"I32"}}', 0, /"dtype" twice/],
	['metadata list', { __metadata__: [] }, 0, /__metadata__.*not an object/],
	['metadata number', { __metadata__: { a: 1 } }, 0, /"a" that is not a string/],
	['entry is a number', { a: 1 }, 0, /not described by an object/],
	['no dtype', { a: { shape: [], data_offsets: [0, 0] } }, 0, /unknown dtype/],
	['dtype of the prototype', { a: { dtype: 'toString', shape: [], data_offsets: [0, 0] } }, 0, /unknown dtype/],
	['no shape', { a: { dtype: 'F32', data_offsets: [0, 4] } }, 4, /shape.*list of sizes/],
	['negative dim', { a: F32(0, 4, [-1, -1]) }, 4, /list of sizes/],
	['fractional dim', { a: F32(0, 4, [0.5, 2]) }, 4, /list of sizes/],
	['text dim', { a: F32(0, 4, ['1']) }, 4, /list of sizes/],
	['unsafe dim', `{"a":{"dtype":"F32","shape":[1e300],"data_offsets":[0,4]}}`, 4, /list of sizes/],
	['rank bomb', { a: F32(0, 4, new Array(1000).fill(1)) }, 4, /list of sizes/],
	['overflowing product', { a: F32(0, 4, [2 ** 40, 2 ** 40]) }, 4, /more elements than can be counted/],
	['overflow hidden by zero', { a: F32(0, 0, [2 ** 40, 2 ** 40, 0]) }, 0, /more elements/],
	['a petabyte claimed', { a: F32(0, 2 ** 50) }, 4, /past the end of the file/],
	['a petabyte shape', { a: F32(0, 4, [2 ** 46]) }, 4, /does not fill its shape/],
	['reversed range', { a: F32(4, 0, [1]) }, 4, /not a range/],
	['three offsets', { a: { dtype: 'F32', shape: [1], data_offsets: [0, 4, 4] } }, 4, /not a range/],
	['overlap', { a: F32(0, 8), b: F32(4, 12) }, 12, /tensor "b".*overlapping/],
	['same bytes twice', { a: F32(0, 4), b: F32(0, 4) }, 4, /overlapping/],
	['hole', { a: F32(0, 4), b: F32(8, 12) }, 12, /tensor "b".*hole/],
	['hole at the start', { a: F32(4, 8) }, 8, /hole/],
	['bytes after the end', { a: F32(0, 4) }, 5, /does not end where/],
	['half bytes', { a: { dtype: 'F4', shape: [3], data_offsets: [0, 2] } }, 2, /does not fill/],
	['prototype as value', '{"__proto__":{"dtype":"F32"}}', 0, /"__proto__".*shape/],
	['lone surrogate', '{"\\ud800":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}', 0, /usable tensor name/],
];

for (const [what, header, dataBytes, message] of REFUSED) {
	test(`refused with a reason: ${what}`, () => {
		const path = forge('refused.safetensors', header, new Uint8Array(dataBytes));
		assert.throws(
			() => openSafetensors(path),
			(error) => error instanceof FormatError && error.message.startsWith(path) && message.test(error.message),
		);
	});
}

test('files that are no safetensors at all are refused', () => {
	const path = file('not.safetensors');
	for (const content of ['', 'PK\x03\x04', 'PK\x03\x04\x14\x00\x08\x08 a zip archive', '\xff'.repeat(16)]) {
		writeFileSync(path, content, 'latin1');
		assert.throws(() => openSafetensors(path), FormatError);
	}
	forge('not.safetensors', '{"\xff":1}');
	writeFileSync(path, Buffer.from([3, 0, 0, 0, 0, 0, 0, 0, 0x7b, 0xff, 0x7d]));
	assert.throws(() => openSafetensors(path), /not UTF-8/);
	assert.throws(() => openSafetensors(file('missing.safetensors')), InputError);
	assert.throws(() => openSafetensors(directory), /not a regular file/);
});

test('dtypes that have no host type can be read as bytes only, and the refusal names them', () => {
	const path = forge(
		'f8.safetensors',
		{ q: { dtype: 'F8_E4M3', shape: [2], data_offsets: [0, 2] } },
		new Uint8Array(2),
	);
	using opened = openSafetensors(path);
	assert.throws(() => opened.read('q'), /tensor "q".*F8_E4M3/);
	assert.deepEqual(opened.readBytes('q'), new Uint8Array(2));
	assert.throws(() => opened.read('w'), InputError);
});

test('a BOOL that is neither 0 nor 1 is refused', () => {
	const header = { m: { dtype: 'BOOL', shape: [3], data_offsets: [0, 3] } };
	const path = forge('bool.safetensors', header, Uint8Array.of(0, 1, 2));
	assert.throws(() => readSafetensors(path), /tensor "m", element 2/);
});

test('mutated files are read or refused with FormatError, never anything else', { timeout: 3_600_000 }, () => {
	const runs = process.env.MODELSMITH_LONG === '1' ? 100_000 : 1_500;
	const path = file('fuzz.safetensors');
	writeSafetensors(
		path,
		[
			['w', hostTensor('float32', [2, 3], [1, 2, 3, 4, 5, 6])],
			['h', hostTensor('float16', [3], [1, 2, 3])],
			['mask', hostTensor('bool', [2], [0, 1])],
			['empty', hostTensor('int64', [0, 7], [])],
		],
		{ step: '10' },
	);
	const valid = readFileSync(path);
	const fragments = [
		'"',
		'{',
		'}',
		'[',
		']',
		':',
		',',
		'-',
		'0',
		'9',
		'1e9',
		'.5',
		'\\u',
		'__proto__',
		'null',
		'\xff',
		'F16',
		'BF16',
		'F4',
		' ',
	];
	const mutation = fc.record({
		at: fc.nat(valid.length),
		remove: fc.nat(6),
		insert: fc.oneof(
			fc.constantFrom(...fragments).map((text) => Buffer.from(text, 'latin1')),
			fc.uint8Array({ maxLength: 4 }),
		),
		fixLength: fc.boolean(),
	});
	let accepted = 0;
	fc.assert(
		fc.property(fc.array(mutation, { minLength: 1, maxLength: 3 }), (mutations) => {
			let bytes = valid;
			for (const { at, remove, insert, fixLength } of mutations) {
				const headerEnd = 8 + Number(valid.readBigUInt64LE(0));
				bytes = Buffer.concat([bytes.subarray(0, at), insert, bytes.subarray(at + remove)]);
				// Most mutations would fail on the header length alone; mending it lets them reach the later checks.
				const length = headerEnd - 8 + bytes.length - valid.length;
				if (fixLength && at >= 8 && at < headerEnd && length > 0 && bytes.length >= 8)
					bytes.writeBigUInt64LE(BigInt(length), 0);
			}
			writeFileSync(path, bytes);
			try {
				for (const { data } of readSafetensors(path).values()) assert.ok(data.byteLength <= 4 * bytes.length);
				accepted++;
			} catch (error) {
				if (!(error instanceof FormatError)) throw error;
			}
		}),
		{ numRuns: runs },
	);
	assert.ok(accepted > 0, 'some mutations are harmless; if none is read the test looks at nothing');
	assert.ok(accepted < runs, 'and some are not');
});
