/** @file Decoding one token at a time with a state, as generation does, to compare with a full pass. */
import { type HostTensor, hostTensor, zeros } from '../../base/host-tensor.ts';
import { input } from '../../graph/ops/source.ts';
import { dim } from '../../graph/shape.ts';
import type { InputAttributes, Tensor } from '../../graph/tensor.ts';
import type { StateSpec } from '../../models/language-model.ts';
import { Program } from '../../runtime/program.ts';

export interface Stepwise {
	/** Whole input [batch, time, ...]; cut along time. */
	readonly x: HostTensor;
	readonly states: readonly StateSpec[];
	/** Graph of new tokens: x [batch, time, ...], positions [batch, time] -> output [batch, time, ...] and next state. */
	readonly step: (
		x: Tensor,
		positions: Tensor,
		state: readonly Tensor[],
	) => { readonly output: Tensor; readonly state: readonly Tensor[] };
	/** Values of all other graph inputs. */
	readonly feeds: Readonly<Record<string, HostTensor>>;
	/** Tokens in each step; default 1. */
	readonly chunk?: number;
}

/** Outputs of all steps joined along time. */
export async function runStepByStep({ x, states, step, feeds, chunk = 1 }: Stepwise): Promise<HostTensor> {
	const [batch, time, ...rest] = x.dims as [number, number, ...number[]];
	const sizes = [dim('batch'), dim('time')];
	const tokens = input('step x', x.dtype, [...sizes, ...rest]);
	const positions = input('step positions', 'int32', sizes);
	const state = states.map(({ name, dtype, shape }) => input(`state ${name}`, dtype, shape));
	const stepped = step(tokens, positions, state);
	const program = await Program.compile({
		output: stepped.output,
		...Object.fromEntries(stepped.state.map((tensor, i) => [`next ${i}`, tensor])),
	});
	let current = states.map(({ dtype, shape }) =>
		zeros(
			dtype,
			shape.map((size) => (typeof size === 'number' ? size : size.key === 'batch' ? batch : 0)),
		),
	);
	const outputs: HostTensor[] = [];
	for (let start = 0; start < time; start += chunk) {
		const end = Math.min(start + chunk, time);
		const count = end - start;
		const at = Array.from({ length: batch * count }, (_, i) => start + (i % count));
		const results = await program.run({
			...feeds,
			'step x': cutTime(x, start, end),
			'step positions': hostTensor('int32', [batch, count], at),
			...Object.fromEntries(
				state.map((tensor, i) => [(tensor.node.attributes as InputAttributes).name, current[i] as HostTensor]),
			),
		});
		outputs.push(results.output as HostTensor);
		current = current.map((_, i) => results[`next ${i}`] as HostTensor);
	}
	return joinTime(outputs);
}

/** Elements start..end-1 of axis 1. */
export function cutTime({ dtype, dims, data }: HostTensor, start: number, end: number): HostTensor {
	const [batch, time, ...rest] = dims as [number, number, ...number[]];
	const inner = rest.reduce((a, b) => a * b, 1);
	const part = zeros(dtype, [batch, end - start, ...rest]);
	for (let row = 0; row < batch; row++) {
		const from = (row * time + start) * inner;
		(part.data as Float32Array).set(
			(data as Float32Array).subarray(from, from + (end - start) * inner),
			row * (end - start) * inner,
		);
	}
	return part;
}

/** Joins [batch, time, ...] tensors along time. */
function joinTime(parts: readonly HostTensor[]): HostTensor {
	const [first] = parts as [HostTensor];
	const [batch, , ...rest] = first.dims as [number, number, ...number[]];
	const inner = rest.reduce((a, b) => a * b, 1);
	const time = parts.reduce((total, { dims }) => total + (dims[1] as number), 0);
	const joined = zeros(first.dtype, [batch, time, ...rest]);
	let start = 0;
	for (const { dims, data } of parts) {
		const count = (dims[1] as number) * inner;
		for (let row = 0; row < batch; row++) {
			const source = (data as Float32Array).subarray(row * count, (row + 1) * count);
			(joined.data as Float32Array).set(source, row * time * inner + start);
		}
		start += count;
	}
	return joined;
}
