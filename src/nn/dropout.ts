/** @file Dropout inside a pass: off outside training, other random numbers for every layer and place. */
import { ConfigError } from '../base/errors.ts';
import { div, mul, sub } from '../graph/ops/arithmetic.ts';
import { cast } from '../graph/ops/cast.ts';
import { greaterEqual, where } from '../graph/ops/compare.ts';
import { foldSeed, dropout as graphDropout, randomUniform } from '../graph/ops/random.ts';
import type { Tensor } from '../graph/tensor.ts';
import type { Pass } from './pass.ts';

/** Seed of the current layer; a chain and a loop of layers get the same. */
function layerSeed(pass: Pass): Tensor {
	const { seed } = pass.options;
	if (seed === undefined) {
		throw new ConfigError('dropout needs a seed while training', { fix: 'pass a scalar int32 tensor as context.seed' });
	}
	return pass.layer === undefined ? seed : foldSeed(seed, pass.layer);
}

/** Drops elements of x with probability `rate`, the others grow by 1 / (1 - rate); `site` names the place in the layer. */
export function dropout(x: Tensor, rate: number, pass: Pass, site: string): Tensor {
	return rate === 0 || !pass.training ? x : graphDropout(x, rate, layerSeed(pass), { stream: site });
}

/**
 * Stochastic depth (Huang et al. 2016): drops the whole branch of a text [batch, ...] with a rate that grows linearly
 * from 0 at the first of `layers` layers to `rate` at the last.
 */
export function dropPath(x: Tensor, rate: number, layers: number, pass: Pass, site: string): Tensor {
	if (rate === 0 || !pass.training || pass.layer === undefined || layers === 1) return x;
	const step = rate / (layers - 1);
	const here = typeof pass.layer === 'number' ? pass.layer * step : mul(cast(pass.layer, 'float32'), step);
	if (here === 0) return x;
	const perText = x.shape.map((size, axis) => (axis === 0 ? size : 1));
	const kept = greaterEqual(randomUniform(layerSeed(pass), perText, { stream: `${site}.path` }), here);
	const factor = typeof here === 'number' ? 1 / (1 - here) : undefined;
	const survivors = where(kept, x, 0);
	return factor === undefined ? div(survivors, sub(1, here)) : mul(survivors, factor);
}
