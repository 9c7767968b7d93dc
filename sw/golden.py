"""The golden model: integer inference as TFLite's reference kernels do it."""

from functools import reduce

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sw.format.layers import LayerDescriptor, Operation, Rounding
from sw.network import Layer, Network, quantise_multiplier
from sw.windows import places, taps, weighted_sums


__all__ = ["apply", "classify", "requantise", "run"]


Int8Array = NDArray[np.int8]

#: Bits by which an addition's inputs are shifted left, for precision.
ADD_SHIFT = 20

#: Inputs that are worked on at once: few enough for the processor's caches.
BLOCK = 8

#: Float64 holds all sums exactly, float32, whose matrix product is twice as fast, those below this.
EXACT_FLOAT32 = 1 << 24


def requantise(sums: NDArray[np.int64], multiplier: NDArray[np.int32], shift: NDArray[np.int8],
               rounding: Rounding = Rounding.TWICE) -> NDArray[np.int64]:
    """Return ``sums * multiplier / 2**31 * 2**shift``, rounded as TFLite does it.

    Twice: first to the whole product's upper half (halves up), then by the right shift (halves away
    from zero): gemmlowp's SaturatingRoundingDoublingHighMul and RoundingDivideByPOT. Once: the
    exact product, halves up.

    Parameters
    ----------
    sums : array of int64, shape (..., channels)
        Their values, shifted left where ``shift`` is positive, fit 32 bits.
    multiplier, shift : array, shape (channels,)
        From `quantise_multiplier`.
    """
    multiplier, shift = multiplier.astype(np.int64), shift.astype(np.int64)
    if rounding is Rounding.ONCE:
        return (sums * multiplier + (1 << (30 - shift))) >> (31 - shift)
    left, right = np.maximum(shift, 0), np.maximum(-shift, 0)
    outputs = (sums << left) * multiplier
    outputs += 1 << 30
    outputs >>= 31
    # What is negative is rounded down from half on, so one less is added; nothing without a shift.
    outputs += (outputs >> 63 & -(right > 0).astype(np.int64)) + ((1 << right) >> 1)
    outputs >>= right
    return outputs


def apply(layer: Layer, *inputs: Int8Array) -> Int8Array:
    """Return the outputs of one layer.

    Parameters
    ----------
    inputs : array of int8
        The layer's inputs, one or two: each n times (H, W, Cin) in this order.

    Returns
    -------
    array of int8, shape (n, OH, OW, Cout)
    """
    descriptor = layer.descriptor
    x, *others = (values.reshape(-1, *descriptor.input_shape) for values in inputs)
    match descriptor.operation:
        case Operation.MAX_POOL:
            outputs = greatest(layer, x)
        case Operation.AVERAGE_POOL:
            outputs = mean(layer, x)
        case Operation.ADD:
            outputs = descriptor.output_zero_point + total(descriptor, x, *others)
        case Operation.SOFTMAX:
            outputs = softmax(descriptor, x)
        case Operation.RESHAPE:
            return x.reshape(-1, *descriptor.output_shape)
        case _:
            outputs = descriptor.output_zero_point + requantise(
                sums(layer, x), layer.multiplier, layer.shift, descriptor.rounding)
    return np.clip(outputs, descriptor.activation_min, descriptor.activation_max).astype(np.int8)


def sums(layer: Layer, x: Int8Array) -> NDArray[np.int64]:
    assert layer.weights is not None
    descriptor = layer.descriptor
    precision = np.dtype(np.float32 if layer.greatest_sum < EXACT_FLOAT32 else np.float64)
    inputs = np.subtract(x, descriptor.input_zero_point, dtype=precision)
    weights, bias = layer.weights.astype(precision), layer.bias.astype(precision)
    if descriptor.operation is Operation.DEPTHWISE_CONV2D:
        return weighted_sums(inputs, descriptor, weights, bias, depthwise=True).astype(np.int64)
    seen = np.stack([tap for _, _, tap in taps(inputs, descriptor, 0)], axis=3)
    products = seen.reshape(-1, weights[0].size) @ weights.reshape(len(weights), -1).T
    return (products + bias).astype(np.int64).reshape(-1, *descriptor.output_shape)


def total(descriptor: LayerDescriptor, x: Int8Array, y: Int8Array) -> NDArray[np.int64]:
    assert descriptor.addend is not None
    scale, zero_point = descriptor.addend
    twice = 2 * max(descriptor.input_scale, scale)
    parts = [rescale((values.astype(np.int64) - zero) << ADD_SHIFT, own / twice)
             for values, own, zero in ((x, descriptor.input_scale, descriptor.input_zero_point),
                                       (y, scale, zero_point))]
    return rescale(parts[0] + parts[1], twice / ((1 << ADD_SHIFT) * descriptor.output_scale))


def rescale(values: NDArray[np.int64], factor: float) -> NDArray[np.int64]:
    return requantise(values, *quantise_multiplier(np.array([factor])))


def softmax(descriptor: LayerDescriptor, x: Int8Array) -> NDArray[np.int64]:
    # LiteRT's kernel uses a table of float32 exponentials and sums them one after another.
    scale = np.float32(descriptor.input_scale)
    table = np.exp(-scale * np.arange(256, dtype=np.float32))
    powers = table[x.max(axis=-1, keepdims=True).astype(np.int64) - x]
    whole = np.add.accumulate(powers, axis=-1)[..., -1:]
    shares = powers * (1 / (whole * np.float32(descriptor.output_scale)))
    rounded: NDArray[np.int64] = np.floor(shares + np.float32(0.5)).astype(np.int64)
    return rounded + descriptor.output_zero_point


def greatest(layer: Layer, x: Int8Array) -> NDArray[np.int64]:
    windows = taps(x.astype(np.int64), layer.descriptor, -128)
    return reduce(np.maximum, (inputs for _, _, inputs in windows))


def mean(layer: Layer, x: Int8Array) -> NDArray[np.int64]:
    windows = taps(x.astype(np.int64), layer.descriptor, 0)
    whole = reduce(np.add, (inputs for _, _, inputs in windows))
    count = places(layer.descriptor)
    # Halves away from zero.
    rounded: NDArray[np.int64] = np.sign(whole) * ((np.abs(whole) + count // 2) // count)
    return rounded


def run(network: Network, x: Int8Array) -> list[Int8Array]:
    """Return every layer's outputs, in order, for int8 inputs from `Network.quantise_input`."""
    x = x.reshape(-1, *network.input_shape)
    blocks = [run_block(network, x[start:start + BLOCK])
              for start in range(0, max(len(x), 1), BLOCK)]
    return [np.concatenate(outputs) for outputs in zip(*blocks, strict=True)]


def run_block(network: Network, x: Int8Array) -> list[Int8Array]:
    made = [x]
    for layer in network.layers:
        made.append(apply(layer, *(made[-back] for back in layer.descriptor.inputs)))
    return made[1:]


def classify(network: Network, x: ArrayLike) -> NDArray[np.intp]:
    """Return the class of each of the user's inputs: the first of its greatest outputs."""
    inputs = np.reshape(x, (-1, *network.input_shape))
    outputs = [run_block(network, network.quantise_input(inputs[start:start + BLOCK]))[-1]
               for start in range(0, len(inputs), BLOCK)]
    classes: NDArray[np.intp] = np.concatenate(outputs).reshape(len(inputs), -1).argmax(axis=1)
    return classes
