/** @file Every optimizer against its definition in plain float64, by kernels and by the engine. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { elementCount, hostTensor } from '../base/host-tensor.ts';
import { RandomStream } from '../base/random.ts';
import { input } from '../graph/ops/source.ts';
import { fullShape, type ParameterRole, type ParameterSpec } from '../nn/parameters.ts';
import type { Optimizer } from './optimizer.ts';
import { createOptimizer, optimizerConfig } from './optimizer-registry.ts';
import { ResidentTensors } from './resident-tensors.ts';
import { planParameter } from './slots.ts';
import { residenceOf, Updater } from './updater.ts';

function spec(name: string, shape: readonly number[], role: ParameterRole, stacked?: number): ParameterSpec {
	const tensor = input(name, 'float32', stacked === undefined ? shape : [stacked, ...shape]);
	const initializer = () => new Float32Array(0);
	return { name, shape, role, trainable: true, tensor, initializer, ...(stacked !== undefined && { stacked }) };
}

const SPECS = [
	spec('wide', [4, 6], 'matrix'),
	spec('layers.*.tall', [6, 4], 'matrix', 3),
	spec('bias', [5], 'vector'),
	spec('table', [7, 3], 'embedding'),
];
const FACTORS = [0.5, 1, 0.25, 0.8];

type Values = Float64Array<ArrayBuffer>;
/** One step on one parameter; `state` starts empty. */
type Reference = (
	p: Values,
	g: Values,
	state: Record<string, Values>,
	step: number,
	factor: number,
	of: ParameterSpec,
) => Values;

async function check(config: Record<string, unknown>, reference: Reference, tolerance = 2e-6): Promise<void> {
	const optimizer: Optimizer = createOptimizer(optimizerConfig.parse(config));
	for (const kernels of [true, false]) {
		const random = new RandomStream(5);
		const draw = (count: number): number[] => Array.from({ length: count }, () => Math.fround(random.normal()));
		const options = { optimizer, ema: false, device: 'cpu' as const, threads: 1, kernels };
		const plans = SPECS.map((one) => planParameter(one, optimizer.rule(one), false));
		const residents = await ResidentTensors.allocate(plans, residenceOf(options));
		const updater = await Updater.compile(plans, residents, options);
		const expected = SPECS.map((one) => {
			const start = draw(elementCount(fullShape(one)));
			residents.set(one.name, hostTensor('float32', fullShape(one), start));
			return Float64Array.from(start);
		});
		const states: Record<string, Values>[] = SPECS.map(() => ({}));
		for (const [index, factor] of FACTORS.entries()) {
			for (const [i, one] of SPECS.entries()) {
				const gradient = draw(elementCount(fullShape(one)));
				residents.set(`gradient.${one.name}`, hostTensor('float32', fullShape(one), gradient));
				const scaled = Float64Array.from(gradient, (value) => value * 0.5);
				expected[i] = reference(expected[i]!, scaled, states[i]!, index + 1, factor, one);
			}
			await updater.apply({ ...optimizer.scalars({ step: index + 1, factor }), gradientScale: 0.5 });
		}
		for (const [i, one] of SPECS.entries()) {
			const { data } = await residents.get(one.name);
			expected[i]!.forEach((value, j) => {
				const error = Math.abs(Number(data[j]) - value);
				const label = `${config.kind}, ${kernels ? 'kernels' : 'engine'}: ${one.name}[${j}]`;
				assert.ok(error <= tolerance * (1 + Math.abs(value)), `${label} is ${data[j]}, not ${value}`);
			});
		}
	}
}

const slot = (state: Record<string, Values>, name: string, like: Values): Values => {
	state[name] ??= new Float64Array(like.length);
	return state[name];
};

const adam =
	(lr: number, [b1, b2]: [number, number], eps: number, decay: (of: ParameterSpec) => number): Reference =>
	(p, g, state, step, factor, of) => {
		const [m, v] = [slot(state, 'm', p), slot(state, 'v', p)];
		return p.map((value, i) => {
			m[i] = b1 * m[i]! + (1 - b1) * g[i]!;
			v[i] = b2 * v[i]! + (1 - b2) * g[i]! ** 2;
			const mHat = m[i]! / (1 - b1 ** step);
			const vHat = v[i]! / (1 - b2 ** step);
			return value * (1 - lr * factor * decay(of)) - (lr * factor * mHat) / (Math.sqrt(vHat) + eps);
		});
	};

