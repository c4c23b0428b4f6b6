/** @file A configuration as a module, for values that are computed: `npm run modelsmith -- train examples/config.ts`. */
import type { RunConfigInput } from 'modelsmith/training/config';

const layers = 4;
const dim = 48 * layers;

export const config: RunConfigInput = {
	model: {
		architecture: 'decoder',
		dim,
		layers,
		heads: dim / 48,
		maxLength: 256,
		position: { kind: 'rope' },
		norm: { kind: 'rms' },
		feedForward: { kind: 'glu', hidden: Math.ceil((dim * 8) / 3 / 32) * 32 },
	},
	data: { source: { kind: 'moby-dick' }, sequenceLength: 128 },
	training: { epochs: 1, batchSize: 16, optimizer: { kind: 'adamw', learningRate: 2e-3 } },
};
