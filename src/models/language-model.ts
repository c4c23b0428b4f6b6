/** @file What training, generation and evaluation need of a model; every architecture provides it. */
import type { DType } from '../base/host-tensor.ts';
import type { Shape } from '../graph/shape.ts';
import type { Tensor } from '../graph/tensor.ts';
import type { ParameterTree } from '../nn/parameters.ts';

/** Tensors that describe one batch of text. */
export interface TextInputs {
	/** Token ids [batch, time], int32. */
	readonly tokens: Tensor;
	/** Position of every token in its document [batch, time], int32; absent: 0, 1, 2, ... */
	readonly positions?: Tensor;
	/** Document number of every token in a packed row [batch, time], int32: attention stays inside a document. */
	readonly segmentIds?: Tensor;
	/** True at real tokens [batch, time], bool; absent: all real. */
	readonly paddingMask?: Tensor;
}

/** Settings of one forward pass. */
export interface ForwardContext {
	/** Dropout and other noise are on. */
	readonly training: boolean;
	/** Scalar int32 seed of this pass; needed where `training` and a dropout rate is above zero. */
	readonly seed?: Tensor;
}

export interface HiddenStates {
	/** [batch, time, dim], after the final norm. */
	readonly hidden: Tensor;
	/** Scalars to add to the loss, already weighted (router balance ...). */
	readonly auxiliaryLosses: readonly Tensor[];
}

/** One tensor of a decoding state (keys, values, a recurrent state), fed in and given back at every step. */
export interface StateSpec {
	readonly name: string;
	readonly dtype: DType;
	/** With the symbolic sizes `batch`, and `past` where the state grows with the text. */
	readonly shape: Shape;
	/** Axis that grows by the new tokens at every step, if any. */
	readonly growsAlong?: number;
}

/** Text that continues a state. */
export interface StepInputs extends TextInputs {
	/** Position of every new token [batch, time], int32: given, as rows of a batch may differ in length. */
	readonly positions: Tensor;
	/** True for the cached and new tokens that are real [batch, past + time], bool (left padding in a batch). */
	readonly attentionMask?: Tensor;
	readonly state: readonly Tensor[];
}

export interface StepResult {
	/** [batch, time, dim] for the new tokens. */
	readonly hidden: Tensor;
	/** In the order of `stateSpecs`; a growing state has past + time there. */
	readonly state: readonly Tensor[];
}

/** A decoder that predicts the next token. */
export interface CausalLanguageModel {
	readonly kind: 'causal';
	readonly vocabSize: number;
	/** Longest text the positions cover; undefined where there is no limit. */
	readonly maxLength: number | undefined;
	readonly parameters: ParameterTree;
	hiddenStates(inputs: TextInputs, context: ForwardContext): HiddenStates;
	/** [..., dim] -> [..., vocab]. */
	logits(hidden: Tensor): Tensor;
	/** The output matrix [vocab, dim], for losses that never build all logits; undefined where the head has more to it. */
	readonly outputWeight: Tensor | undefined;
	/** What decoding carries from token to token. */
	readonly stateSpecs: readonly StateSpec[];
	/** New tokens on top of a state; prefill is a step on an empty state. */
	step(inputs: StepInputs): StepResult;
	/** Floating-point operations of a forward pass for one token at the given context length (multiply-add = 2). */
	forwardFlopsPerToken(contextLength: number): number;
}
