from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sw.format.layers import Operation, Rounding
from sw.network import (Activation, FloatLayer, FloatNetwork, Layer, Network, Quantisation,
                        calibrate, integer_network, quantise_multiplier)
from sw.zoo import load_data, load_network

from .networks import integers, small_network, uniform


@given(st.floats(-1000, 1000), st.floats(-1000, 1000))
def test_quantisation_represents_range_and_zero(one, other):
    low, high = sorted((one, other))
    quantisation = Quantisation.between(low, high)
    values = np.array([min(low, 0), 0, max(high, 0)])
    restored = quantisation.restore(quantisation.quantise(values))
    assert restored[1] == 0
    assert np.abs(restored - values).max() <= quantisation.scale * 1.001


def test_quantisation_rounds_halves_to_even_and_clips():
    quantisation = Quantisation(2.0, 10)
    assert quantisation.quantise([1, 3, 5, -1, 1e6, -1e6]).tolist() == [10, 12, 12, 10, 127, -128]


@given(st.floats(2.0 ** -32, 2.0 ** 29))
def test_multiplier_stands_for_factor(real):
    multiplier, shift = quantise_multiplier(np.array([real]))
    assert 1 << 30 <= multiplier[0] < 1 << 31
    assert -31 <= shift[0] <= 30
    assert float(multiplier[0]) / 2 ** 31 * 2.0 ** shift[0] == pytest.approx(real, rel=2 ** -31)


@pytest.mark.parametrize("real, multiplier, shift", [
    (0.5, 1 << 30, 0), (0.25, 1 << 30, -1), (1 - 2.0 ** -40, 1 << 30, 1), (3.0, 3 << 29, 2),
])
def test_known_multipliers(real, multiplier, shift):
    assert quantise_multiplier(np.array([real])) == (multiplier, shift)


@pytest.mark.parametrize("real", [0.0, -1.0, 2.0 ** -33, 2.0 ** 30, np.inf, np.nan])
def test_impossible_factor_rejected(real):
    with pytest.raises(ValueError, match="must be 2\\*\\*-32 to 2\\*\\*30"):
        quantise_multiplier(np.array([real]))


def test_only_fully_connected_layers_round_once():
    network = integers(small_network())
    for layer in network.layers:
        once = layer.descriptor.operation is Operation.FULLY_CONNECTED
        assert layer.descriptor.rounding is (Rounding.ONCE if once else Rounding.TWICE)


def test_calibration_covers_what_it_saw():
    network = small_network()
    x = np.random.default_rng(0).integers(0, 17, (50, 6, 6, 1))
    ranges = calibrate(network, x)
    for quantisation, outputs in zip(ranges, network.run(x), strict=True):
        restored = quantisation.restore(quantisation.quantise(outputs))
        assert np.abs(restored - outputs).max() <= quantisation.scale
    conv, greatest, strided, mean, dense = ranges
    assert conv.zero_point == strided.zero_point == -128
    assert greatest == conv
    assert mean == strided
    assert dense.zero_point != -128


def test_activations_clamp():
    network = integers(small_network())
    relu, _, relu6, _, dense = (layer.descriptor for layer in network.layers)
    assert (relu.activation_min, relu.activation_max) == (-128, 127)
    assert (dense.activation_min, dense.activation_max) == (-128, 127)
    wide = Quantisation(0.1, -28)
    clamped = small_network().layers[2].describe([wide], wide)
    assert (clamped.activation_min, clamped.activation_max) == (-28, 32)
    assert relu6.activation_min == -128


def test_integer_network_counts():
    network = integers(small_network())
    assert network.weights == 8 * 9 + 8 * 9 * 8 + 4 * 32
    assert network.macs == 36 * 8 * 9 + 9 * 8 * 9 * 8 + 4 * 32
    assert network.input_shape == (6, 6, 1)
    assert [layer.name for layer in network.weighted] == ["conv", "strided", "dense"]


def test_one_scale_serves_all_filters():
    trained = small_network()
    x = np.zeros((1, 6, 6, 1))
    weights = [(np.zeros(layer.weights.shape, np.int8), 0.5) for layer in trained.weighted]
    network = integer_network(trained, calibrate(trained, x + 16), weights)
    assert all((layer.weight_scale == 0.5).all() for layer in network.weighted)
    scale = network.input.scale * 0.5
    assert network.layers[0].bias == pytest.approx(trained.layers[0].bias / scale, abs=0.5)


