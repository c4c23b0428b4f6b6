/** @file Convolutions over one or two spatial axes (NCHW), and their transposes. */
import { ShapeError } from '../../base/errors.ts';
import type { OnnxAttributes } from '../emitter.ts';
import { apply1, defineOp, located, type OpDefinition, type OpSample } from '../op.ts';
import { forEachIndex, type NDArray, ndarray, stridesOf } from '../reference.ts';
import { addDims, type Dim, dimsEqual, divideDims, formatShape, multiplyDims, subtractDims } from '../shape.ts';
import { isFloat, type Tensor, type TensorType } from '../tensor.ts';
import { reshape, transpose } from './movement.ts';
import { sum } from './reduction.ts';
import { slice } from './slicing.ts';

/** One entry for each spatial axis. */
interface ConvAttributes {
	readonly strides: readonly number[];
	readonly before: readonly number[];
	readonly after: readonly number[];
	readonly dilations: readonly number[];
	readonly groups: number;
}

interface ConvTransposeAttributes extends ConvAttributes {
	/** Rows added at the end, where a stride makes several input sizes possible. */
	readonly outputPadding: readonly number[];
}

/** Sizes of the kernel: weight [out, in / groups, ...kernel]. */
function kernelOf(weight: TensorType): readonly number[] {
	return weight.shape.slice(2).map((size) => {
		if (typeof size !== 'number') throw new ShapeError('a kernel needs a size known at build time');
		return size;
	});
}

function checkOperands(x: TensorType, weight: TensorType, attributes: ConvAttributes, transposed: boolean): void {
	const rank = attributes.strides.length + 2;
	const { groups } = attributes;
	const channels = x.shape[1] as Dim;
	const expected = transposed ? weight.shape[0] : weight.shape[1] && multiplyDims(weight.shape[1], groups);
	const grouped = divideDims((transposed ? channels : (weight.shape[0] as Dim)) ?? 0, groups) !== undefined;
	const ranks = x.shape.length === rank && weight.shape.length === rank;
	if (!ranks || !isFloat(x.dtype) || x.dtype !== weight.dtype || !dimsEqual(channels, expected as Dim) || !grouped) {
		const axes = attributes.strides.length === 1 ? 'time' : 'height, width';
		const kernel = attributes.strides.length === 1 ? 'k' : 'kh, kw';
		throw new ShapeError('input and weight do not fit', {
			expected: `x [batch, in, ${axes}], weight [${transposed ? 'in, out / groups' : 'out, in / groups'}, ${kernel}], groups ${groups}`,
			found: `${x.dtype}${formatShape(x.shape)} and ${weight.dtype}${formatShape(weight.shape)}`,
		});
	}
}

function checkBias(bias: TensorType | undefined, channels: Dim): void {
	if (bias !== undefined && !(bias.shape.length === 1 && dimsEqual(bias.shape[0] as Dim, channels))) {
		throw new ShapeError('the bias does not fit', { expected: `[${channels}]`, found: formatShape(bias.shape) });
	}
}

/** Positions of the kernel along one axis. */
function outputSize(size: Dim, kernel: number, axis: number, attributes: ConvAttributes): Dim {
	const { strides, before, after, dilations } = attributes;
	const stride = strides[axis] as number;
	const span = (dilations[axis] as number) * (kernel - 1) + 1;
	const room = addDims(size, (before[axis] as number) + (after[axis] as number) - span);
	if (typeof room === 'number') {
		if (room < 0) throw new ShapeError(`a kernel that spans ${span} does not fit an axis of size ${size}`);
		return Math.floor(room / stride) + 1;
	}
	const steps = divideDims(room, stride);
	if (steps === undefined) throw new ShapeError('a stride needs an axis of known size', { found: String(size) });
	return addDims(steps, 1);
}

/** What the transpose makes of one axis, without output padding. */
function transposedSize(size: Dim, kernel: number, axis: number, attributes: ConvAttributes): Dim {
	const { strides, before, after, dilations } = attributes;
	const span = (dilations[axis] as number) * (kernel - 1) + 1;
	const padding = (before[axis] as number) + (after[axis] as number);
	return addDims(multiplyDims(subtractDims(size, 1), strides[axis] as number), span - padding);
}

function onnxAttributes({ strides, before, after, dilations, groups }: ConvAttributes): OnnxAttributes {
	return { strides, pads: [...before, ...after], dilations, group: groups };
}

