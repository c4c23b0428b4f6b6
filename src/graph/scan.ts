/**
 * @file Loops: `scan` runs a body once for every slice of its inputs and lowers to one ONNX Scan, so that depth (stacked
 * layers) and length (time) never grow the graph. Differentiated as a scan in the other direction.
 */
import { ShapeError } from '../base/errors.ts';
import { vectorJacobian, zerosLike } from './gradients.ts';
import { apply, defineOp, located } from './op.ts';
import { add } from './ops/arithmetic.ts';
import { placeholder } from './ops/source.ts';
import { dependents, substitute } from './rewrite.ts';
import { type Dim, dimsEqual, formatShape, shapesEqual } from './shape.ts';
import { close, trace } from './subgraph.ts';
import { type GraphNode, isFloat, type Subgraph, Tensor, type TensorType, topologicalOrder } from './tensor.ts';

export interface ScanAttributes {
	/** Parameters: carries, slices, constants. Results: next carries, then values to stack. */
	readonly body: Subgraph;
	readonly carries: number;
	readonly slices: number;
	readonly length: Dim;
	readonly reverse: boolean;
	/**
	 * Shared by a loop and its repetitions with further stacked outputs, also after they were copied; of those in one
	 * graph on equal inputs, only the longest is kept (mergeScans).
	 */
	readonly family: { readonly outputs: number };
}

export const scanOp = defineOp<ScanAttributes>({
	name: 'scan',
	infer: (inputs, { body, carries, length }) => {
		body.results.slice(0, carries).forEach((result, i) => {
			const initial = inputs[i]!;
			if (result.dtype !== initial.dtype || !shapesEqual(result.shape, initial.shape)) {
				throw new ShapeError(`carry ${i} changes its type from one step to the next`, {
					expected: `${initial.dtype}${formatShape(initial.shape)}`,
					found: `${result.dtype}${formatShape(result.shape)}`,
				});
			}
		});
		return body.results.map(({ dtype, shape }, i) => ({ dtype, shape: i < carries ? shape : [length, ...shape] }));
	},
	gradient: ({ inputs, attributes, node, needs }, outputGradients) =>
		scanGradient(node, inputs, attributes, outputGradients, needs),
	lower: (emitter, inputs, { attributes: { body, carries, slices, reverse } }) => {
		// Constants of the body are outer values for ONNX; the emitter binds those parameters by name.
		const subgraph = emitter.subgraph(body, 'body', { names: inputs, own: carries + slices });
		const stacked = body.results.length - carries;
		const directions = (count: number): number[] => new Array<number>(count).fill(reverse ? 1 : 0);
		return emitter.nodes('Scan', inputs.slice(0, carries + slices), {
			outputs: body.results.length,
			attributes: {
				body: { subgraph },
				num_scan_inputs: slices,
				...(slices > 0 && { scan_input_directions: directions(slices) }),
				...(stacked > 0 && { scan_output_directions: directions(stacked) }),
			},
		});
	},
	reference: () => {
		throw new Error('loops are evaluated by the interpreter');
	},
	samples: [],
	testedBy: 'src/graph/scan.test.ts',
});

/** Values that go into a loop and what its body gives back. */
export interface ScanStep {
	/** Next values of the carries. */
	readonly carry: readonly Tensor[];
	/** Values to stack along a new first axis. */
	readonly stacked?: readonly Tensor[];
}

/**
 * Runs `body` for every index of the first axis of `slices`.
 * init: any shapes; slices: each [length, ...]; body(carry, slice) sees slices without their first axis.
 * Returns the last carries and the stacked values [length, ...]. Outer tensors used in the body are fine.
 * @throws ShapeError when lengths differ or a carry changes its type
 */
