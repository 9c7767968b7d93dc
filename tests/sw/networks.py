"""Small networks for tests: with every operation, untrained."""

import numpy as np

from sw.format.layers import InputDescription, Operation
from sw.network import Activation, FloatLayer, FloatNetwork, calibrate, integer_network


__all__ = ["integers", "small_network", "uniform"]


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
