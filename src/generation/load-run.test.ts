import assert from 'node:assert/strict';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, beforeEach, test } from 'node:test';
import { InputError } from '../base/errors.ts';
import { writeSafetensors } from '../formats/safetensors.ts';
import { unstackParameters } from '../nn/parameters.ts';
import { trainBpe } from '../tokenizers/train-bpe.ts';
import { writeCheckpoint as writeTrainingCheckpoint } from '../training/checkpoints.ts';
import { createDecoderSession } from './decoder-session.ts';
import { generate } from './generate.ts';
import { loadRun } from './load-run.ts';
import { smallDecoder } from './testing/small-decoder.ts';

const root = mkdtempSync(join(tmpdir(), 'modelsmith-load-run-'));
after(() => rmSync(root, { recursive: true }));
const { tokenizer } = await trainBpe(['a small text, once upon a time, with 🙂 and é'], { vocabSize: 300 });
const config = { vocabSize: 512, layerMode: 'scan', position: { kind: 'rope' } } as const;

const STATE = {
	formatVersion: 1 as const,
	libraryVersion: '0',
	tokens: 0,
	seconds: 0,
	seed: 0,
	data: null,
	configHash: '',
	dataHash: '',
	device: 'cpu',
	threads: 1,
	best: { step: 20, loss: 1 },
	validationsSinceBest: 0,
	lossScale: null,
};

let run = '';
let count = 0;
beforeEach(async () => {
	run = join(root, `run-${count++}`);
	mkdirSync(run);
	tokenizer.save(run);
	const { model } = smallDecoder(config);
	writeFileSync(join(run, 'config.json'), JSON.stringify({ model: model.config, training: { steps: 3 } }));
	for (const step of [10, 20, 100]) await writeCheckpoint(step);
});

/** A checkpoint whose weights have the step as their seed. */
async function writeCheckpoint(step: number): Promise<void> {
	const { model, weights } = smallDecoder(config, step);
	const tensors = unstackParameters(model.parameters.all, weights);
	await writeTrainingCheckpoint(run, { model: tensors, optimizer: new Map() }, { ...STATE, step });
}

const weightsOf = (step: number) => smallDecoder(config, step).weights;

test('last, best, a step, a checkpoint folder, and a folder that stands alone', async () => {
	const last = await loadRun(run);
	assert.equal(last.checkpoint.step, 100);
	assert.deepEqual(last.weights, weightsOf(100));
	assert.deepEqual((await loadRun(run, { checkpoint: 'best' })).weights, weightsOf(20));
	assert.deepEqual((await loadRun(run, { checkpoint: 10 })).weights, weightsOf(10));
	assert.deepEqual((await loadRun(join(run, 'checkpoints', 'step-10'))).weights, weightsOf(10));
	const alone = join(root, 'alone');
	cpSync(join(run, 'checkpoints', 'step-20'), alone, { recursive: true });
	cpSync(join(run, 'tokenizer.json'), join(alone, 'tokenizer.json'));
	writeFileSync(join(alone, 'config.json'), JSON.stringify(smallDecoder(config).model.config));
	assert.deepEqual((await loadRun(alone)).weights, weightsOf(20));
});

test('a loaded run generates text', async () => {
	const { model, weights, tokenizer: loaded } = await loadRun(run);
	const session = await createDecoderSession(model, weights, { threads: 1 });
	const prompts = ['once upon', 'a 🙂'];
	for (const prompt of prompts) {
		const result = await generate({ session, tokenizer: loaded, prompt, maxTokens: 12, seed: 4 });
		assert.equal(result.text, loaded.decode(result.tokens, { skipSpecialTokens: true }));
	}
	await session.dispose();
});

