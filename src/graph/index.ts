/** @file Public names of the graph room: `import { matmul, gradients } from 'modelsmith/graph'`. */
export { barrier, customGradient, stopGradient, straightThrough } from './alias.ts';
export { checkpoint } from './checkpoint.ts';
export { gradients, vectorJacobian, zerosLike } from './gradients.ts';
export { allOps, apply, apply1, defineOp, type OpDefinition, type OpSample } from './op.ts';
export * from './ops/arithmetic.ts';
export { cast } from './ops/cast.ts';
export * from './ops/compare.ts';
export { crossEntropy, IGNORE_INDEX } from './ops/cross-entropy.ts';
export { embedding, gather, scatterAdd, scatterAddRows, takeAlongAxis } from './ops/indexing.ts';
export { linear, matmul } from './ops/matmul.ts';
export * from './ops/movement.ts';
export { layerNorm, logSoftmax, rmsNorm, softmax } from './ops/normalization.ts';
export * from './ops/reduction.ts';
export { constant, constantOf, input, scalar } from './ops/source.ts';
export * from './ops/unary.ts';
export { scan } from './scan.ts';
export { type Dim, dim, type Shape } from './shape.ts';
export type { Tensor, TensorLike, TensorType } from './tensor.ts';
