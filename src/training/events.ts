/** @file What a training run tells while it works; plain data, so that it passes between threads. */
import type { Profile } from '../runtime/profile.ts';
import type { StepMetrics, ValidationMetrics } from './metrics/metrics.ts';

export type TrainingEvent =
	/** Work before the first step: training the tokenizer, tokenizing, compiling. `total` where it is known. */
	| { readonly type: 'prepare'; readonly what: string; readonly done?: number; readonly total?: number }
	| {
			readonly type: 'start';
			/** Updates done already. */
			readonly step: number;
			readonly totalSteps: number;
			/** Numbers in all parameters. */
			readonly parameters: number;
			readonly tokensPerStep: number;
			/** Bytes of parameters, gradients and optimizer state. */
			readonly stateBytes: number;
			readonly resumedFrom?: string;
	  }
	| ({ readonly type: 'step' } & StepMetrics)
	| ({ readonly type: 'validation' } & ValidationMetrics)
	| { readonly type: 'sample'; readonly step: number; readonly samples: readonly Sample[] }
	| { readonly type: 'checkpoint'; readonly step: number; readonly path: string }
	/** Time in every op over the first steps; `path` is a Chrome trace. */
	| { readonly type: 'profile'; readonly path: string; readonly profile: Profile }
	| { readonly type: 'warning'; readonly message: string };

export interface Sample {
	readonly prompt: string;
	readonly text: string;
}

/** How a run ended. */
export interface TrainingSummary {
	readonly reason: 'finished' | 'early-stop';
	readonly step: number;
	/** Loss of the last step; undefined when the run was complete already. */
	readonly loss?: number;
	readonly best?: { readonly step: number; readonly loss: number };
	readonly tokens: number;
	readonly seconds: number;
	/** Folder of the last checkpoint, where the run has a folder. */
	readonly checkpoint?: string;
}