def test_digits_equal_torch():
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    network, data = load_network("digits"), load_data("digits")
    x = torch.from_numpy(network.normalise(data.x)).permute(0, 3, 1, 2)
    parts = {layer.name: (torch.from_numpy(layer.weights.transpose(0, 3, 1, 2).copy()),
                          torch.from_numpy(layer.bias)) for layer in network.weighted}
    x = functional.relu(functional.conv2d(functional.pad(x, (1, 2, 1, 2)), *parts["conv1"]))
    x = functional.relu(functional.conv2d(x, *parts["conv2"], padding=1))
    x = functional.relu(functional.conv2d(x, *parts["conv3"], padding=1))
    x = functional.max_pool2d(x, 2).permute(0, 2, 3, 1).flatten(1)
    logits = functional.linear(x, parts["dense"][0].flatten(1), parts["dense"][1])
    assert network.run(data.x)[-1].reshape(-1, 10) == pytest.approx(logits.numpy(), abs=1e-4)


def broken(layer, **changes):
    return lambda: replace(layer, **changes)


CONV, POOL = small_network().layers[:2]
INTEGER = integers(small_network()).layers[0]


@pytest.mark.parametrize("build, complaint", [
    (broken(CONV, weights=CONV.weights[:7]),
     r"conv: weights must have shape \(8, 3, 3, 1\), not \(7, 3, 3, 1\)"),
    (broken(CONV, bias=CONV.bias[:7]), r"conv: bias must have shape \(8,\), not \(7,\)"),
    (broken(CONV, weights=None), r"conv: weights must have shape \(8, 3, 3, 1\), not None"),
    (broken(POOL, weights=CONV.weights), "greatest: weights must have shape None, not"),
    (broken(POOL, operation=Operation.RESHAPE, output_shape=(6, 8, 6), kernel=(1, 1),
            activation=Activation.RELU), "greatest: reshape must have no activation, not relu"),
    (broken(POOL, inputs=(1, 1)), "greatest: max_pool: inputs must be 1 of earlier layers"),
    (broken(INTEGER, shift=INTEGER.shift[:7]), r"conv: shift must have shape \(8,\), not \(7,\)"),
    (broken(INTEGER, bias=np.full(8, (1 << 31) - 1, np.int32)),
     "conv: sums must fit 32 bits, not reach 214"),
    (lambda: FloatNetwork("n", small_network().input, (6, 6, 1), ()), "n: a network must have"),
    (lambda: FloatNetwork("n", small_network().input, (7, 6, 1), (CONV,)),
     r"conv: input shape must be \(7, 6, 1\), not \(6, 6, 1\)"),
    (lambda: Network("n", small_network().input, (INTEGER, INTEGER)),
     r"conv: input shape must be \(6, 6, 8\), not \(6, 6, 1\)"),
])
def test_misfits_rejected(build, complaint):
    with pytest.raises(ValueError, match=complaint):
        build()


@pytest.mark.parametrize("scale, complaint", [
    (0.0, "conv: weight scales must be positive"), (np.nan, "conv: weight scales must be positive"),
    (1e-12, "conv: biases must fit 32 bits, not reach"),
])
def test_impossible_weight_scale_rejected(scale, complaint):
    trained = small_network()
    weights = [uniform(layer) for layer in trained.weighted]
    weights[0] = (weights[0][0], scale)
    ranges = calibrate(trained, np.full((1, 6, 6, 1), 16))
    with pytest.raises(ValueError, match=complaint):
        integer_network(trained, ranges, weights)


def test_pooling_layer_has_no_arrays():
    layer = Layer.without_arrays("pool", integers(small_network()).layers[1].descriptor)
    assert layer.weights is None
    assert layer.bias.size == layer.multiplier.size == layer.shift.size == 0


def test_float_layer_is_named_in_complaints():
    with pytest.raises(ValueError, match="conv: conv2d: padding must be 0 to 2, not 3"):
        FloatLayer("conv", Operation.CONV2D, (6, 6, 1), (6, 6, 8), (3, 3), (1, 1), (3, 3),
                   Activation.RELU, CONV.weights, CONV.bias)