/** Calls `visit` for every product of a convolution, with flat positions in x, weight and y. */
function forEachProduct(
	x: readonly number[],
	weight: readonly number[],
	y: readonly number[],
	{ strides, before, dilations, groups }: ConvAttributes,
	visit: (x: number, weight: number, y: number) => void,
): void {
	const [perGroupIn, perGroupOut] = [weight[1] as number, (weight[0] as number) / groups];
	const xStrides = stridesOf(x);
	forEachIndex(y, (at, yFlat) => {
		const [batch, channel] = at as [number, number];
		forEachIndex(weight.slice(1), (tap, tapFlat) => {
			let xFlat = batch * xStrides[0]!;
			xFlat += (Math.floor(channel / perGroupOut) * perGroupIn + tap[0]!) * xStrides[1]!;
			for (let axis = 0; axis < strides.length; axis++) {
				const position = at[axis + 2]! * strides[axis]! + tap[axis + 1]! * dilations[axis]! - before[axis]!;
				if (position < 0 || position >= x[axis + 2]!) return;
				xFlat += position * xStrides[axis + 2]!;
			}
			visit(xFlat, channel * weight.slice(1).reduce((a, b) => a * b, 1) + tapFlat, yFlat);
		});
	});
}

function addBias(y: NDArray, bias: NDArray | undefined): NDArray {
	if (bias === undefined) return y;
	forEachIndex(y.dims, (at, flat) => {
		y.data[flat]! += bias.data[at[1]!] as number;
	});
	return y;
}

const biasGradient = (dy: Tensor): Tensor => sum(dy, { axis: dy.shape.map((_, i) => i).filter((i) => i !== 1) });

/**
 * Gradient of the weight: a convolution of the input with the output's gradient, batch and channels exchanged.
 * Stride and dilation change places, as the gradient now is the kernel.
 */
function weightGradient(x: Tensor, dy: Tensor, weight: Tensor, attributes: ConvAttributes): Tensor {
	const { groups, strides, dilations } = attributes;
	const [batch, channels, ...spatial] = x.shape as [Dim, Dim, ...Dim[]];
	const perGroup = divideDims(channels, groups) as Dim;
	const axes = spatial.map((_, i) => i);
	const split = reshape(x, [batch, groups, perGroup, ...spatial]);
	const turned = transpose(split, [2, 1, 0, ...axes.map((i) => i + 3)]);
	const images = reshape(turned, [perGroup, multiplyDims(batch, groups), ...spatial]);
	const kernels = transpose(dy, [1, 0, ...axes.map((i) => i + 2)]);
	const swapped = { ...attributes, strides: dilations, dilations: strides };
	// Kernels of known size are asked for; the convolution may find room for more.
	const whole = transpose(apply1(correlateOp, [images, kernels], swapped), [1, 0, ...axes.map((i) => i + 2)]);
	return axes.reduce<Tensor>((rest, i) => slice(rest, i + 2, 0, weight.shape[i + 2] as Dim), whole);
}

const sample = (
	dims: readonly (readonly number[])[],
	attributes: Partial<ConvTransposeAttributes>,
): OpSample<ConvTransposeAttributes> => {
	const ones = (dims[0] as number[]).slice(2).map(() => 1);
	const zeros = ones.map(() => 0);
	const defaults = { strides: ones, before: zeros, after: zeros, dilations: ones, groups: 1, outputPadding: zeros };
	return { inputs: dims.map((size) => ({ dims: size })), attributes: { ...defaults, ...attributes } };
};

const samples: readonly OpSample<ConvTransposeAttributes>[] = [
	sample([[2, 3, 6], [4, 3, 3], [4]], { before: [2] }),
	sample(
		[
			[1, 4, 9],
			[4, 2, 2],
		],
		{ strides: [2], dilations: [3], groups: 2, before: [1], after: [1] },
	),
	sample([[2, 2, 4, 5], [3, 2, 3, 2], [3]], { before: [1, 0], after: [1, 1] }),
	sample(
		[
			[1, 2, 6, 5],
			[2, 2, 2, 2],
		],
		{ strides: [2, 3] },
	),
	sample([[1, 4, 4, 4], [4, 1, 3, 3], [4]], { groups: 4, before: [1, 1], after: [1, 1] }),
];

