/** @file Dropout inside a pass: off outside training, another stream of numbers for every layer and place. */
import { ConfigError } from '../base/errors.ts';
import type { Tensor } from '../graph/tensor.ts';
import type { Pass } from './pass.ts';

/** Drops elements of x with probability `rate`; `site` names the place within the layer. */
export function dropout(x: Tensor, rate: number, pass: Pass, site: string): Tensor {
	if (rate === 0 || !pass.training) return x;
	throw new ConfigError(`dropout at ${site} needs random numbers in the graph`);
}

/**
 * Stochastic depth (Huang et al. 2016): drops the whole branch of a text with a rate that grows linearly from 0 at the
 * first layer to `rate` at the last. x [batch, ...].
 */
export function dropPath(x: Tensor, rate: number, _layers: number, pass: Pass, site: string): Tensor {
	if (rate === 0 || !pass.training) return x;
	throw new ConfigError(`dropping paths at ${site} needs random numbers in the graph`);
}
