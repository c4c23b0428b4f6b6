/** @file Broken configurations, files and flags: exit code 2, a message that names place and expectation, no stack trace. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { writeSafetensors } from '../src/formats/safetensors.ts';
import { buildModel } from '../src/models/model.ts';
import { trainBpe } from '../src/tokenizers/train-bpe.ts';
import { runCli } from './support/run-cli.ts';

const folder = mkdtempSync(join(tmpdir(), 'modelsmith-bad-input-'));
after(() => rmSync(folder, { recursive: true }));

const at = (name: string): string => join(folder, name);

function file(name: string, content: string | Uint8Array): string {
	writeFileSync(at(name), content);
	return at(name);
}

const MODEL = 'model: { architecture: decoder, dim: 8, layers: 1, heads: 2, maxLength: 32 }';
const DATA = 'data: { source: { kind: moby-dick }, sequenceLength: 16 }';
const TRAINING = 'training: { steps: 2, schedule: { kind: constant, warmup: 0 } }';

/** A configuration with one of its parts replaced. */
function config({ model = MODEL, data = DATA, training = TRAINING, extra = '' }: Record<string, string>): string {
	return [model, data, training, extra].join('\n');
}

interface Case {
	readonly name: string;
	readonly args: () => string[];
	/** Each must be in the message: the place, and what was expected. */
	readonly says: readonly RegExp[];
}

function configCase(name: string, parts: Record<string, string>, ...says: RegExp[]): Case {
	const path = `${name.replaceAll(/\W+/g, '-')}.yaml`;
	return {
		name,
		args: () => ['train', file(path, config(parts)), '--out', at('never')],
		says: [new RegExp(path.replaceAll('.', '\\.')), ...says],
	};
}

/** A configuration that is fine, but names a file that is not: the message is about that file. */
function referenceCase(name: string, parts: Record<string, string>, ...says: RegExp[]): Case {
	return { ...configCase(name, parts), says };
}

function setCase(set: string, ...says: RegExp[]): Case {
	return {
		name: `--set ${set}`,
		args: () => ['train', file('good.yaml', config({})), '--out', at('never'), '--set', set],
		says: [new RegExp(`--set ${set.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')}`), ...says],
	};
}

