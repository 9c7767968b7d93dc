"""What a layer's description refuses."""

import pytest

from sw.format.layers import LayerDescriptor, Operation


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
     "fully_connected: the last of 2 outputs lies wholly in padding"),
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
