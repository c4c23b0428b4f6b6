/** @file Run configurations: defaults, every contradiction, errors that name key, finding, expectation; resuming. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { checkResume, configHash, type RunConfig, resolveConfig } from './config.ts';

type Plain = Record<string, unknown>;
const base = (): Record<string, Plain> => ({
	model: { dim: 32, layers: 2, heads: 2, maxLength: 64 },
	data: { source: { kind: 'text', path: 'book.txt' }, sequenceLength: 32 },
	training: { steps: 10 },
});

function changed(path: string, value: unknown): unknown {
	const config = base();
	const keys = path.split('.');
	let at = config as Plain;
	for (const key of keys.slice(0, -1)) {
		at[key] ??= {};
		at = at[key] as Plain;
	}
	at[keys.at(-1) as string] = value;
	return config;
}

function resolved(raw: unknown): RunConfig {
	const { config, problems } = resolveConfig(raw);
	assert.deepEqual(
		problems.map(({ message }) => message),
		[],
	);
	return config as RunConfig;
}

test('a short configuration gets every default, and resolving twice changes nothing', () => {
	const config = resolved(base());
	assert.equal(config.training.optimizer.kind, 'adamw');
	assert.equal(config.training.schedule.kind, 'cosine');
	assert.deepEqual(config.training.objective, { kind: 'causal-lm', labelSmoothing: 0, zLoss: 0 });
	assert.equal(config.training.clip, 1);
	assert.equal(config.tokenizer.kind, 'bpe');
	assert.deepEqual(resolved(JSON.parse(JSON.stringify(config))), config);
});

const BAD: readonly [path: string, value: unknown, message: RegExp][] = [
	['training.stepz', 5, /training: unknown key "stepz"[\s\S]*did you mean "steps"/],
	['training.steps', 0, /training\.steps: .*\n.*>= 1\n.*found: +0/],
	['training.steps', 'many', /training\.steps: .*[\s\S]*found: +"many"/],
	['training.steps', undefined, /training: does not say how long to train[\s\S]*steps, epochs, tokens/],
	['training.epochs', 2, /training: says twice how long to train[\s\S]*steps and epochs/],
	[
		'training.optimizer',
		{ kind: 'adam' },
		/training\.optimizer\.kind: [\s\S]*adamw, lion, muon, sgd[\s\S]*did you mean "adamw"/,
	],
	['training.optimizer', { kind: 'adamw', lr: 1 }, /training\.optimizer: unknown key "lr"[\s\S]*learningRate/],
	['training.optimizer', { kind: 'adamw', betas: [0.9, 1] }, /training\.optimizer\.betas\.1/],
	['training.optimizer', { kind: 'sgd', momentum: -1 }, /training\.optimizer\.momentum/],
	['training.schedule', { kind: 'cosin' }, /training\.schedule\.kind[\s\S]*did you mean "cosine"/],
	['training.schedule', { kind: 'linear', warmup: 10 }, /training\.schedule\.warmup: takes the whole run/],
	['training.schedule', { kind: 'warmup-stable-decay', shape: 'exponential' }, /training\.schedule\.minimum/],
	['training.objective', { kind: 'masked-lm' }, /training\.objective\.kind/],
	['training.objective', { kind: 'causal-lm', labelSmoothing: 1 }, /training\.objective\.labelSmoothing/],
	['training.precision', 'mixed', /training\.precision: does not pay on the CPU/],
	['training.precision', 'float16', /training\.precision[\s\S]*float32, mixed/],
	['training.device', 'gpu', /training\.device[\s\S]*cpu, webgpu, cuda/],
	['training.clip', -1, /training\.clip/],
	['training.batchSize', 1.5, /training\.batchSize/],
	['training.ema', { decay: 1 }, /training\.ema\.decay/],
	['training.threads', 0, /training\.threads/],
	['training.seed', -1, /training\.seed/],
	['training.validation', { evry: 5 }, /training\.validation: unknown key "evry"[\s\S]*did you mean "every"/],
	['training.checkpoints', { keep: 0 }, /training\.checkpoints\.keep/],
	['training.sampling', { prompts: [] }, /training\.sampling\.prompts/],
	['training.earlyStopping', { patience: 0 }, /training\.earlyStopping\.patience/],
	['data.sequenceLength', 65, /data\.sequenceLength: is longer than the model can read/],
	['tokenizer', { kind: 'file' }, /tokenizer\.path: is missing/],
	['tokenizer', { kind: 'wordpiece' }, /tokenizer\.kind[\s\S]*bpe, file/],
	['model.dim', '32', /model\.dim/],
	['modle', {}, /unknown key "modle"[\s\S]*did you mean "model"/],
];

for (const [path, value, message] of BAD) {
	test(`bad: ${path} = ${JSON.stringify(value)}`, () => {
		const { config, problems } = resolveConfig(changed(path, value));
		assert.equal(config, undefined);
		assert.match(problems[0]?.message ?? '', message);
		assert.equal(problems[0]?.exitCode, 2);
	});
}

test('early stopping without validation data', () => {
	const raw = changed('training.earlyStopping', {}) as ReturnType<typeof base>;
	raw.data = { ...raw.data, validationFraction: 0 };
	assert.match(resolveConfig(raw).problems[0]?.message ?? '', /training\.earlyStopping: needs validation data/);
});

test('any JSON is either resolved or refused with a problem, never a crash', () => {
	fc.assert(
		fc.property(
			fc.jsonValue(),
			fc.constantFrom('model', 'data', 'training', 'tokenizer', 'training.schedule'),
			(value, path) => {
				const { config, problems } = resolveConfig(changed(path, value));
				assert.equal(config === undefined, problems.length > 0);
			},
		),
		{ numRuns: process.env.MODELSMITH_LONG === '1' ? 100_000 : 500 },
	);
	for (const raw of [null, 1, 'x', [], undefined]) assert.equal(resolveConfig(raw).problems.length, 1);
});

test('a resumed run must have the configuration it began with, but for what does not touch the numbers', () => {
	const before = resolved(base());
	const free = resolved({ ...base(), training: { steps: 10, checkpoints: { every: 3 }, tensorboard: true } });
	assert.doesNotThrow(() => checkResume(before, free));
	assert.equal(configHash(before), configHash(free));
	const other = resolved({ ...base(), training: { steps: 12, clip: null } });
	assert.notEqual(configHash(before), configHash(other));
	assert.throws(
		() => checkResume(before, other),
		/2 keys: the configuration differs[\s\S]*training\.clip = 1[\s\S]*training\.steps = 12/,
	);
});