export function scan(
	init: readonly Tensor[],
	slices: readonly Tensor[],
	body: (carry: readonly Tensor[], slice: readonly Tensor[]) => ScanStep,
	options: { readonly reverse?: boolean } = {},
): { readonly carry: readonly Tensor[]; readonly stacked: readonly Tensor[] } {
	const length = located('scan', slices, () => commonLength(slices));
	const types: TensorType[] = [...init, ...slices.map(({ dtype, shape }) => ({ dtype, shape: shape.slice(1) }))];
	const traced = trace(types, (args) => {
		const step = body(args.slice(0, init.length), args.slice(init.length));
		located('scan', init, () => {
			if (step.carry.length === init.length) return;
			throw new ShapeError('the body returns another number of carries', {
				expected: `${init.length}`,
				found: `${step.carry.length}`,
			});
		});
		return [...step.carry, ...(step.stacked ?? [])];
	});
	const outputs = apply(scanOp, [...init, ...slices, ...traced.captured], {
		body: traced,
		carries: init.length,
		slices: slices.length,
		length,
		reverse: options.reverse ?? false,
		family: { outputs: traced.results.length },
	});
	return { carry: outputs.slice(0, init.length), stacked: outputs.slice(init.length) };
}

function commonLength(slices: readonly Tensor[]): Dim {
	const [first] = slices;
	if (first === undefined || first.rank === 0) throw new ShapeError('a scan needs at least one tensor to walk along');
	const length = first.shape[0] as Dim;
	for (const { shape } of slices) {
		if (shape.length === 0 || !dimsEqual(shape[0] as Dim, length)) {
			throw new ShapeError('tensors to scan differ in length', {
				expected: `first axis of size ${length}`,
				found: formatShape(shape),
			});
		}
	}
	return length;
}

/**
 * The backward loop. It needs values from inside the forward loop; those become further stacked outputs of an extended
 * forward loop. Values that are free or cheap to make again (constants, views, what depends on constants alone) are not
 * stored.
 */
function scanGradient(
	node: GraphNode,
	inputs: readonly Tensor[],
	{ body, carries, slices, length, reverse, family }: ScanAttributes,
	outputGradients: readonly (Tensor | undefined)[],
	needs: (i: number) => boolean,
): (Tensor | undefined)[] {
	const { parameters, results } = body;
	// Which carries can receive a gradient: those that are float. A gradient may enter through any of them.
	const floatCarry = parameters.slice(0, carries).map(({ dtype }) => isFloat(dtype));
	const carryIndex = floatCarry.flatMap((float, i) => (float ? [i] : []));
	const carryGradient = carryIndex.map((i) => placeholder(parameters[i] as Tensor));
	const stackedIndex = results.flatMap((_, i) => (i >= carries && outputGradients[i] !== undefined ? [i] : []));
	const stackedGradient = stackedIndex.map((i) => placeholder(results[i] as Tensor));
	const wanted = parameters.flatMap((parameter, i) =>
		i >= carries && isFloat(parameter.dtype) && needs(i) ? [i] : [],
	);

	const found = vectorJacobian(
		[...carryIndex.map((i) => results[i] as Tensor), ...stackedIndex.map((i) => results[i] as Tensor)],
		[...carryGradient, ...stackedGradient],
		[...carryIndex, ...wanted].map((i) => parameters[i] as Tensor),
	).map((gradient, i) => gradient ?? zerosLike(parameters[[...carryIndex, ...wanted][i] as number] as Tensor));

	const backward = dependents(found, [...carryGradient, ...stackedGradient]);
	const residuals = collectResiduals(found, backward, body, carries, slices);

	const extended =
		residuals.stored.length === 0
			? node.outputs
			: apply(scanOp, inputs, {
					body: { parameters, results: [...results, ...residuals.stored] },
					carries,
					slices,
					length,
					reverse,
					family,
				});
	const storedStacks = extended.slice(results.length);

	// Arguments of the backward body: gradients of the carries and sums for the constants; then slices.
	const constants = wanted.filter((i) => i >= carries + slices);
	const sums = constants.map((i) => placeholder(parameters[i] as Tensor));
	const storedHere = residuals.stored.map((tensor) => placeholder(tensor));
	const slicesHere = residuals.slices.map((i) => placeholder(parameters[i] as Tensor));
	const inner = new Map<Tensor, Tensor>();
	residuals.stored.forEach((tensor, i) => void inner.set(tensor, storedHere[i] as Tensor));
	residuals.slices.forEach((index, i) => void inner.set(parameters[index] as Tensor, slicesHere[i] as Tensor));
	residuals.constants.forEach((index) => void inner.set(parameters[index] as Tensor, inputs[index] as Tensor));
	const steps = substitute(found, inner);

	const position = (i: number): number => carryIndex.length + wanted.indexOf(i);
	const nextSums = constants.map((i, j) => add(sums[j] as Tensor, steps[position(i)] as Tensor));
	const sliceGradients = wanted.filter((i) => i < carries + slices).map((i) => steps[position(i)] as Tensor);
	const closed = close(
		[...carryGradient, ...sums, ...stackedGradient, ...storedHere, ...slicesHere],
		[...steps.slice(0, carryIndex.length), ...nextSums, ...sliceGradients],
	);
	const initial = [
		...carryIndex.map((i) => outputGradients[i] ?? zerosLike(parameters[i] as Tensor)),
		...constants.map((i) => zerosLike(parameters[i] as Tensor)),
	];
	const walked = [
		...stackedIndex.map((i) => outputGradients[i] as Tensor),
		...storedStacks,
		...residuals.slices.map((i) => inputs[i] as Tensor),
	];
	if (walked.length === 0) walked.push(zerosLike(new Tensor(node, 0, { dtype: 'float32', shape: [length] })));
	const outputs = apply(scanOp, [...initial, ...walked, ...closed.captured], {
		body:
			walked.length === closed.parameters.length - initial.length - closed.captured.length
				? closed
				: withUnusedSlice(closed, initial.length),
		carries: initial.length,
		slices: walked.length,
		length,
		reverse: !reverse,
		family: { outputs: closed.results.length },
	});

	const result: (Tensor | undefined)[] = new Array(inputs.length).fill(undefined);
	carryIndex.forEach((i, j) => {
		result[i] = outputs[j];
	});
	constants.forEach((i, j) => {
		result[i] = outputs[carryIndex.length + j];
	});
	wanted
		.filter((i) => i < carries + slices)
		.forEach((i, j) => {
			result[i] = outputs[initial.length + j];
		});
	return result;
}