test('adamw: decoupled decay by group, bias correction, epsilon outside the root', async () => {
	const groups = {
		all: () => 0.3,
		matrices: ({ role }: ParameterSpec) => (role === 'vector' ? 0 : 0.3),
		'hidden-matrices': ({ role }: ParameterSpec) => (role === 'matrix' ? 0.3 : 0),
	};
	for (const [decay, of] of Object.entries(groups)) {
		const config = { kind: 'adamw', learningRate: 0.1, betas: [0.9, 0.999], epsilon: 0.01, weightDecay: 0.3, decay };
		await check(config, adam(0.1, [0.9, 0.999], 0.01, of));
	}
});

test('lion: sign of the interpolated momentum', async () => {
	const config = { kind: 'lion', learningRate: 0.1, betas: [0.8, 0.95], weightDecay: 0.2, decay: 'all' };
	await check(config, (p, g, state, _step, factor) => {
		const m = slot(state, 'm', p);
		return p.map((value, i) => {
			const direction = Math.sign(0.8 * m[i]! + 0.2 * g[i]!);
			m[i] = 0.95 * m[i]! + 0.05 * g[i]!;
			return value * (1 - 0.1 * factor * 0.2) - 0.1 * factor * direction;
		});
	});
});

test('sgd: plain, with momentum, with Nesterov momentum and coupled decay', async () => {
	for (const [momentum, nesterov, weightDecay] of [
		[0, false, 0],
		[0.9, false, 0.1],
		[0.7, true, 0.1],
	] as const) {
		const config = { kind: 'sgd', learningRate: 0.1, momentum, nesterov, weightDecay, decay: 'all' };
		await check(config, (p, g, state, step, factor) => {
			const buffer = slot(state, 'b', p);
			return p.map((value, i) => {
				const total = g[i]! + weightDecay * value;
				buffer[i] = step === 1 ? total : momentum * buffer[i]! + total;
				const direction = momentum === 0 ? total : nesterov ? total + momentum * buffer[i]! : buffer[i]!;
				return value - 0.1 * factor * direction;
			});
		});
	}
});

type Matrix = number[][];
const times = (a: Matrix, b: Matrix): Matrix =>
	a.map((row) => b[0]!.map((_, j) => row.reduce((t, x, k) => t + x * b[k]![j]!, 0)));
const turned = (a: Matrix): Matrix => a[0]!.map((_, j) => a.map((row) => row[j]!));
const combine = (a: Matrix, x: number, b: Matrix, y: number): Matrix =>
	a.map((row, i) => row.map((v, j) => x * v + y * b[i]![j]!));

/** zeropower_via_newtonschulz5 as its author defines it. */
function newtonSchulz(g: Matrix): Matrix {
	let x = g.length > g[0]!.length ? turned(g) : g;
	const norm = Math.sqrt(x.flat().reduce((t, v) => t + v * v, 0)) + 1e-7;
	x = x.map((row) => row.map((v) => v / norm));
	for (let i = 0; i < 5; i++) {
		const a = times(x, turned(x));
		const b = combine(a, -4.775, times(a, a), 2.0315);
		x = combine(x, 3.4445, times(b, x), 1);
	}
	return g.length > g[0]!.length ? turned(x) : x;
}

test('muon: orthogonalised Nesterov momentum on hidden matrices layer by layer, adamw on the rest', async () => {
	const config = { kind: 'muon', learningRate: 0.1, momentum: 0.9, weightDecay: 0.2, adamw: { learningRate: 0.05 } };
	const rest = adam(0.05, [0.9, 0.95], 1e-10, () => 0);
	await check(
		config,
		(p, g, state, step, factor, of) => {
			if (of.role !== 'matrix') return rest(p, g, state, step, factor, of);
			const m = slot(state, 'm', p);
			const [rows, columns] = of.shape as [number, number];
			const direction = g.map((value, i) => {
				m[i] = 0.9 * m[i]! + 0.1 * value;
				return 0.1 * value + 0.9 * m[i]!;
			});
			const next = p.map((value) => value * (1 - 0.1 * factor * 0.2));
			for (let layer = 0; layer < (of.stacked ?? 1); layer++) {
				const at = (i: number, j: number): number => (layer * rows + i) * columns + j;
				const matrix = Array.from({ length: rows }, (_, i) =>
					Array.from({ length: columns }, (_, j) => direction[at(i, j)]!),
				);
				newtonSchulz(matrix).forEach((row, i) => {
					row.forEach((v, j) => {
						next[at(i, j)]! -= 0.1 * factor * Math.sqrt(Math.max(1, rows / columns)) * v;
					});
				});
			}
			return next;
		},
		1e-4,
	);
});
