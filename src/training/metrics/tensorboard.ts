/**
 * @file TensorBoard event files: TFRecord framing (length, masked CRC-32C, data, masked CRC-32C) around Event messages of
 * tensorflow/core/util/event.proto. No kept npm package writes them.
 */
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { writeFully } from '../../base/files.ts';

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
	let crc = byte;
	for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
	return crc;
});

/** CRC-32C (Castagnoli) of bytes. */
export function crc32c(bytes: Uint8Array): number {
	let crc = 0xffffffff;
	for (const byte of bytes) crc = (CRC_TABLE[(crc ^ byte) & 0xff] as number) ^ (crc >>> 8);
	return ~crc >>> 0;
}

/** A record of a TFRecord file. */
export function frameRecord(data: Uint8Array): Uint8Array {
	const record = Buffer.alloc(data.byteLength + 16);
	record.writeBigUInt64LE(BigInt(data.byteLength), 0);
	record.writeUInt32LE(masked(crc32c(record.subarray(0, 8))), 8);
	record.set(data, 12);
	record.writeUInt32LE(masked(crc32c(data)), 12 + data.byteLength);
	return record;
}

/** Checksums are stored rotated and shifted, as checksums of data that holds checksums are weak. */
function masked(crc: number): number {
	return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

/** One event file; scalars only. */
export class EventFile {
	#handle: number | undefined;

	/**
	 * Starts a file in `directory`.
	 * @param resumedStep TensorBoard drops what earlier files say about later steps
	 */
	constructor(directory: string, resumedStep = 0) {
		mkdirSync(directory, { recursive: true });
		const stamp = String(Math.floor(Date.now() / 1000)).padStart(10, '0');
		this.#handle = openSync(join(directory, `events.out.tfevents.${stamp}.${hostname()}.${process.pid}`), 'a');
		this.#write(event().tag(3, WireType.LengthDelimited).string('brain.Event:2'));
		if (resumedStep > 0) {
			// SessionLog { status: START } at a step means: from here on everything is told again.
			const session = new BinaryWriter().tag(1, WireType.Varint).int32(1).finish();
			this.#write(
				atStep(resumedStep + 1)
					.tag(7, WireType.LengthDelimited)
					.bytes(session),
			);
		}
	}

	/** Adds scalars of one step by tag; values that are no numbers are left out. */
	scalars(step: number, values: Readonly<Record<string, number | undefined>>): void {
		const summary = new BinaryWriter();
		for (const [tag, value] of Object.entries(values)) {
			if (value === undefined) continue;
			const item = new BinaryWriter().tag(1, WireType.LengthDelimited).string(tag).tag(2, WireType.Bit32).float(value);
			summary.tag(1, WireType.LengthDelimited).bytes(item.finish());
		}
		this.#write(atStep(step).tag(5, WireType.LengthDelimited).bytes(summary.finish()));
	}

	close(): void {
		if (this.#handle !== undefined) closeSync(this.#handle);
		this.#handle = undefined;
	}

	#write(message: BinaryWriter): void {
		if (this.#handle !== undefined) writeFully(this.#handle, frameRecord(message.finish()));
	}
}

function event(): BinaryWriter {
	return new BinaryWriter().tag(1, WireType.Bit64).double(Date.now() / 1000);
}

function atStep(step: number): BinaryWriter {
	return event().tag(2, WireType.Varint).int64(step);
}