const CONFIGS: readonly Case[] = [
	configCase('no model', { model: '' }, /model: is missing/, /a map of keys/),
	configCase('misspelled section', { extra: 'trainig: {}' }, /4:1: trainig: unknown key/, /did you mean training/),
	configCase(
		'misspelled key',
		{ model: MODEL.replace('dim: 8', 'dimm: 8') },
		/model\.dimm: unknown key/,
		/did you mean dim\?/,
	),
	configCase(
		'text for a number',
		{ model: MODEL.replace('dim: 8', 'dim: wide') },
		/model\.dim/,
		/expected: a number/,
		/"wide"/,
	),
	configCase(
		'fraction for a whole number',
		{ model: MODEL.replace('layers: 1', 'layers: 1.5') },
		/model\.layers/,
		/a whole number/,
	),
	configCase(
		'zero layers',
		{ model: MODEL.replace('layers: 1', 'layers: 0') },
		/model\.layers: is too small/,
		/at least 1/,
	),
	configCase('heads do not divide dim', { model: MODEL.replace('heads: 2', 'heads: 3') }, /heads/, /dim/),
	configCase(
		'unknown architecture',
		{ model: MODEL.replace('decoder', 'perceptron') },
		/model\.architecture/,
		/expected: decoder/,
	),
	configCase(
		'unknown norm',
		{ model: MODEL.replace('}', ', norm: { kind: rsm } }') },
		/model\.norm\.kind/,
		/rms/,
		/did you mean rms/,
	),
	configCase(
		'key of another kind',
		{ model: MODEL.replace('}', ', norm: { kind: rms, bias: true } }') },
		/model\.norm\.bias: unknown key/,
	),
	configCase(
		'norm is a list',
		{ model: MODEL.replace('}', ', norm: [rms] }') },
		/model\.norm/,
		/a map of keys|expected/,
	),
	configCase('dropout of one', { model: MODEL.replace('}', ', dropout: 1 }') }, /model\.dropout/, /less than 1/),
	configCase(
		'unknown source',
		{ data: 'data: { source: { kind: csv } }' },
		/data\.source\.kind/,
		/text, jsonl, parquet, moby-dick/,
	),
	configCase('source without path', { data: 'data: { source: { kind: text } }' }, /data\.source\.path/, /expected/),
	referenceCase(
		'source file missing',
		{ data: 'data: { source: { kind: text, path: nowhere.txt }, sequenceLength: 16 }' },
		/nowhere\.txt/,
		/no such file|does not exist/,
	),
	referenceCase(
		'glob without matches',
		{ data: 'data: { source: { kind: text, path: "*.nothing" }, sequenceLength: 16 }' },
		/\*\.nothing/,
	),
	configCase(
		'validation fraction of one',
		{ data: 'data: { source: { kind: moby-dick }, validationFraction: 1 }' },
		/validationFraction/,
		/less than 1/,
	),
	configCase(
		'rows longer than the model reads',
		{ data: DATA.replace('16', '64') },
		/data\.sequenceLength/,
		/at most model\.maxLength/,
	),
	configCase(
		'no length',
		{ training: 'training: {}' },
		/training: does not say how long/,
		/one of steps, epochs, tokens/,
	),
	configCase(
		'two lengths',
		{ training: 'training: { steps: 2, epochs: 1, schedule: { kind: constant } }' },
		/says twice how long/,
		/steps and epochs/,
	),
	configCase(
		'warmup longer than the run',
		{ training: 'training: { steps: 2, schedule: { kind: cosine, warmup: 5 } }' },
		/training\.schedule\.warmup/,
		/fewer than 2 steps/,
	),
	configCase(
		'unknown optimizer',
		{ training: 'training: { steps: 2, optimizer: { kind: adma } }' },
		/training\.optimizer\.kind/,
		/adamw/,
	),
	configCase(
		'negative learning rate',
		{ training: 'training: { steps: 2, optimizer: { kind: adamw, learningRate: -1 } }' },
		/learningRate/,
		/expected/,
		/-1/,
	),
	configCase(
		'mixed precision on the CPU',
		{ training: `${TRAINING.slice(0, -2)}, precision: mixed }` },
		/training\.precision/,
		/webgpu or cuda/,
	),
	configCase(
		'unknown device',
		{ training: 'training: { steps: 2, device: tpu }' },
		/training\.device/,
		/cpu, webgpu, cuda/,
	),
	configCase(
		'prompts are no list',
		{ training: 'training: { steps: 2, sampling: { prompts: Hello } }' },
		/training\.sampling\.prompts/,
		/a list/,
	),
	configCase(
		'vocabulary below the bytes',
		{ extra: 'tokenizer: { kind: bpe, vocabSize: 100 }' },
		/tokenizer\.vocabSize/,
		/at least 256/,
	),
	referenceCase(
		'tokenizer file missing',
		{ extra: 'tokenizer: { kind: file, path: none.json }' },
		/none\.json/,
		/no such file/,
	),
	configCase('duplicate key', { extra: 'data: {}' }, /is not valid YAML/, /:4:1/),
	configCase(
		'two problems',
		{ model: MODEL.replace('dim: 8', 'dim: 0').replace('layers: 1', 'layers: x') },
		/2 problems/,
		/model\.dim/,
		/model\.layers/,
	),
];

const SETS: readonly Case[] = [
	setCase('model.dim', /has no value/, /path=value/),
	setCase('=3', /has no path/, /path=value/),
	setCase('model..dim=3', /is not a path/),
	setCase('__proto__.polluted=1', /is not a path/),
	setCase('model.dim=[1', /cannot be read/, /a number, true, false/),
	setCase('model.dim=large', /model\.dim: has the wrong type/, /a number/),
	setCase('model.dim.size=3', /model\.dim is not a map/),
	setCase('training.stesp=3', /training\.stesp: unknown key/, /did you mean steps/),
	setCase('data.sequenceLength=4096', /data\.sequenceLength/, /model\.maxLength/),
];