test('averaged weights are taken where there are some', async () => {
	const { model, weights } = smallDecoder(config, 7);
	writeSafetensors(join(run, 'checkpoints/step-100/ema.safetensors'), unstackParameters(model.parameters.all, weights));
	const averaged = await loadRun(run);
	assert.deepEqual(averaged.weights, weightsOf(7));
	assert.ok(averaged.checkpoint.averaged);
	assert.deepEqual((await loadRun(run, { averaged: false })).weights, weightsOf(100));
});

test('a damaged checkpoint is passed over with a warning, and refused when asked for', async () => {
	const file = join(run, 'checkpoints/step-100/model.safetensors');
	truncateSync(file, statSync(file).size - 8);
	const warnings: string[] = [];
	const found = await loadRun(run, { onWarning: (message) => void warnings.push(message) });
	assert.equal(found.checkpoint.step, 20);
	assert.match(warnings.join(), /step-100 is damaged/);
	await assert.rejects(loadRun(run, { checkpoint: 100 }), /damaged/);
	await assert.rejects(loadRun(join(run, 'checkpoints/step-100')), /damaged/);
	const same = join(run, 'checkpoints/step-20/model.safetensors');
	const bytes = readFileSync(same);
	bytes[bytes.length - 3]! ^= 1;
	writeFileSync(same, bytes);
	await assert.rejects(loadRun(run, { checkpoint: 20 }), /checksum/);
	assert.equal((await loadRun(run)).checkpoint.step, 10);
});

test('a chat template beside the tokenizer is loaded', async () => {
	writeFileSync(join(run, 'tokenizer_config.json'), JSON.stringify({ chat_template: '{{ messages[0].content }}!' }));
	assert.equal((await loadRun(run)).chatTemplate?.render([{ role: 'user', content: 'hi' }]), 'hi!');
});

test('what is missing or wrong is named', async () => {
	const fails = async (change: () => void | Promise<void>, message: RegExp, path = run): Promise<void> => {
		const kept = join(root, 'kept');
		cpSync(run, kept, { recursive: true });
		await change();
		await assert.rejects(
			loadRun(path),
			(error) => error instanceof InputError && message.test(error.message),
			String(message),
		);
		rmSync(run, { recursive: true });
		cpSync(kept, run, { recursive: true });
		rmSync(kept, { recursive: true });
	};
	const at = (name: string): string => join(run, name);
	const write = (name: string, value: unknown) => () =>
		writeFileSync(at(name), typeof value === 'string' ? value : JSON.stringify(value));
	const { model } = smallDecoder(config);
	await fails(() => {}, /no such file/, join(root, 'nowhere'));
	await fails(() => {}, /is not a folder/, at('config.json'));
	await fails(() => rmSync(at('config.json')), /has no config\.json/);
	await fails(() => rmSync(at('tokenizer.json')), /has no tokenizer\.json/);
	await fails(() => rmSync(at('checkpoints'), { recursive: true }), /has no checkpoint/);
	await fails(() => rmSync(at('config.json')), /weights but no config\.json/, at('checkpoints/step-10'));
	await fails(write('config.json', '{'), /not valid JSON/);
	await fails(write('config.json', []), /config\.json/);
	await fails(write('config.json', { model: { ...model.config, dim: 'x' } }), /model\.dim/);
	await fails(write('config.json', { model: { ...model.config, layers: 3 } }), /no tensor "layers\.2/);
	await fails(write('config.json', { model: { ...model.config, layers: 1 } }), /does not have[\s\S]*layers\.1/);
	await fails(write('config.json', { model: { ...model.config, dim: 32 } }), /embed_tokens\.weight/);
	await fails(write('tokenizer.json', '{}'), /tokenizer\.json/);
	await assert.rejects(loadRun(run, { checkpoint: 11 }), /one of 100, 20, 10/);
	await assert.rejects(loadRun(at('checkpoints/step-10'), { checkpoint: 'best' }), /one checkpoint/);
	for (const step of [10, 20, 100]) rmSync(at(`checkpoints/step-${step}/state.json`));
	await assert.rejects(loadRun(run, { checkpoint: 'best' }), /which checkpoint is best/);
});
