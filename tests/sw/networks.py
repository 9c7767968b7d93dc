"""Small networks for tests: with every operation, untrained."""

import numpy as np

from sw.format.layers import InputDescription, LayerDescriptor, Operation, Rounding
from sw.network import (Activation, FloatLayer, FloatNetwork, Layer, Network, calibrate,
                        integer_network, quantise_multiplier)


__all__ = ["graph", "integers", "small_network", "uniform"]


def small_network(seed=0):
    """Return a network on 6 x 6 x 1 inputs of 0 to 16, with all operations and activations."""
    rng = np.random.default_rng(seed)

    def arrays(*shape):
        return {"weights": rng.normal(0, np.prod(shape[1:]) ** -0.5, shape).astype(np.float32),
                "bias": rng.normal(0, 0.1, shape[0]).astype(np.float32)}

    return FloatNetwork("small", InputDescription(1 / 240, -128, 0.0, 16.0), (6, 6, 1), (
        FloatLayer("conv", Operation.CONV2D, (6, 6, 1), (6, 6, 8), (3, 3), (1, 1), (1, 1),
                   Activation.RELU, **arrays(8, 3, 3, 1)),
        FloatLayer("greatest", Operation.MAX_POOL, (6, 6, 8), (5, 5, 8), (2, 2), (1, 1), (0, 0),
                   Activation.NONE),
        FloatLayer("strided", Operation.CONV2D, (5, 5, 8), (3, 3, 8), (3, 3), (2, 2), (1, 1),
                   Activation.RELU6, **arrays(8, 3, 3, 8)),
        FloatLayer("mean", Operation.AVERAGE_POOL, (3, 3, 8), (2, 2, 8), (2, 2), (1, 1), (0, 0),
                   Activation.NONE),
        FloatLayer("dense", Operation.FULLY_CONNECTED, (1, 1, 32), (1, 1, 4), (1, 1), (1, 1),
                   (0, 0), Activation.NONE, **arrays(4, 1, 1, 32)),
    ))


def uniform(layer):
    """Return a layer's weights as int8, each filter with the scale that its greatest needs."""
    scale = np.abs(layer.weights).max(axis=(1, 2, 3)) / 127
    return np.rint(layer.weights / scale[:, None, None, None]).astype(np.int8), scale


def integers(network, seed=0):
    """Return ``network`` in integers, calibrated on random inputs of 0 to 16."""
    x = np.random.default_rng(seed).integers(0, 17, (50, *network.input_shape))
    return integer_network(network, calibrate(network, x),
                           [uniform(layer) for layer in network.weighted])


def graph(seed):
    """Return an integer network on 4 x 4 x 2 inputs with a residual addition and a softmax."""
    rng = np.random.default_rng(seed)

    def layer(operation, before, after, zero_points, **changes):
        sliding = {Operation.CONV2D: (3, 3), Operation.DEPTHWISE_CONV2D: (3, 3)}
        kernel = sliding.get(operation, (1, 1))
        descriptor = LayerDescriptor(
            operation, before, after, kernel, (1, 1), tuple(size // 2 for size in kernel),
            *zero_points, -128, 127, *changes.pop("scales"), **changes)
        if not operation.has_weights:
            return Layer.without_arrays(operation.name.lower(), descriptor)
        channels = descriptor.output_shape[2]
        factors = rng.uniform(0.5, 1.5, channels) / (np.prod(descriptor.weight_shape[1:]) * 40)
        return Layer(operation.name.lower(), descriptor,
                     rng.integers(-127, 128, descriptor.weight_shape, np.int8), np.ones(channels),
                     rng.integers(-1000, 1000, channels, np.int32), *quantise_multiplier(factors))

    first, wide = (4, 4, 2), (4, 4, 4)
    return Network("graph", InputDescription(1 / 16, -3, 0.0, 16.0), (
        layer(Operation.CONV2D, first, wide, (-3, 5), scales=(1 / 16, 0.25)),
        layer(Operation.DEPTHWISE_CONV2D, first, wide, (-3, 7), scales=(1 / 16, 0.5), inputs=(2,)),
        layer(Operation.CONV2D, wide, wide, (5, -9), scales=(0.25, 0.3), inputs=(2,)),
        layer(Operation.ADD, wide, wide, (-9, 0), scales=(0.3, 0.4), inputs=(1, 2),
              addend=(0.5, 7)),
        layer(Operation.RESHAPE, wide, (2, 2, 16), (0, 0), scales=(0.4, 0.4)),
        layer(Operation.FULLY_CONNECTED, (1, 1, 64), (1, 1, 5), (0, 1), scales=(0.4, 0.1),
              rounding=Rounding.ONCE),
        layer(Operation.SOFTMAX, (1, 1, 5), (1, 1, 5), (1, -128), scales=(0.1, 1 / 256)),
    ))
