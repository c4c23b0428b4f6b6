/** @file Logs cut to a step, TensorBoard records, derived numbers. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { BinaryReader } from '@bufbuild/protobuf/wire';
import fc from 'fast-check';
import { matmulPeak } from './metrics/matmul-peak.ts';
import { bitsPerByte, utilization } from './metrics/metrics.ts';
import { linesUpTo, StepLog } from './metrics/metrics-log.ts';
import { crc32c, EventFile } from './metrics/tensorboard.ts';

const root = mkdtempSync(join(tmpdir(), 'metrics-'));
after(() => rmSync(root, { recursive: true }));

test('a log cut anywhere and resumed reads as if nothing had happened', () => {
	const lines = Array.from({ length: 6 }, (_, i) => `${JSON.stringify({ step: i + 1, loss: 1 / (i + 3) })}\n`);
	const whole = lines.join('');
	fc.assert(
		fc.property(fc.nat(whole.length), fc.nat(6), (length, step) => {
			const torn = whole.slice(0, length);
			const kept = linesUpTo(torn, step);
			const complete = torn.split('\n').length - 1;
			assert.equal(kept, lines.slice(0, Math.min(step, complete)).join(''));
		}),
	);
	const path = join(root, 'metrics.jsonl');
	writeFileSync(path, `${lines.slice(0, 5).join('')}{"step":6,"lo`);
	const log = new StepLog(path, 3);
	for (const line of lines.slice(3)) log.append(JSON.parse(line));
	log.close();
	assert.equal(readFileSync(path, 'utf8'), whole);
});

test('lines that are no entries are dropped, whatever they are', () => {
	assert.equal(linesUpTo('null\n{"step":"1"}\n[]\n{"step":2}\nxx\n{"step":1}\n', 1), '{"step":1}\n');
	fc.assert(fc.property(fc.string(), fc.nat(), (text, step) => typeof linesUpTo(text, step) === 'string'));
});

test('event files hold framed records with right checksums', () => {
	assert.equal(crc32c(Buffer.from('123456789')), 0xe3069283);
	const directory = join(root, 'tensorboard');
	const file = new EventFile(directory, 4);
	file.scalars(5, { 'train/loss': 2.5, absent: undefined, 'train/gradient_norm': 0.25 });
	file.close();
	const bytes = readFileSync(join(directory, readdirSync(directory)[0] as string));
	const events: Buffer[] = [];
	for (let at = 0; at < bytes.length; ) {
		const length = Number(bytes.readBigUInt64LE(at));
		const data = bytes.subarray(at + 12, at + 12 + length);
		for (const [stored, covered] of [
			[bytes.readUInt32LE(at + 8), bytes.subarray(at, at + 8)],
			[bytes.readUInt32LE(at + 12 + length), data],
		] as const) {
			const rotated = (stored - 0xa282ead8) >>> 0;
			assert.equal(((rotated >>> 17) | (rotated << 15)) >>> 0, crc32c(covered));
		}
		events.push(data);
		at += length + 16;
	}
	assert.equal(events.length, 3, 'version, start of session, scalars');
	const found: [string, number][] = [];
	let step = 0;
	const event = new BinaryReader(events[2] as Buffer);
	while (event.pos < event.len) {
		const [field, wire] = event.tag();
		if (field === 2) step = Number(event.int64());
		else if (field !== 5) event.skip(wire);
		else {
			const summary = new BinaryReader(event.bytes());
			while (summary.pos < summary.len) {
				summary.tag();
				const value = new BinaryReader(summary.bytes());
				value.tag();
				const tag = value.string();
				value.tag();
				found.push([tag, value.float()]);
			}
		}
	}
	assert.equal(step, 5);
	assert.deepEqual(found, [
		['train/loss', 2.5],
		['train/gradient_norm', 0.25],
	]);
});

test('derived numbers', async () => {
	assert.equal(bitsPerByte(Math.LN2 * 6, 3), 2);
	assert.equal(bitsPerByte(1, undefined), undefined);
	assert.equal(utilization(1000, 2e6, 1.2e10), 0.5);
	const peak = await matmulPeak('cpu', 1);
	assert.ok(peak > 1e8 && peak < 1e14, `${peak} operations a second`);
	assert.equal(await matmulPeak('cpu', 1), peak, 'measured once');
});
