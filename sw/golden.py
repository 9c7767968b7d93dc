"""The golden model: integer inference as TFLite's reference kernels do it."""

from functools import reduce

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sw.format.layers import Operation
from sw.network import Layer, Network
from sw.windows import places, taps


__all__ = ["apply", "classify", "requantise", "run"]


Int8Array = NDArray[np.int8]


def requantise(sums: NDArray[np.int64], multiplier: NDArray[np.int32],
               shift: NDArray[np.int8]) -> NDArray[np.int64]:
    """Return ``sums * multiplier / 2**31 * 2**shift``, rounded twice as TFLite does it.

    First to the whole product's upper half (halves up), then by the right shift (halves away from
    zero): gemmlowp's SaturatingRoundingDoublingHighMul and RoundingDivideByPOT.

    Parameters
    ----------
    sums : array of int64, shape (..., channels)
        Their values, shifted left where ``shift`` is positive, fit 32 bits.
    multiplier, shift : array, shape (channels,)
        From `quantise_multiplier`.
    """
    left, right = np.maximum(shift, 0).astype(np.int64), np.maximum(-shift, 0).astype(np.int64)
    high = ((sums << left) * multiplier.astype(np.int64) + (1 << 30)) >> 31
    mask = (1 << right) - 1
    return (high >> right) + ((high & mask) > (mask >> 1) + (high < 0))


def apply(layer: Layer, x: Int8Array) -> Int8Array:
    """Return the outputs of one layer.

    Parameters
    ----------
    x : array of int8
        Inputs, n times (H, W, Cin) in this order.

    Returns
    -------
    array of int8, shape (n, OH, OW, Cout)
    """
    descriptor = layer.descriptor
    x = x.reshape(-1, *descriptor.input_shape)
    if descriptor.operation is Operation.MAX_POOL:
        outputs = greatest(layer, x)
    elif descriptor.operation is Operation.AVERAGE_POOL:
        outputs = mean(layer, x)
    else:
        outputs = descriptor.output_zero_point + requantise(
            weighted_sums(layer, x), layer.multiplier, layer.shift)
    return np.clip(outputs, descriptor.activation_min, descriptor.activation_max).astype(np.int8)


def weighted_sums(layer: Layer, x: Int8Array) -> NDArray[np.int64]:
    assert layer.weights is not None
    descriptor = layer.descriptor
    # Float64 holds sums below 2**53 exactly, and its matrix product is the fast one.
    inputs = x.astype(np.float64) - descriptor.input_zero_point
    weights = layer.weights.astype(np.float64)
    sums = np.tile(layer.bias.astype(np.float64), (len(x), *descriptor.output_shape[:2], 1))
    for row, column, tap in taps(inputs, descriptor, 0):
        sums += tap @ weights[:, row, column].T
    return sums.astype(np.int64)


def greatest(layer: Layer, x: Int8Array) -> NDArray[np.int64]:
    windows = taps(x.astype(np.int64), layer.descriptor, -128)
    return reduce(np.maximum, (inputs for _, _, inputs in windows))


def mean(layer: Layer, x: Int8Array) -> NDArray[np.int64]:
    windows = taps(x.astype(np.int64), layer.descriptor, 0)
    total = reduce(np.add, (inputs for _, _, inputs in windows))
    count = places(layer.descriptor)
    # Halves away from zero.
    rounded: NDArray[np.int64] = np.sign(total) * ((np.abs(total) + count // 2) // count)
    return rounded


def run(network: Network, x: Int8Array) -> list[Int8Array]:
    """Return every layer's outputs, in order, for int8 inputs from `Network.quantise_input`."""
    outputs = []
    for layer in network.layers:
        x = apply(layer, x)
        outputs.append(x)
    return outputs


def classify(network: Network, x: ArrayLike) -> NDArray[np.intp]:
    """Return the class of each of the user's inputs: the first of its greatest outputs."""
    outputs = run(network, network.quantise_input(x))[-1]
    classes: NDArray[np.intp] = outputs.reshape(len(outputs), -1).argmax(axis=1)
    return classes
