"""Random integer networks that a target can run, for simulations."""

import numpy as np

from sw.format.layers import InputDescription, LayerDescriptor, Operation, Rounding
from sw.format.tables import AutomatonShape
from sw.network import Layer, Network, quantise_multiplier
from sw.quantize.grid import Grid, zigzag
from sw.schedule import ScheduleError, schedule


__all__ = ["SHARES", "random_network"]


#: Standard deviation of a layer's outputs, roughly.
SPREAD = 45

#: How often each operation is drawn, before the last layer and for it.
SHARES = {
    Operation.CONV2D: (0.35, 0.3),
    Operation.FULLY_CONNECTED: (0.1, 0.2),
    Operation.DEPTHWISE_CONV2D: (0.15, 0.1),
    Operation.AVERAGE_POOL: (0.1, 0.1),
    Operation.MAX_POOL: (0.1, 0.1),
    Operation.ADD: (0.1, 0.1),
    Operation.RESHAPE: (0.1, 0),
    Operation.SOFTMAX: (0, 0.1),
}

def random_network(rng, target, *, layers, sparsity=0.0):
    """Return a network that ``target`` can run, with its grids and symbols.

    Shapes, strides, padding, zero points, activation ranges and multipliers are all drawn by
    ``rng``; ``sparsity`` is the share of weights that are 0.
    """
    descriptors = []
    while not any(descriptor.operation.has_weights for descriptor in descriptors):
        descriptors = random_descriptors(rng, layers)
        try:
            schedule(descriptors, target)
        except ScheduleError:
            descriptors = []

    grids, symbols, built = [], [], []
    mean, deviation = 0, 74
    for number, descriptor in enumerate(descriptors):
        name = f"layer{number}"
        if descriptor.weight_shape is None:
            built.append(Layer.without_arrays(name, descriptor))
            continue
        grid = codebooks(target)[len(grids) % target.codebooks]
        count = len(grid.centroids)
        chosen = np.minimum(rng.geometric(0.25, descriptor.weight_shape) - 1, count - 1)
        chosen[rng.random(chosen.shape) < sparsity] = 0
        weights = grid.integers(chosen)
        channels = descriptor.output_shape[2]
        # Outputs spread around the zero point, so that few are clamped and no two are alike.
        sums = weights.sum(axis=(1, 2, 3), dtype=int) * (mean - descriptor.input_zero_point)
        spread = np.sqrt(np.square(weights.astype(float)).sum(axis=(1, 2, 3))) * deviation
        # Where there are few weights they are above 1, at most what a target has.
        factors = rng.uniform(0.5, 1.5, channels) * SPREAD / np.maximum(spread, 0.6)
        multiplier, shift = quantise_multiplier(factors)
        bias = (-sums + rng.normal(0, 0.3, channels) * spread).astype(np.int32)
        mean, deviation = descriptor.output_zero_point, SPREAD
        grids.append(grid)
        symbols.append(chosen.astype(np.int64))
        built.append(Layer(name, descriptor, weights, np.ones(channels), bias, multiplier, shift))
    source = InputDescription(1.0, descriptors[0].input_zero_point, 0.0, 1.0)
    return Network("random", source, tuple(built)), grids, symbols


def codebooks(target):
    """Return a grid for each of the target's codebooks: different weights for the same symbols."""
    if not isinstance(target.decoder, AutomatonShape):
        return [Grid(zigzag(255), np.ones(1))] * target.codebooks
    count = target.decoder.symbols - 3
    return [Grid(tuple(np.clip(np.array(zigzag(count)) * (1 + 2 * number), -128, 127).tolist()),
                 np.ones(1), number)
            for number in range(target.codebooks)]


def random_descriptors(rng, count):
    shape = (int(rng.integers(1, 12)), int(rng.integers(1, 12)), int(rng.integers(1, 20)))
    made = [(shape, random_zero_point(rng), 1.0)]
    descriptors = []
    for number in range(count):
        shares = [share[number == count - 1] for share in SHARES.values()]
        operation = Operation(int(rng.choice(list(SHARES), p=shares)))
        back = 1
        if operation is Operation.ADD:
            # Any of the layers before that has the same shape, be it the one before.
            back = int(rng.choice([number + 1 - index for index, other in enumerate(made)
                                   if other[0] == made[-1][0]]))
        descriptors.append(random_descriptor(rng, operation, *made[-1], made[-back][1:], back))
        made.append((descriptors[-1].output_shape, descriptors[-1].output_zero_point,
                     descriptors[-1].output_scale))
    return descriptors


def random_descriptor(rng, operation, shape, zero_point, scale, addend, back):
    output_zero_point = random_zero_point(rng)
    output_scale = float(scale * rng.uniform(0.7, 1.5))
    rounding = Rounding(int(rng.integers(2))) if operation.has_weights else Rounding.TWICE
    if operation is Operation.RESHAPE:
        return LayerDescriptor(
            operation, shape, (1, 1, int(np.prod(shape))), (1, 1), (1, 1), (0, 0), zero_point,
            zero_point, -128, 127, scale, scale)
    channels = shape[2] if operation is Operation.DEPTHWISE_CONV2D else int(rng.integers(1, 24))
    kernel = tuple(int(rng.integers(1, min(size, 4) + 1)) for size in shape[:2])
    stride = tuple(int(rng.integers(1, 4)) for _ in range(2))
    padding = tuple(int(rng.integers(0, size)) for size in kernel)
    if operation is Operation.FULLY_CONNECTED:
        shape = (1, 1, int(np.prod(shape)))
    if not operation.slides:
        kernel, stride, padding = (1, 1), (1, 1), (0, 0)
    if operation is Operation.AVERAGE_POOL:
        padding = (0, 0)
    if not operation.has_weights:
        channels = shape[2]
    if operation.pools:
        output_zero_point, output_scale = zero_point, scale
    # As many positions as there are windows that don't lie wholly in padding.
    beyond = [int(rng.integers(0, pad + 1)) for pad in padding]
    size = [(extent + pad + after - reach) // step + 1
            for extent, pad, after, reach, step in zip(shape[:2], padding, beyond, kernel, stride,
                                                       strict=True)]
    size = [max(1, min(positions, (extent + pad - 1) // step + 1))
            for positions, extent, pad, step in zip(size, shape[:2], padding, stride, strict=True)]
    below, above = rng.integers(20, 200, 2).tolist()
    return LayerDescriptor(
        operation=operation, input_shape=shape, output_shape=(*size, channels), kernel=kernel,
        stride=stride, padding=padding, input_zero_point=zero_point,
        output_zero_point=output_zero_point, activation_min=max(-128, output_zero_point - below),
        activation_max=min(127, output_zero_point + above), input_scale=scale,
        output_scale=output_scale, inputs=(1, back) if operation is Operation.ADD else (1,),
        addend=addend[::-1] if operation is Operation.ADD else None, rounding=rounding)


def random_zero_point(rng):
    return int(np.clip(rng.normal(0, 50), -128, 127))
