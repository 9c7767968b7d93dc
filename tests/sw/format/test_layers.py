"""What a layer's description refuses."""

import re
from dataclasses import replace

import pytest

from sw.format.layers import LayerDescriptor, Operation, Rounding


def describe(operation=Operation.CONV2D, **changes):
    values = {
        "input_shape": (5, 7, 4), "output_shape": (5, 7, 4), "kernel": (3, 3), "stride": (1, 1),
        "padding": (1, 1), "input_zero_point": 0, "output_zero_point": 0, "activation_min": -128,
        "activation_max": 127, "input_scale": 1.0, "output_scale": 1.0}
    if operation is Operation.FULLY_CONNECTED:
        values |= {"input_shape": (1, 1, 9), "output_shape": (1, 1, 3), "kernel": (1, 1),
                   "padding": (0, 0)}
    return LayerDescriptor(operation, **values | changes)


def test_last_window_may_touch_the_image():
    # Windows begin in rows -1, 1, 3: the last one reaches row 4; and in columns -1 to 6.
    describe(output_shape=(3, 8, 4), stride=(2, 1))


@pytest.mark.parametrize("changes, complaint", [
    ({"output_shape": (4, 7, 4), "stride": (2, 1)},
     "conv2d: the last of 4 outputs lies wholly in padding: height must be at most 3"),
    ({"output_shape": (5, 9, 4)},
     "conv2d: the last of 9 outputs lies wholly in padding: width must be at most 8"),
    ({"padding": (1, 3)}, "conv2d: padding must be 0 to 2, not 3"),
    ({"kernel": (0, 3)}, r"conv2d: kernel must be 1 to 255 each, not \(0, 3\)"),
    ({"stride": (1, 256)}, r"conv2d: stride must be 1 to 255 each, not \(1, 256\)"),
    ({"input_shape": (5, 7, 0x10000)}, "conv2d: input shape must be 1 to 65535 each, not"),
    ({"input_zero_point": 128}, "conv2d: input zero point must be -128 to 127, not 128"),
    ({"activation_min": 5, "activation_max": 4}, "conv2d: activations must have a range, not 5 to"),
    ({"operation": Operation.MAX_POOL, "output_shape": (5, 7, 3)},
     "max_pool: pooling keeps the 4 channels, not 3"),
    ({"operation": Operation.FULLY_CONNECTED, "output_shape": (1, 2, 3)},
     "fully_connected: shapes must be 1 x 1 x n"),
    ({"operation": Operation.FULLY_CONNECTED, "input_shape": (2, 1, 9)},
     "fully_connected: shapes must be 1 x 1 x n"),
    ({"operation": Operation.FULLY_CONNECTED, "kernel": (2, 1)},
     r"fully_connected: kernel and stride must be 1 x 1 and padding 0, not \(2, 1\), \(1, 1\)"),
    ({"operation": Operation.FULLY_CONNECTED, "stride": (1, 3)},
     "fully_connected: kernel and stride must be 1 x 1"),
    ({"operation": Operation.FULLY_CONNECTED, "kernel": (2, 2), "padding": (1, 0)},
     "fully_connected: kernel and stride must be 1 x 1 and padding 0"),
])
def test_layers_that_cannot_be_rejected(changes, complaint):
    with pytest.raises(ValueError, match=complaint):
        describe(**changes)


CONV = LayerDescriptor(Operation.CONV2D, (6, 6, 2), (6, 6, 4), (3, 3), (1, 1), (1, 1), 0, 0, -128,
                       127, 1.0, 1.0)
DEPTHWISE = replace(CONV, operation=Operation.DEPTHWISE_CONV2D)
RESHAPE = replace(CONV, operation=Operation.RESHAPE, output_shape=(2, 2, 18), kernel=(1, 1),
                  padding=(0, 0))
SOFTMAX = replace(RESHAPE, operation=Operation.SOFTMAX, output_shape=(6, 6, 2))
ADD = replace(SOFTMAX, operation=Operation.ADD, inputs=(1, 2), addend=(0.5, 3))


@pytest.mark.parametrize("layer, shape, weights, records, macs", [
    (CONV, (4, 3, 3, 2), 72, 4, 72 * 36), (DEPTHWISE, (4, 3, 3, 1), 36, 4, 36 * 36),
    (replace(CONV, output_shape=(6, 6, 5)), (5, 3, 3, 2), 90, 8, 90 * 36),
    (RESHAPE, None, 0, 0, 0), (SOFTMAX, None, 0, 0, 0), (ADD, None, 0, 8, 0),
    (replace(CONV, operation=Operation.MAX_POOL, output_shape=(6, 6, 2)), None, 0, 4, 0),
])
def test_sizes(layer, shape, weights, records, macs):
    assert (layer.weight_shape, layer.weights, layer.records, layer.macs) == (
        shape, weights, records, macs)


@pytest.mark.parametrize("layer, changes, complaint", [
    (CONV, {"inputs": (1, 2)}, "conv2d: inputs must be 1 of earlier layers, not (1, 2)"),
    (CONV, {"inputs": (0,)}, "conv2d: inputs must be 1 of earlier layers, not (0,)"),
    (CONV, {"addend": (1.0, 0)}, "additions alone must have an addend, not (1.0, 0)"),
    (ADD, {"addend": None}, "additions alone must have an addend, not None"),
    (ADD, {"addend": (1.0, 128)}, "addend's zero point must be -128 to 127, not 128"),
    (ADD, {"output_shape": (6, 6, 3)}, "add: output shape must be (6, 6, 2), not (6, 6, 3)"),
    (SOFTMAX, {"output_shape": (6, 6, 3)}, "softmax: output shape must be (6, 6, 2), not"),
    (SOFTMAX, {"rounding": Rounding.ONCE}, "softmax: there is no product to be rounded once"),
    (SOFTMAX, {"stride": (2, 1)}, "softmax: kernel and stride must be 1 x 1 and padding 0, not"),
    (RESHAPE, {"output_shape": (2, 2, 17)}, "reshape: output must have the values of (6, 6, 2)"),
    (DEPTHWISE, {"output_shape": (6, 6, 3)}, "output channels must be a multiple of 2, not 3"),
])
def test_misfits_rejected(layer, changes, complaint):
    with pytest.raises(ValueError, match=re.escape(complaint)):
        replace(layer, **changes)
