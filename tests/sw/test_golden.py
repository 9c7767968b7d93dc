from fractions import Fraction
from math import floor
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sw.format.layers import LayerDescriptor, Operation, Rounding
from sw.golden import apply, classify, requantise, run
from sw.network import Layer

from .networks import graph, integers, small_network


INT32 = 1 << 31


def tflite_requantise(x, multiplier, shift):
    """Do as MultiplyByQuantizedMultiplier of TFLite's common.h does, step by step."""
    product = (x << max(shift, 0)) * multiplier
    nudge = 1 << 30 if product >= 0 else 1 - (1 << 30)
    magnitude = abs(product + nudge) >> 31
    high = magnitude if product + nudge >= 0 else -magnitude
    exponent = max(-shift, 0)
    mask = (1 << exponent) - 1
    threshold = (mask >> 1) + (1 if high < 0 else 0)
    return (high >> exponent) + (1 if high & mask > threshold else 0)


@given(st.integers(-INT32, INT32 - 1), st.integers(1 << 30, INT32 - 1), st.integers(-31, 0))
def test_requantisation_is_tflites(x, multiplier, shift):
    result = requantise(np.array([x]), np.array([multiplier], np.int32), np.array([shift], np.int8))
    assert result.tolist() == [tflite_requantise(x, multiplier, shift)]


@given(st.integers(-1 << 20, 1 << 20), st.integers(1 << 30, INT32 - 1), st.integers(1, 10))
def test_requantisation_to_the_left_is_tflites(x, multiplier, shift):
    result = requantise(np.array([x]), np.array([multiplier], np.int32), np.array([shift], np.int8))
    assert result.tolist() == [tflite_requantise(x, multiplier, shift)]


@pytest.mark.parametrize("x, shift, expected", [
    (1, 0, 1), (3, 0, 2), (-1, 0, 0), (-3, 0, -1), (-5, 0, -2),
    (1, -1, 1), (3, -1, 1), (5, -1, 2), (6, -1, 2), (-1, -1, 0), (-2, -1, -1), (-6, -1, -2),
])
def test_requantisation_rounds_twice(x, shift, expected):
    half = np.array([1 << 30], np.int32)
    assert requantise(np.array([x]), half, np.array([shift], np.int8)).tolist() == [expected]


@given(st.integers(-INT32, INT32 - 1), st.integers(1 << 30, INT32 - 1), st.integers(-31, 5))
def test_rounding_once_is_exact(x, multiplier, shift):
    result = requantise(np.array([x]), np.array([multiplier], np.int32), np.array([shift], np.int8),
                        Rounding.ONCE)
    assert result.tolist() == [floor(Fraction(x * multiplier, 2 ** (31 - shift)) + Fraction(1, 2))]


def window(descriptor, x, y, column):
    """Yield the kernel's row and column and the input it meets, for each place in the image."""
    for ky in range(descriptor.kernel[0]):
        for kx in range(descriptor.kernel[1]):
            row = y * descriptor.stride[0] - descriptor.padding[0] + ky
            place = column * descriptor.stride[1] - descriptor.padding[1] + kx
            if 0 <= row < descriptor.input_shape[0] and 0 <= place < descriptor.input_shape[1]:
                yield ky, kx, [int(value) for value in x[row, place]]