const inferConv = (inputs: readonly TensorType[], attributes: ConvAttributes): TensorType => {
	const [x, weight, bias] = inputs as [TensorType, TensorType, TensorType | undefined];
	checkOperands(x, weight, attributes, false);
	checkBias(bias, weight.shape[0] as Dim);
	const spatial = kernelOf(weight).map((kernel, axis) =>
		outputSize(x.shape[axis + 2] as Dim, kernel, axis, attributes),
	);
	return { dtype: x.dtype, shape: [x.shape[0] as Dim, weight.shape[0] as Dim, ...spatial] };
};

const convOp: OpDefinition<ConvAttributes> = defineOp<ConvAttributes>({
	name: 'conv',
	infer: (inputs, attributes) => [inferConv(inputs, attributes)],
	gradient: ({ inputs: [x, weight, bias], attributes, needs }, [dy]) => {
		if (dy === undefined) return [];
		const outputPadding = kernelOf(weight!).map((kernel, axis) => {
			const reached = transposedSize(dy.shape[axis + 2] as Dim, kernel, axis, attributes);
			return subtractDims(x!.shape[axis + 2] as Dim, reached) as number;
		});
		return [
			needs(0) ? apply1(convTransposeOp, [dy, weight!], { ...attributes, outputPadding }) : undefined,
			needs(1) ? weightGradient(x!, dy, weight!, attributes) : undefined,
			bias && needs(2) ? biasGradient(dy) : undefined,
		];
	},
	lower: (emitter, inputs, { attributes }) => [
		emitter.node('Conv', inputs, { attributes: onnxAttributes(attributes) }),
	],
	reference: ([x, weight, bias], attributes) => {
		const { shape } = inferConv([type(x!), type(weight!)], attributes);
		const y = ndarray(x!.dtype, shape as number[]);
		forEachProduct(x!.dims, weight!.dims, y.dims, attributes, (i, w, o) => {
			y.data[o]! += x!.data[i]! * weight!.data[w]!;
		});
		return [addBias(y, bias)];
	},
	samples,
});

const type = ({ dtype, dims }: NDArray): TensorType => ({ dtype, shape: dims });

/** A convolution whose kernel may have symbolic sizes (a gradient in place of a kernel). */
const correlateOp = defineOp<ConvAttributes>({
	name: 'convWeightGradient',
	infer: ([x, kernels], attributes) => {
		const spatial = kernels!.shape.slice(2).map((size, axis) => {
			const { before, after, strides, dilations } = attributes;
			const span = addDims(multiplyDims(subtractDims(size, 1), dilations[axis] as number), 1);
			const padding = (before[axis] as number) + (after[axis] as number);
			const room = addDims(subtractDims(x!.shape[axis + 2] as Dim, span), padding);
			if (typeof room === 'number') return Math.floor(room / (strides[axis] as number)) + 1;
			throw new ShapeError('the gradient of a strided kernel needs axes of known size', {
				found: formatShape(x!.shape),
			});
		});
		return [{ dtype: x!.dtype, shape: [x!.shape[0] as Dim, kernels!.shape[0] as Dim, ...spatial] }];
	},
	lower: convOp.lower,
	reference: convOp.reference,
	samples: samples.filter(({ inputs }) => inputs.length === 2).map((item) => ({ ...item, differentiable: [] })),
});

const inferConvTranspose = (inputs: readonly TensorType[], attributes: ConvTransposeAttributes): TensorType => {
	const [x, weight, bias] = inputs as [TensorType, TensorType, TensorType | undefined];
	checkOperands(x, weight, attributes, true);
	const channels = multiplyDims(weight.shape[1] as Dim, attributes.groups);
	checkBias(bias, channels);
	const spatial = kernelOf(weight).map((kernel, axis) => {
		const size = transposedSize(x.shape[axis + 2] as Dim, kernel, axis, attributes);
		return addDims(size, attributes.outputPadding[axis] as number);
	});
	return { dtype: x.dtype, shape: [x.shape[0] as Dim, channels, ...spatial] };
};

