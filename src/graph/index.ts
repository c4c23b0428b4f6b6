/** @file Public names of the graph room: `import { matmul, gradients } from 'modelsmith/graph'`. */
export { barrier, customGradient, stopGradient, straightThrough } from './alias.ts';
export { checkpoint } from './checkpoint.ts';
export { gradients, vectorJacobian, zerosLike } from './gradients.ts';
export { allOps, apply, apply1, defineOp, type OpDefinition, type OpSample } from './op.ts';
export * from './ops/arithmetic.ts';
export * from './ops/bitwise.ts';
export { cast } from './ops/cast.ts';
export * from './ops/compare.ts';
export { conv1d, conv2d, convTranspose1d, convTranspose2d } from './ops/convolution.ts';
export { crossEntropy, IGNORE_INDEX } from './ops/cross-entropy.ts';
export { cumSum } from './ops/cumulative.ts';
export { einsum } from './ops/einsum.ts';
export { addAt, embedding, gather, scatterAdd, scatterAddRows, takeAlongAxis } from './ops/indexing.ts';
export {
	type LinearCrossEntropyOptions,
	type LossOptions,
	linearCrossEntropy,
	smoothedCrossEntropy,
} from './ops/linear-cross-entropy.ts';
export { causalMask, oneHot, tril, triu } from './ops/masks.ts';
export { linear, matmul } from './ops/matmul.ts';
export * from './ops/movement.ts';
export { layerNorm, logSoftmax, rmsNorm, softmax } from './ops/normalization.ts';
export * from './ops/quantization.ts';
export { dropout, foldSeed, gumbel, randomBernoulli, randomNormal, randomUniform } from './ops/random.ts';
export { arange, dimValue } from './ops/ranges.ts';
export * from './ops/reduction.ts';
export { argmax, argmin, argsort, sort, topK } from './ops/selection.ts';
export * from './ops/slicing.ts';
export { constant, constantOf, input, scalar } from './ops/source.ts';
export * from './ops/unary.ts';
export { scan } from './scan.ts';
export { type Dim, dim, type Shape } from './shape.ts';
export type { Tensor, TensorLike, TensorType } from './tensor.ts';
