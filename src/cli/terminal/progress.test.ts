import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Progress } from './progress.ts';

function collector(isTTY: boolean, columns?: number) {
	const writes: string[] = [];
	return { writes, isTTY, columns, write: (text: string) => writes.push(text) };
}

test('a terminal gets one line that never exceeds its width', () => {
	for (const columns of [20, 40, 80, 200]) {
		const output = collector(true, columns);
		let time = 0;
		const progress = new Progress(output, { label: 'training', total: 600, unit: 'steps', now: () => time });
		for (let step = 1; step <= 600; step++) {
			time += 100;
			progress.update(step, `loss ${(9 - step / 100).toFixed(3)}  tokens/s 12.3k`);
		}
		assert.ok(output.writes.length > 100);
		for (const write of output.writes) {
			assert.match(write, /^\r\x1b\[K/);
			assert.ok([...write.slice(4)].length < columns, `${columns}: ${write}`);
			assert.ok(!write.includes('\n'));
		}
		progress.finish();
		assert.match(output.writes.at(-1) ?? '', /600 steps in 1:00\n$/);
	}
});

test('rate and time left come from the last seconds', () => {
	const output = collector(true, 200);
	let time = 0;
	const progress = new Progress(output, { label: 'training', total: 100, unit: 'steps', now: () => time });
	time = 30_000; // the first step compiles the graph
	progress.update(1);
	for (let step = 2; step <= 50; step++) {
		time += 500;
		progress.update(step);
	}
	assert.match(output.writes.at(-1) ?? '', /50\/100 steps 50% {2}2 steps\/s {2}ETA 0:25/);
});

test('without a terminal there are plain lines, at most one in five seconds', () => {
	const output = collector(false);
	let time = 0;
	const progress = new Progress(output, { label: 'reading', unit: 'bytes', now: () => time });
	for (let step = 1; step <= 100; step++) {
		time += 100;
		progress.update(step * 1000);
	}
	assert.equal(output.writes.length, 2);
	assert.deepEqual(output.writes, ['reading 1k bytes\n', 'reading 51k bytes  10k bytes/s\n']);
});

test('the first step of a resumed run does not count the earlier ones', () => {
	const output = collector(false);
	let time = 0;
	const progress = new Progress(output, { label: 'training', total: 200, unit: 'steps', now: () => time }, 100);
	time = 10_000;
	progress.update(110);
	assert.match(output.writes[0] ?? '', /110\/200 steps 55% {2}1 steps\/s {2}ETA 1:30/);
});

test('interrupt prints above the bar and draws it again', () => {
	const output = collector(true, 80);
	const progress = new Progress(output, { label: 'training', total: 10, unit: 'steps', now: () => 0 });
	progress.update(1);
	const bar = (output.writes.at(-1) ?? '').slice(4);
	progress.interrupt(() => output.write('saved\n'));
	assert.deepEqual(output.writes.slice(-3), ['\r\x1b[K', 'saved\n', bar]);
});
