import re
from dataclasses import replace

import pytest

from sw.format.layers import LayerDescriptor, Operation, Rounding


CONV = LayerDescriptor(Operation.CONV2D, (6, 6, 2), (6, 6, 4), (3, 3), (1, 1), (1, 1), 0, 0, -128,
                       127, 1.0, 1.0)
DEPTHWISE = replace(CONV, operation=Operation.DEPTHWISE_CONV2D)
RESHAPE = replace(CONV, operation=Operation.RESHAPE, output_shape=(2, 2, 18), kernel=(1, 1),
                  padding=(0, 0))
SOFTMAX = replace(RESHAPE, operation=Operation.SOFTMAX, output_shape=(6, 6, 2))
ADD = replace(SOFTMAX, operation=Operation.ADD, inputs=(1, 2), addend=(0.5, 3))


@pytest.mark.parametrize("layer, shape, weights, channels, macs", [
    (CONV, (4, 3, 3, 2), 72, 4, 72 * 36), (DEPTHWISE, (4, 3, 3, 1), 36, 4, 36 * 36),
    (RESHAPE, None, 0, 0, 0), (SOFTMAX, None, 0, 0, 0), (ADD, None, 0, 0, 0),
    (replace(CONV, operation=Operation.MAX_POOL, output_shape=(6, 6, 2)), None, 0, 1, 0),
])
def test_sizes(layer, shape, weights, channels, macs):
    assert (layer.weight_shape, layer.weights, layer.channels, layer.macs) == (
        shape, weights, channels, macs)


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