def output(layer, x, y, column, channel):
    """Return one output as docs/network.md defines it, in Python's integers."""
    descriptor = layer.descriptor
    inputs = list(window(descriptor, x, y, column))
    if descriptor.operation is Operation.MAX_POOL:
        value = max(values[channel] for _, _, values in inputs)
    elif descriptor.operation is Operation.AVERAGE_POOL:
        total, count = sum(values[channel] for _, _, values in inputs), len(inputs)
        value = (total + count // 2) // count if total > 0 else -((-total + count // 2) // count)
    else:
        if descriptor.operation is Operation.DEPTHWISE_CONV2D:
            each = descriptor.output_shape[2] // descriptor.input_shape[2]
            inputs = [(ky, kx, [values[channel // each]]) for ky, kx, values in inputs]
        total = int(layer.bias[channel]) + sum(
            (value - descriptor.input_zero_point) * int(weight)
            for ky, kx, values in inputs
            for value, weight in zip(values, layer.weights[channel, ky, kx], strict=True))
        value = descriptor.output_zero_point + tflite_requantise(
            total, int(layer.multiplier[channel]), int(layer.shift[channel]))
    return min(max(value, descriptor.activation_min), descriptor.activation_max)


def random_layer(seed):
    """Return a layer of any operation and geometry, whose outputs vary over most of their range."""
    rng = Random(seed)
    operation = rng.choice([Operation.CONV2D, Operation.DEPTHWISE_CONV2D, Operation.AVERAGE_POOL,
                            Operation.MAX_POOL])
    kernel = rng.randint(1, 4), rng.randint(1, 4)
    stride = rng.randint(1, 3), rng.randint(1, 3)
    padding = rng.randint(0, kernel[0] - 1), rng.randint(0, kernel[1] - 1)
    size = rng.randint(4, 9), rng.randint(4, 9)
    channels = rng.randint(1, 5)
    outputs = channels if operation.pools else rng.randint(1, 6)
    if operation is Operation.DEPTHWISE_CONV2D:
        outputs = channels * rng.randint(1, 3)
    out = tuple((size[axis] + padding[axis] - rng.randint(1, kernel[axis])) // stride[axis] + 1
                for axis in range(2))
    descriptor = LayerDescriptor(
        operation, (*size, channels), (*out, outputs), kernel, stride, padding,
        rng.randint(-128, 127), rng.randint(-20, 20), rng.randint(-128, -50), rng.randint(50, 127),
        0.1, 0.1)
    if not operation.has_weights:
        return Layer.without_arrays("pool", descriptor)
    arrays = np.random.default_rng(seed)
    return Layer(
        "conv", descriptor, arrays.integers(-127, 128, descriptor.weight_shape, np.int8),
        np.ones(outputs), arrays.integers(-1000, 1000, outputs, np.int32),
        arrays.integers(1 << 30, INT32, outputs, np.int32),
        arrays.integers(-10, -6, outputs, np.int8))


@pytest.mark.parametrize("seed", range(40))
def test_layers_of_any_shape(seed):
    layer = random_layer(seed)
    x = np.random.default_rng(seed).integers(
        -128, 128, (2, *layer.descriptor.input_shape), np.int8)
    outputs = apply(layer, x)
    assert outputs.dtype == np.int8
    assert outputs.shape == (2, *layer.descriptor.output_shape)
    for place in np.ndindex(outputs.shape):
        sample, y, column, channel = place
        assert outputs[place] == output(layer, x[sample], y, column, channel), place


def test_run_gives_every_layer():
    network = integers(small_network())
    x = network.quantise_input(np.random.default_rng(0).integers(0, 17, (5, 6, 6, 1)))
    outputs = run(network, x)
    assert [values.shape for values in outputs] == [
        (5, *layer.descriptor.output_shape) for layer in network.layers]
    for layer, before, after in zip(network.layers, [x, *outputs], outputs, strict=False):
        assert np.array_equal(apply(layer, before), after)


def test_graph_takes_each_input_from_where_it_is_made():
    network = graph(1)
    x = np.random.default_rng(0).integers(-128, 128, (5, 4, 4, 2), np.int8)
    conv, depthwise, second, added, reshaped, dense, shares = run(network, x)
    layers = network.layers
    assert np.array_equal(depthwise, apply(layers[1], x))
    assert np.array_equal(second, apply(layers[2], conv))
    exact = (0.3 * (second + 9.0) + 0.5 * (depthwise - 7.0)) / 0.4
    assert np.abs(added - np.clip(exact, -128, 127)).max() <= 0.5 + 1e-4
    assert np.array_equal(reshaped, added.reshape(5, 2, 2, 16))
    powers = np.exp(0.1 * dense.astype(float))
    assert np.abs(shares + 128.0 - 256 * powers / powers.sum(axis=-1, keepdims=True)).max() < 1.01
    assert len(np.unique(shares)) > 10


def test_integers_follow_float():
    trained = small_network()
    network = integers(trained)
    x = np.random.default_rng(1).integers(0, 17, (50, 6, 6, 1))
    wanted = trained.run(x)[-1]
    last = network.layers[-1].descriptor
    found = last.output_scale * (
        run(network, network.quantise_input(x))[-1].astype(float) - last.output_zero_point)
    assert np.abs(found - wanted).max() < 0.05 * np.ptp(wanted)
    assert np.mean(classify(network, x) == trained.classify(x)) >= 0.9
