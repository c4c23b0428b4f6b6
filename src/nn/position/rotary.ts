/** @file Rotary position embedding (Su et al. 2021): pairs of query and key features turn with the position. */
import { z } from 'zod';
import { ShapeError } from '../../base/errors.ts';
import { add, mul, sub } from '../../graph/ops/arithmetic.ts';
import { cast } from '../../graph/ops/cast.ts';
import { expandDims, reshape } from '../../graph/ops/movement.ts';
import { concat, select, split, stack } from '../../graph/ops/slicing.ts';
import { constantOf } from '../../graph/ops/source.ts';
import { cos, sin } from '../../graph/ops/unary.ts';
import { staticDim } from '../../graph/shape.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { positions } from './position.ts';

/** Which features form a pair: (i, i + d/2), as LLaMA, or (2i, 2i + 1), as the paper. */
export type RotaryVariant = 'half' | 'interleaved';
/** theta^(-2i/d), or theta^(-i/(d/2-1)) with both ends included (RetNet, YOCO). */
export type RotaryFrequencies = 'standard' | 'linspace';

/** Angle of each of the d/2 pairs for one step of position. */
export function rotaryFrequencies(headDim: number, theta: number, frequencies: RotaryFrequencies): number[] {
	if (headDim % 2 !== 0) {
		throw new ShapeError('rotary positions pair the features of a head', {
			expected: 'an even head size',
			found: `${headDim}`,
		});
	}
	const pairs = headDim / 2;
	const last = frequencies === 'standard' ? pairs : Math.max(pairs - 1, 1);
	return Array.from({ length: pairs }, (_, i) => theta ** (-i / last));
}

/** Cosine and sine of every angle. */
export interface Rotation {
	readonly cos: Tensor;
	readonly sin: Tensor;
}

/** positions [time] or [batch, time] -> cos and sin [time, d/2] or [batch, 1, time, d/2]. */
export function rotation(at: Tensor, frequencies: readonly number[]): Rotation {
	const angles = mul(expandDims(cast(at, 'float32'), -1), constantOf(frequencies, [frequencies.length]));
	const perHead = angles.rank === 3 ? expandDims(angles, 1) : angles;
	return { cos: cos(perHead), sin: sin(perHead) };
}

/** Turns the pairs of x [batch, heads, time, headDim] by the given rotation. */
export function rotate(x: Tensor, by: Rotation, variant: RotaryVariant): Tensor {
	const axis = x.rank - 1;
	const headDim = staticDim(x.shape[axis] as number, 'rotary positions');
	if (variant === 'half') {
		const [a, b] = split(x, 2, axis) as [Tensor, Tensor];
		return concat(turn(a, b, by), axis);
	}
	const paired = reshape(x, [...x.shape.slice(0, -1), headDim / 2, 2]);
	const turned = turn(select(paired, axis + 1, 0), select(paired, axis + 1, 1), by);
	return reshape(stack(turned, axis + 1), x.shape);
}

function turn(a: Tensor, b: Tensor, by: Rotation): [Tensor, Tensor] {
	return [sub(mul(a, by.cos), mul(b, by.sin)), add(mul(b, by.cos), mul(a, by.sin))];
}

positions.register({
	schema: z
		.strictObject({
			kind: z.literal('rope'),
			theta: z.number().positive().default(10000).describe('Base of the frequencies; larger for longer contexts.'),
			variant: z
				.enum(['half', 'interleaved'])
				.default('half')
				.describe('Pairs (i, i + d/2), as Hugging Face LLaMA weights expect, or (2i, 2i + 1).'),
			frequencies: z
				.enum(['standard', 'linspace'])
				.default('standard')
				.describe('theta^(-2i/d), or theta^(-i/(d/2-1)) as RetNet and YOCO.'),
		})
		.describe('Rotary positions on queries and keys.'),
	build: (config) => {
		const key = {};
		const apply: NonNullable<ReturnType<typeof positions.build>['rotary']>['query'] = (x, pass) => {
			const headDim = staticDim(x.shape[x.rank - 1] as number, 'rotary positions');
			const tables = pass.once(key, () => new Map<number, Rotation>());
			let by = tables.get(headDim);
			if (by === undefined) {
				by = rotation(pass.positions(), rotaryFrequencies(headDim, config.theta, config.frequencies));
				tables.set(headDim, by);
			}
			return rotate(x, by, config.variant);
		};
		return { limited: false, rotary: { query: apply, key: apply } };
	},
});
