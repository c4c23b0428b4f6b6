/** @file Dynamic loss scaling: the largest power of two that does not overflow float16 gradients, found by trying. */

const INITIAL = 2 ** 15;
const LARGEST = 2 ** 24;
/** Good steps before the scale is doubled. */
const PATIENCE = 2000;

export interface LossScaleState {
	readonly scale: number;
	readonly goodSteps: number;
}

export class LossScaler {
	scale = INITIAL;
	goodSteps = 0;

	/** Halves the scale after an overflow, doubles it after many good steps. */
	update(finite: boolean): void {
		this.goodSteps = finite ? this.goodSteps + 1 : 0;
		if (!finite) this.scale = Math.max(1, this.scale / 2);
		else if (this.goodSteps >= PATIENCE) {
			this.scale = Math.min(LARGEST, this.scale * 2);
			this.goodSteps = 0;
		}
	}

	state(): LossScaleState {
		return { scale: this.scale, goodSteps: this.goodSteps };
	}

	restore({ scale, goodSteps }: LossScaleState): void {
		this.scale = scale;
		this.goodSteps = goodSteps;
	}
}