const FILES: readonly Case[] = [
	{
		name: 'config missing',
		args: () => ['train', at('none.yaml')],
		says: [/none\.yaml: no such file/, /a configuration file/],
	},
	{
		name: 'config is a folder',
		args: () => ['train', folder],
		says: [/is a folder/, /expected: a configuration file/],
	},
	{
		name: 'config of unknown format',
		args: () => ['train', file('c.toml', '')],
		says: [/c\.toml/, /\.yaml, \.yml, \.json/],
	},
	{
		name: 'broken JSON',
		args: () => ['train', file('c.json', '{"model": }')],
		says: [/c\.json: is not valid JSON/, /expected: JSON/],
	},
	{
		name: 'broken YAML',
		args: () => ['train', file('b.yaml', 'model: [1\ndata: x')],
		says: [/b\.yaml:2/, /is not valid YAML/],
	},
	{
		name: 'list instead of a map',
		args: () => ['train', file('l.yaml', '- 1')],
		says: [/l\.yaml/, /a map of keys and values/],
	},
	{ name: 'empty config', args: () => ['train', file('e.yaml', '')], says: [/e\.yaml/, /model: is missing/] },
	{
		name: 'module with a syntax error',
		args: () => ['train', file('c.ts', 'export const = 1')],
		says: [/c\.ts: could not be imported/, /exports `config`/],
	},
	{
		name: 'module without config',
		args: () => ['train', file('d.mjs', 'export const a = 1, b = 2')],
		says: [/d\.mjs/, /export const config/],
	},
	{
		name: 'resume without a run',
		args: () => ['train', file('good.yaml', config({})), '--out', at('never'), '--resume'],
		says: [/never/, /config\.json/],
	},
	{
		name: 'run folder missing',
		args: () => ['generate', at('no-run'), '--prompt', 'x'],
		says: [/no-run/, /no such file|folder of a run/],
	},
	{
		name: 'run without config',
		args: () => {
			mkdirSync(at('empty-run'), { recursive: true });
			return ['generate', at('empty-run'), '--prompt', 'x'];
		},
		says: [/empty-run: has no config\.json/, /a run folder/],
	},
	{
		name: 'run is a file',
		args: () => ['eval', file('a-file', '')],
		says: [/a-file: is not a folder/, /folder of a run/],
	},
	{
		name: 'weights cut short',
		args: () => {
			copy('short');
			truncateSync(at('short/model.safetensors'), 3000);
			return ['generate', at('short'), '--prompt', 'x'];
		},
		says: [/short/, /model\.safetensors/],
	},
	{
		name: 'weights are text',
		args: () => {
			copy('text');
			file('text/model.safetensors', 'hello, I am no tensor');
			return ['chat', at('text')];
		},
		says: [/text\/model\.safetensors/],
	},
	{
		name: 'weights of another model',
		args: () => {
			copy('other');
			file('other/config.json', RUN_CONFIG.replace('"dim":8', '"dim":16'));
			return ['generate', at('other'), '--prompt', 'x'];
		},
		says: [/tensor/, /expected/],
	},
	{
		name: 'tokenizer missing',
		args: () => {
			copy('untok');
			rmSync(at('untok/tokenizer.json'));
			return ['generate', at('untok'), '--prompt', 'x'];
		},
		says: [/untok: has no tokenizer\.json/],
	},
	{
		name: 'tokenizer broken',
		args: () => {
			copy('tok');
			file('tok/tokenizer.json', '{"model": {"type": "BPE"}}');
			return ['generate', at('tok'), '--prompt', 'x'];
		},
		says: [/tokenizer\.json/],
	},
	{
		name: 'tokenizer of another size',
		args: () => {
			copy('big');
			file('big/config.json', RUN_CONFIG.replace('"vocabSize":300', '"vocabSize":200'));
			return ['generate', at('big'), '--prompt', 'x'];
		},
		says: [/expected/],
	},
	{
		name: 'no checkpoint to choose',
		args: () => ['generate', at('run'), '--prompt', 'x', '--checkpoint', '7'],
		says: [/run/, /checkpoint/],
	},
	{
		name: 'export over files',
		args: () => ['export', at('run'), '--format', 'onnx', '--out', at('run')],
		says: [/run: is not empty/, /--force/],
	},
	{
		name: 'export to GGUF',
		args: () => ['export', at('run'), '--format', 'gguf', '--out', at('x')],
		says: [/--format/, /onnx or safetensors/],
	},
	{
		name: 'text without two tokens',
		args: () => ['eval', at('run'), '--data', file('empty.txt', 'a'), '--max-tokens', '2'].slice(0, 4),
		says: [/expected|two tokens/],
	},
	{
		name: 'text that is not UTF-8',
		args: () => ['eval', at('run'), '--data', file('latin1.txt', Uint8Array.of(0x63, 0x61, 0x66, 0xe9, 0x0a))],
		says: [/latin1\.txt/, /UTF-8/],
	},
	{
		name: 'JSONL that is not',
		args: () => ['eval', at('run'), '--data', file('bad.jsonl', '{"text": "a"}\n{"text": \n')],
		says: [/bad\.jsonl/, /2/],
	},
	{
		name: 'JSONL without the field',
		args: () => ['eval', at('run'), '--data', file('f.jsonl', '{"body": "a"}\n')],
		says: [/f\.jsonl/, /text/],
	},
	{
		name: 'Parquet that is not',
		args: () => ['eval', at('run'), '--data', file('p.parquet', 'PAR1 no')],
		says: [/p\.parquet/],
	},
	{
		name: 'kinds mixed',
		args: () => ['eval', at('run'), '--data', at('f.jsonl'), at('empty.txt')],
		says: [/different kinds/, /only text/],
	},
	{
		name: 'field of plain text',
		args: () => ['tokenizer', 'train', at('empty.txt'), '--field', 'x', '--out', at('t')],
		says: [/--field/, /\.jsonl and \.parquet/],
	},
	{
		name: 'tokenizer over another',
		args: () => ['tokenizer', 'train', at('empty.txt'), '--out', at('run')],
		says: [/tokenizer\.json: is already there/, /--force/],
	},
	{
		name: 'inspect a missing tokenizer',
		args: () => ['tokenizer', 'inspect', at('none.json')],
		says: [/none\.json/, /no such file/],
	},
	{
		name: 'ids that are none',
		args: () => ['tokenizer', 'inspect', at('run'), '--ids', '1,x'],
		says: [/--ids/, /numbers with commas/],
	},
	{
		name: 'init over a file',
		args: () => ['init', file('mine.yaml', 'x')],
		says: [/mine\.yaml: is already there/, /--force/],
	},
	{ name: 'init of another format', args: () => ['init', at('mine.json')], says: [/mine\.json/, /\.yaml or \.yml/] },
	{ name: 'golden folder missing', args: () => ['parity', at('golden')], says: [/golden/] },
	{ name: 'unknown system', args: () => ['reproduce', 'retnt'], says: [/retnt/, /did you mean retnet/] },
	{ name: 'planned system', args: () => ['reproduce', 'the-x'], says: [/the-x/, /planned/] },
	{
		name: 'system message for a base model',
		args: () => ['chat', at('run'), '--system', 'Be kind'],
		says: [/system/, /chat template/],
	},
];