/** A loop needs something to walk along; this adds a parameter that the body does not read. */
function withUnusedSlice(body: Subgraph, at: number): Subgraph {
	const parameters = [...body.parameters];
	parameters.splice(at, 0, placeholder({ dtype: 'float32', shape: [] }));
	return { parameters, results: body.results };
}

interface Residuals {
	/** Body tensors that the forward loop must stack. */
	readonly stored: readonly Tensor[];
	/** Indices of slice parameters that the backward body reads again. */
	readonly slices: readonly number[];
	/** Indices of constant parameters that it reads again. */
	readonly constants: readonly number[];
}

function collectResiduals(
	found: readonly Tensor[],
	backward: ReadonlySet<Tensor>,
	body: Subgraph,
	carries: number,
	sliceCount: number,
): Residuals {
	const index = new Map(body.parameters.map((parameter, i) => [parameter, i]));
	const varying = dependents([...found, ...body.results], body.parameters.slice(0, carries + sliceCount));
	const stored = new Set<Tensor>();
	const slices = new Set<number>();
	const constants = new Set<number>();
	const visited = new Set<Tensor>();
	const visit = (tensor: Tensor): void => {
		if (visited.has(tensor) || backward.has(tensor)) return;
		visited.add(tensor);
		const parameter = index.get(tensor);
		if (parameter !== undefined) {
			if (parameter < carries) stored.add(tensor);
			else if (parameter < carries + sliceCount) slices.add(parameter);
			else constants.add(parameter);
		} else if (!varying.has(tensor) || tensor.node.op.view === true) tensor.node.inputs.forEach(visit);
		else stored.add(tensor);
	};
	for (const node of topologicalOrder(found, (n) => !n.outputs.some((output) => backward.has(output)))) {
		if (node.outputs.some((output) => backward.has(output))) node.inputs.forEach(visit);
	}
	for (const tensor of found) visit(tensor);
	return { stored: [...stored], slices: [...slices], constants: [...constants] };
}
