/** @file One forward pass through a model: sizes, masks and tables that all layers share and that are made only once. */
import { ShapeError } from '../base/errors.ts';
import { arange } from '../graph/ops/ranges.ts';
import { addDims, type Dim } from '../graph/shape.ts';
import type { Tensor } from '../graph/tensor.ts';

export interface PassOptions {
	readonly batch: Dim;
	/** New tokens. */
	readonly time: Dim;
	/** Tokens already in the state; 0 for a full pass. */
	readonly past?: Dim;
	/** Position of every token in its document [batch, time], integer; absent: past, past+1, ... */
	readonly positions?: Tensor | undefined;
	/** True at real tokens among the past and new ones [batch, past + time], bool. */
	readonly keyMask?: Tensor | undefined;
	/** Document numbers in packed rows [batch, time]; only in a full pass. */
	readonly segmentIds?: Tensor | undefined;
	/** Output of the encoder [batch, source, dim]; absent where its keys and values are cached. */
	readonly memory?: Tensor | undefined;
	/** True at real source tokens [batch, source], bool; absent: all real. */
	readonly sourceMask?: Tensor | undefined;
	readonly training?: boolean;
	/** Scalar int32 seed of the noise of this pass. */
	readonly seed?: Tensor | undefined;
}

/** Which layer a part runs in: a number, or a scalar int32 tensor inside a loop over layers. */
export type LayerIndex = number | Tensor;

/** See the file comment. Inside a loop over layers, what `once` makes stays outside the loop. */
export class Pass {
	readonly options: PassOptions;
	/** The layer being built; undefined outside layers. */
	readonly layer: LayerIndex | undefined;
	private readonly made: Map<unknown, unknown>;

	constructor(options: PassOptions, layer?: LayerIndex, made: Map<unknown, unknown> = new Map()) {
		this.options = options;
		this.layer = layer;
		this.made = made;
	}

	get batch(): Dim {
		return this.options.batch;
	}

	get time(): Dim {
		return this.options.time;
	}

	get past(): Dim {
		return this.options.past ?? 0;
	}

	/** Keys a self-attention sees: past + time. */
	get keys(): Dim {
		return addDims(this.past, this.time);
	}

	get training(): boolean {
		return this.options.training ?? false;
	}

	/** Output of the encoder. @throws ShapeError where there is none */
	get memory(): Tensor {
		if (this.options.memory === undefined) throw new ShapeError('cross-attention needs the output of an encoder');
		return this.options.memory;
	}

	/** The same pass seen from one layer. */
	inLayer(layer: LayerIndex): Pass {
		return new Pass(this.options, layer, this.made);
	}

	/** The value for `key`, made at the first call. It must not depend on a layer. */
	once<T>(key: unknown, make: () => T): T {
		if (!this.made.has(key)) this.made.set(key, make());
		return this.made.get(key) as T;
	}

	/** Position of every new token: [batch, time] where given, else [time]; int64 or int32. */
	positions(): Tensor {
		return this.options.positions ?? this.once('positions', () => arange(this.past, this.keys));
	}
}