const FLAGS: readonly Case[] = [
	{ name: 'unknown command', args: () => ['tarin'], says: [/unknown command 'tarin'/, /Did you mean train/] },
	{
		name: 'unknown flag',
		args: () => ['train', 'x', '--sett', 'a=1'],
		says: [/unknown option '--sett'/, /Did you mean --set/],
	},
	{ name: 'argument missing', args: () => ['train'], says: [/missing required argument 'config'/] },
	{ name: 'too many arguments', args: () => ['train', 'a', 'b'], says: [/too many arguments/] },
	{ name: 'prompt missing', args: () => ['generate', 'x'], says: [/required option '--prompt <text>'/] },
	{ name: 'value missing', args: () => ['generate', 'x', '--prompt'], says: [/'--prompt <text>' argument missing/] },
	{
		name: 'tokens not a number',
		args: () => ['generate', 'x', '--prompt', 'a', '--max-tokens', 'ten'],
		says: [/--max-tokens/, /Expected a whole number/],
	},
	{
		name: 'tokens negative',
		args: () => ['generate', 'x', '--prompt', 'a', '--max-tokens=-1'],
		says: [/--max-tokens/, /from 1/],
	},
	{
		name: 'temperature negative',
		args: () => ['generate', 'x', '--prompt', 'a', '--temperature=-1'],
		says: [/--temperature/, /Expected a number from 0/],
	},
	{
		name: 'probability above one',
		args: () => ['generate', 'x', '--prompt', 'a', '--top-p', '2'],
		says: [/--top-p/, /from 0 to 1/],
	},
	{
		name: 'seed too large',
		args: () => ['generate', 'x', '--prompt', 'a', '--seed', '4294967296'],
		says: [/--seed/, /from 0 to 4294967295/],
	},
	{ name: 'unknown device', args: () => ['train', 'x', '--device', 'tpu'], says: [/--device/, /cpu, webgpu, cuda/] },
	{ name: 'unknown task', args: () => ['eval', 'x', '--task', 'mmlu'], says: [/--task/, /perplexity, bits-per-byte/] },
	{
		name: 'unknown format',
		args: () => ['export', 'x', '--format', 'pickle', '--out', 'y'],
		says: [/--format/, /onnx, safetensors, gguf/],
	},
	{
		name: 'unknown benchmark',
		args: () => ['bench', 'speed'],
		says: [/'speed' is invalid/, /train, profile, passes, matmul/],
	},
	{ name: 'unknown wave', args: () => ['systems', '--wave', '9'], says: [/--wave/, /1, 2 or 3/] },
	{
		name: 'checkpoint that is none',
		args: () => ['generate', 'x', '--prompt', 'a', '--checkpoint', 'first'],
		says: [/--checkpoint/, /last, best, or the number/],
	},
	{
		name: 'vocabulary too small',
		args: () => ['tokenizer', 'train', 'x', '--out', 'y', '--vocab-size', '12'],
		says: [/--vocab-size/, /from 257/],
	},
];