const convTransposeOp: OpDefinition<ConvTransposeAttributes> = defineOp<ConvTransposeAttributes>({
	name: 'convTranspose',
	infer: (inputs, attributes) => [inferConvTranspose(inputs, attributes)],
	gradient: ({ inputs: [x, weight, bias], attributes, needs }, [dy]) => {
		if (dy === undefined) return [];
		const { outputPadding: _, ...plain } = attributes;
		return [
			needs(0) ? apply1(convOp, [dy, weight!], plain) : undefined,
			// The transpose reads its input where a convolution writes its output.
			needs(1) ? weightGradient(dy, x!, weight!, plain) : undefined,
			bias && needs(2) ? biasGradient(dy) : undefined,
		];
	},
	lower: (emitter, inputs, { attributes }) => [
		emitter.node('ConvTranspose', inputs, {
			attributes: { ...onnxAttributes(attributes), output_padding: attributes.outputPadding },
		}),
	],
	reference: ([x, weight, bias], attributes) => {
		const { shape } = inferConvTranspose([type(x!), type(weight!)], attributes);
		const y = ndarray(x!.dtype, shape as number[]);
		forEachProduct(y.dims, weight!.dims, x!.dims, attributes, (i, w, o) => {
			y.data[i]! += x!.data[o]! * weight!.data[w]!;
		});
		return [addBias(y, bias)];
	},
	samples: [
		sample([[2, 3, 4], [3, 2, 3], [2]], { before: [1] }),
		sample(
			[
				[1, 4, 3],
				[4, 2, 2],
			],
			{ strides: [2], dilations: [3], groups: 2, before: [1], after: [1] },
		),
		sample([[1, 2, 3, 2], [2, 3, 2, 2], [3]], { strides: [2, 3], outputPadding: [1, 2] }),
	],
});

/** Settings of a convolution: a number stands for every spatial axis. */
export interface ConvOptions {
	readonly stride?: number | readonly number[];
	/** Zeros added on both sides of every spatial axis, or `[before, after]` of each axis. */
	readonly padding?: number | readonly (number | readonly [number, number])[];
	readonly dilation?: number | readonly number[];
	readonly groups?: number;
}

function resolve(axes: number, options: ConvOptions): ConvAttributes {
	const { stride = 1, padding = 0, dilation = 1, groups = 1 } = options;
	const each = <T>(value: number | readonly T[], what: string): (T | number)[] => {
		const list = typeof value === 'number' ? new Array<number>(axes).fill(value) : [...value];
		if (list.length !== axes) throw new ShapeError(`${what} needs ${axes} entries`, { found: `${list.length}` });
		return list;
	};
	const sides = each(padding, 'padding').map((entry) => (typeof entry === 'number' ? [entry, entry] : entry));
	const attributes = {
		strides: each(stride, 'stride') as number[],
		before: sides.map(([before]) => before as number),
		after: sides.map(([, after]) => after as number),
		dilations: each(dilation, 'dilation') as number[],
		groups,
	};
	const { strides, dilations, before, after } = attributes;
	const whole = (values: readonly number[], least: number): boolean =>
		values.every((value) => Number.isInteger(value) && value >= least);
	if (!whole([...strides, ...dilations, groups], 1) || !whole([...before, ...after], 0)) {
		throw new ShapeError('settings are out of range', {
			expected: 'integer strides, dilations and groups from 1, padding from 0',
		});
	}
	return attributes;
}

const convolution =
	(name: string, axes: number) =>
	(x: Tensor, weight: Tensor, bias?: Tensor, options: ConvOptions = {}): Tensor => {
		const attributes = located(name, [x, weight], () => resolve(axes, options));
		return apply1(convOp, bias === undefined ? [x, weight] : [x, weight, bias], attributes);
	};

/** x [batch, in, time], weight [out, in / groups, kernel], bias [out] -> [batch, out, time']. */
export const conv1d = convolution('conv1d', 1);
/** x [batch, in, height, width], weight [out, in / groups, kh, kw], bias [out] -> [batch, out, height', width']. */
export const conv2d = convolution('conv2d', 2);

export interface ConvTransposeOptions extends ConvOptions {
	/** Rows added at the end of every spatial axis, below the stride. */
	readonly outputPadding?: number | readonly number[];
}

const transposedConvolution =
	(name: string, axes: number) =>
	(x: Tensor, weight: Tensor, bias?: Tensor, options: ConvTransposeOptions = {}): Tensor => {
		const { outputPadding = 0 } = options;
		const rows = typeof outputPadding === 'number' ? new Array<number>(axes).fill(outputPadding) : outputPadding;
		const attributes = { ...located(name, [x, weight], () => resolve(axes, options)), outputPadding: rows };
		return apply1(convTransposeOp, bias === undefined ? [x, weight] : [x, weight, bias], attributes);
	};

/** x [batch, in, time], weight [in, out / groups, kernel], bias [out] -> [batch, out, time']. */
export const convTranspose1d = transposedConvolution('convTranspose1d', 1);
/** x [batch, in, height, width], weight [in, out / groups, kh, kw], bias [out] -> [batch, out, height', width']. */
export const convTranspose2d = transposedConvolution('convTranspose2d', 2);
