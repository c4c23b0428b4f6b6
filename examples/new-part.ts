/** @file A norm of your own, used by its kind in a model config: `npm run example -- examples/new-part.ts`. */
import { abs, div, maximum, mean, mul, scalar } from 'modelsmith/graph';
import { buildModel } from 'modelsmith/models/model';
import { formatSummary, modelSummary } from 'modelsmith/models/summary';
import { ones } from 'modelsmith/nn/initializers';
import { norms } from 'modelsmith/nn/norm/norm';
import { z } from 'zod';

/** x / mean |x|: a norm that needs no square and no root. */
norms.register({
	schema: z
		.strictObject({
			kind: z.literal('mean-absolute'),
			epsilon: z.number().positive().default(1e-6).describe('Smallest divisor.'),
		})
		.describe('Division by the mean absolute value.'),
	build: ({ epsilon }, scope, size) => {
		const weight = scope.parameter('weight', [size], ones);
		return (x) => mul(div(x, maximum(mean(abs(x), { axis: -1, keepDims: true }), scalar(epsilon))), weight);
	},
});

// from here on `mean-absolute` is a kind like the built-in ones, checked by the same schema
const model = buildModel({
	architecture: 'decoder',
	vocabSize: 512,
	dim: 64,
	layers: 2,
	heads: 4,
	norm: { kind: 'mean-absolute', epsilon: 1e-5 },
});
console.log(formatSummary(modelSummary(model)));
