"""Bias correction: what quantised weights add to each output on average goes into its bias."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sw.format.layers import Operation
from sw.network import FloatNetwork
from sw.windows import taps

from .grid import FloatArray


__all__ = ["correct_biases"]


def correct_biases(network: FloatNetwork, weights: Sequence[FloatArray],
                   x: ArrayLike) -> FloatNetwork:
    """Return ``network`` with biases that make up for the mean error of quantised weights.

    Nagel et al. 2019, with the inputs that each layer has in the network as it was trained.

    Parameters
    ----------
    weights : sequence of array, shape (Cout, KH, KW, Cin)
        What the weights of each layer that has any will be.
    x : array
        Inputs as the user gives them, e.g. 100 training samples.
    """
    layers = []
    remaining = iter(weights)
    made = [network.normalise(x), *network.run(x)]
    for number, layer in enumerate(network.layers):
        if layer.weights is not None and layer.bias is not None:
            lost = layer.weights - next(remaining)
            inputs = made[number + 1 - layer.inputs[0]].reshape(-1, *layer.input_shape)
            depthwise = layer.operation is Operation.DEPTHWISE_CONV2D
            correction = sum(response(lost[:, row, column],
                                      seen.mean(axis=(0, 1, 2), dtype=np.float64), depthwise)
                             for row, column, seen in taps(inputs, layer, 0))
            layer = replace(layer, bias=(layer.bias + correction).astype(np.float32))
        layers.append(layer)
    return replace(network, layers=tuple(layers))


def response(weights: FloatArray, inputs: NDArray[np.float64], depthwise: bool) -> FloatArray:
    """Return each filter's sum for one input, weights (Cout, Cin) or (Cout, 1)."""
    if depthwise:
        return weights[:, 0] * np.repeat(inputs, len(weights) // len(inputs))
    return weights @ inputs
