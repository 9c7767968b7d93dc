import numpy as np
import pytest

from sw import golden
from sw.format.layers import InputDescription, Operation
from sw.importers.tflite import load
from sw.network import Activation, FloatLayer, FloatNetwork
from sw.order import orders, reorder

from ..shared_data import shared_file
from .networks import integers, small_network


CONV, DEPTHWISE, DENSE = (Operation.CONV2D, Operation.DEPTHWISE_CONV2D, Operation.FULLY_CONNECTED)
ADD, MEAN, GREATEST = Operation.ADD, Operation.AVERAGE_POOL, Operation.MAX_POOL
RESHAPE, SOFTMAX = Operation.RESHAPE, Operation.SOFTMAX


def chain(*layers, shape=(5, 5, 3), seed=0):
    """Return a float network of (operation, channels, inputs) on inputs of 0 to 16."""
    rng = np.random.default_rng(seed)
    made, found = [shape], []
    for number, (operation, channels, *inputs) in enumerate(layers):
        backs = tuple(inputs) or (1,)
        before = made[-backs[0]]
        kernel, padding, after = (1, 1), (0, 0), (*before[:2], channels)
        if operation in (CONV, DEPTHWISE):
            kernel, padding = (3, 3), (1, 1)
        elif operation is DENSE:
            before, after = (1, 1, int(np.prod(before))), (1, 1, channels)
        elif operation is RESHAPE:
            after = channels
        elif operation.pools:
            kernel, after = before[:2], (1, 1, channels)
        arrays = {}
        if operation.has_weights:
            inner = 1 if operation is DEPTHWISE else before[2]
            arrays = {"weights": rng.normal(0, 0.3, (channels, *kernel, inner)).astype(np.float32),
                      "bias": rng.normal(0, 0.3, channels).astype(np.float32)}
        activation = Activation.NONE if operation in (DENSE, SOFTMAX, RESHAPE) else Activation.RELU
        stride = kernel if operation.pools else (1, 1)
        found.append(FloatLayer(f"layer{number}", operation, before, after, kernel, stride, padding,
                                activation, **arrays, inputs=backs))
        made.append(after)
    return FloatNetwork("chain", InputDescription(1 / 16, -128, 0.0, 1.0), shape, tuple(found))


#: Networks, and whether each weighted layer's filters can take another order.
CHAINS = {
    "small": (small_network(), (True, True, False)),
    "convolutions": (chain((CONV, 6), (CONV, 8), (CONV, 4)), (True, True, False)),
    "depthwise": (chain((CONV, 6), (DEPTHWISE, 6), (CONV, 8), (DEPTHWISE, 8), (CONV, 4)),
                  (True, True, True, True, False)),
    "multiplied": (chain((CONV, 6), (DEPTHWISE, 12), (CONV, 8), (MEAN, 8), (DENSE, 4)),
                   (False, False, True, False)),
    "input": (chain((DEPTHWISE, 3), (CONV, 8), (DENSE, 4)), (False, True, False)),
    "flattened": (chain((CONV, 6), (DENSE, 7), (DENSE, 4), (SOFTMAX, 4)), (True, True, False)),
    "reshaped": (chain((CONV, 6), (RESHAPE, (1, 1, 150)), (DENSE, 7), (DENSE, 4)),
                 (True, True, False)),
    "regrouped": (chain((CONV, 6), (RESHAPE, (5, 2, 15)), (CONV, 7), (DENSE, 4)),
                  (False, True, False)),
    "residual": (chain((CONV, 6), (CONV, 6), (CONV, 6), (ADD, 6, 1, 3), (GREATEST, 6), (DENSE, 4)),
                 (True, True, True, False)),
    "residual of the input": (chain((CONV, 8), (CONV, 8), (ADD, 8, 1, 3), (CONV, 6), (DENSE, 4),
                                    shape=(5, 5, 8)),
                              (True, False, True, False)),
    "residual of the output": (chain((CONV, 6), (CONV, 6), (ADD, 6, 1, 2)), (False, False)),
    "flattened sum": (chain((CONV, 2), (RESHAPE, (1, 1, 50)), (DENSE, 50), (ADD, 50, 1, 2),
                            (DENSE, 4)), (False, False, False)),
    "softmax within": (chain((CONV, 6), (MEAN, 6), (SOFTMAX, 6), (DENSE, 4)), (False, False)),
}


def shuffled(network, seed=1):
    """Return the network with all filters in any order that it can be given, and the orders."""
    rng = np.random.default_rng(seed)
    found = orders(network, [rng.permutation(len(layer.weights)) for layer in network.weighted])
    return reorder(network, found), found


@pytest.mark.parametrize("network, free", CHAINS.values(), ids=CHAINS)
def test_networks_compute_the_same_in_another_order(network, free):
    whole = integers(network)
    changed, found = shuffled(whole)
    x = np.random.default_rng(2).integers(0, 17, (20, *network.input_shape))
    before, after = (golden.run(each, each.quantise_input(x))[-1] for each in (whole, changed))
    assert len(np.unique(before)) > 3
    assert np.array_equal(before, after)
    moved = [not np.array_equal(order.filters, np.arange(len(order.filters))) for order in found]
    assert moved == list(free)
    assert np.allclose(network.run(x)[-1], reorder(network, found).run(x)[-1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("model", ["kws_ref_model", "pretrainedResnet_quant", "vww_96_int8",
                                   "ad01_int8"])
def test_real_networks(model):
    whole = load(shared_file(f"models/{model}.tflite"))
    changed, _ = shuffled(whole)
    x = np.random.default_rng(4).integers(-128, 128, (2, *whole.input_shape), np.int8)
    assert np.array_equal(golden.run(whole, x)[-1], golden.run(changed, x)[-1])


def test_filters_are_sorted_by_the_keys_of_the_largest_layer():
    network, _ = CHAINS["depthwise"]
    keys = [np.arange(6), np.arange(6)[::-1], np.array([3, 1, 3, 0, 2, 1, 0, 2]), np.arange(8),
            np.arange(4)]
    found = [order.filters.tolist() for order in orders(network, keys)]
    # The first convolution has more weights than the depthwise one; equal keys leave it to that.
    assert found == [[0, 1, 2, 3, 4, 5]] * 2 + [[3, 6, 1, 5, 4, 7, 0, 2]] * 2 + [[0, 1, 2, 3]]