const RUN_CONFIG = JSON.stringify({
	model: { architecture: 'decoder', vocabSize: 300, dim: 8, layers: 1, heads: 2, maxLength: 32 },
});

/** A model that loads, to be damaged. */
before(async () => {
	const run = at('run');
	mkdirSync(run);
	const { tokenizer } = await trainBpe(['some words and some more words '.repeat(20)], { vocabSize: 270 });
	tokenizer.save(run);
	file('run/config.json', RUN_CONFIG);
	const model = buildModel((JSON.parse(RUN_CONFIG) as { model: Parameters<typeof buildModel>[0] }).model);
	writeSafetensors(join(run, 'model.safetensors'), model.parameters.initialize(1));
});

function copy(name: string): void {
	cpSync(at('run'), at(name), { recursive: true });
}

function check(
	{ name, says }: Case,
	{ code, stdout, stderr }: { code: number | null; stdout: string; stderr: string },
): void {
	assert.equal(code, 2, `${name}: exit code ${code}\n${stderr}`);
	assert.equal(stdout, '', `${name}: stdout`);
	assert.doesNotMatch(stderr, /^\s+at .*:\d+:\d+\)?$/m, `${name}: a stack trace\n${stderr}`);
	for (const pattern of says) assert.match(stderr, pattern, name);
}

for (const [group, cases] of Object.entries({ CONFIGS, SETS, FILES, FLAGS })) {
	test(`${group.toLowerCase()}: ${cases.length} kinds of bad input`, async () => {
		const failures: string[] = [];
		for (const each of cases) {
			try {
				check(each, await runCli(...each.args()));
			} catch (error) {
				failures.push(
					`${each.name}: ${(error as Error & { actual?: unknown }).message} ${(error as { actual?: unknown }).actual}`,
				);
			}
		}
		assert.deepEqual(failures, []);
	});
}

test('there are at least forty of them, all different', () => {
	const names = [...CONFIGS, ...SETS, ...FILES, ...FLAGS].map(({ name }) => name);
	assert.ok(names.length >= 40);
});

test('the program itself exits the same way', () => {
	const bin = fileURLToPath(new URL('../bin/modelsmith.js', import.meta.url));
	for (const each of [CONFIGS[1], FILES[0], FLAGS[0]] as Case[]) {
		const { status, stdout, stderr } = spawnSync(process.execPath, [bin, ...each.args()], { encoding: 'utf8' });
		check(each, { code: status, stdout, stderr });
	}
});
