from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from sw.codecs import HuffmanCodec, TansCodec
from sw.compress import main
from sw.compression import compress
from sw.format.layers import Operation
from sw.format.tables import AutomatonShape
from sw.importers.tflite import load
from sw.network import Activation, float_network
from sw.quantize import StepQuantiser, compensated, quantise
from sw.quantize.compensated import (Statistics, code_costs, compensate, count, factorise, pixels,
                                     round_layer, round_rows, sample, sensitivities, vary)
from sw.score import agreement, answer
from sw.zoo import load_data, load_network

from ...shared_data import shared_file
from ..networks import small_network


def values(symbols):
    return [(chosen >> 1) ^ -(chosen & 1) for chosen in symbols]


def tans_bits(symbols):
    return TansCodec().bits(values(symbols))


def inputs(count=120, seed=0):
    return np.random.default_rng(seed).integers(0, 17, (count, 6, 6, 1)).astype(float)


def output_error(network, changed, x):
    wanted, found = network.run(x)[-1], changed.run(x)[-1]
    return float(np.square(found - wanted).mean() / np.square(wanted).mean())


def restored(found):
    """Return the network with the weights that symbols stand for."""
    weights = iter(grid.restore(chosen)
                   for grid, chosen in zip(found.grids, found.symbols, strict=True))
    return replace(found.network, layers=tuple(
        replace(layer, weights=next(weights).astype(np.float32))
        if layer.weights is not None else layer for layer in found.network.layers))


def test_rate_is_kept():
    network = small_network()
    for bits in (3, 5):
        found = compensate(network, inputs(), bits=bits, rate=tans_bits)
        count = sum(chosen.size for chosen in found.symbols)
        assert bits - 0.35 < tans_bits(found.symbols) / count <= bits
        for grid, chosen, layer in zip(found.grids, found.symbols, network.weighted, strict=True):
            assert chosen.shape == layer.weights.shape
            assert grid.scale.shape == (len(layer.weights),)
            assert int(chosen.max()) < len(grid.centroids)


def test_outputs_suffer_less_than_from_plain_rounding():
    network = load_network("digits")
    data = load_data("digits")
    shape = AutomatonShape()
    weights = [layer.weights for layer in network.weighted]
    found = compensate(network, data.calibration, bits=2.25, rate=HuffmanCodec(shape).bits,
                       limit=15)
    grids = StepQuantiser(shape).fit(weights, None, 2.25)
    symbols = quantise(weights, grids)
    plain = restored(type(found)(grids, tuple(symbols), network))
    assert output_error(network, restored(found), data.x) < 0.5 * output_error(
        network, plain, data.x)


def correlated(size, seed):
    mixed = np.random.default_rng(seed).normal(size=(size, size))
    return mixed @ mixed.T + 0.1 * np.eye(size)


def test_factor_is_that_of_the_inverse_in_order():
    hessian = correlated(12, seed=0)
    order, factor = factorise(np.linalg.inv(hessian))
    assert sorted(order) == list(range(12))
    assert not np.tril(factor, -1).any()
    np.testing.assert_allclose(factor.T @ factor, np.linalg.inv(hessian)[np.ix_(order, order)])
    # The first column is the one whose error is made up for the least.
    assert order[0] == np.argmin(np.diag(np.linalg.inv(hessian)))


@pytest.mark.parametrize("seed", range(5))
def test_enough_paths_find_the_best_integers(seed):
    size, step, pressure = 5, 0.7, 0.4
    hessian = correlated(size, seed)
    target = np.random.default_rng(seed).normal(size=(1, size))
    order, factor = factorise(np.linalg.inv(hessian))
    costs = code_costs(count(np.array([0, 0, 0, 1, -1, 2]), 3))

    def loss(integers):
        error = integers * step - target[0]
        return error @ hessian @ error + pressure * costs[integers + 3].sum()

    found = []
    for most in (1, 8, 4096):
        chosen = np.zeros((1, size), np.int64)
        round_rows(target[:, order], factor, np.array([step]), costs, pressure, most, order, chosen)
        found.append(loss(chosen[0]))
    least = min(loss(np.array(integers)) for integers in product(range(-3, 4), repeat=size))
    assert found[2] == pytest.approx(least)
    assert found[2] <= found[1] <= found[0]


def test_same_inputs_give_the_same_weights():
    one, two = (compensate(small_network(), inputs(20), bits=4, rate=tans_bits, seed=3)
                for _ in range(2))
    for a, b in zip(one.symbols, two.symbols, strict=True):
        assert np.array_equal(a, b)
    for a, b in zip(one.network.layers, two.network.layers, strict=True):
        assert a.bias is None or np.array_equal(a.bias, b.bias)


def test_sensitivities_tell_which_layer_matters():
    network = small_network()
    found = sensitivities(network, inputs(30))
    assert len(found) == len(network.weighted)
    assert all(np.isfinite(found))
    assert min(found) > 0


def test_variants_are_near_the_inputs():
    x = inputs(3)
    varied = vary(x, 50, seed=1)
    assert varied.shape == (50, 6, 6, 1)
    assert np.array_equal(varied, vary(x, 50, seed=1))
    assert np.abs(varied).max() < 1.5 * np.abs(x).max()
    assert np.unique(varied.round(6), axis=0).shape[0] == 50


def test_pixels_are_what_filters_see():
    layer = next(layer for layer in load_network("digits").layers if layer.kernel == (3, 3))
    x = np.random.default_rng(0).normal(size=(5, *layer.input_shape)).astype(np.float32)
    bare = replace(layer, activation=Activation.NONE).apply(x)
    numbers = np.array([0, 7, bare[..., 0].size - 1])
    seen = pixels(layer, x, numbers)
    assert seen.shape == (3, 1, layer.weights[0].size)
    sums = seen[:, 0] @ layer.weights.reshape(len(layer.weights), -1).T + layer.bias
    np.testing.assert_allclose(sums, bare.reshape(-1, bare.shape[-1])[numbers], rtol=1e-3,
                               atol=1e-4)


def test_too_many_inputs_are_sampled(monkeypatch):
    monkeypatch.setattr(compensated, "MOST_INPUTS", 130)
    many = inputs(200)
    chosen = sample(200, 130, np.random.default_rng(0))
    assert len(np.unique(chosen)) == 130
    one, two = (compensate(small_network(), x, bits=4, rate=tans_bits) for x in
                (many, many[chosen]))
    for a, b in zip(one.symbols, two.symbols, strict=True):
        assert np.array_equal(a, b)


def test_rates_out_of_reach_are_refused():
    with pytest.raises(ValueError, match=r"Weights must have \d\.\d+ bits or more, with their code "
                                         r"tables, not 0\.01"):
        compensate(small_network(), inputs(), bits=0.01, rate=tans_bits)


def test_dead_filters_are_kept_dead():
    network = small_network()
    layers = list(network.layers)
    alive = np.arange(8)[:, None, None, None] < 4
    layers[0] = replace(layers[0], weights=layers[0].weights * alive, bias=np.zeros(8, np.float32))
    found = compensate(replace(network, layers=tuple(layers)), inputs(), bits=4, rate=tans_bits)
    assert not found.symbols[0][4:].any()
    assert found.symbols[0][:4].any()
    assert all(np.isfinite(layer.bias).all() for layer in found.network.layers
               if layer.bias is not None)


def test_biases_of_filters_without_weights_stay_within_32_bits():
    layer = small_network().layers[0]
    alive = np.arange(8)[:, None, None, None] < 4
    layer = replace(layer, weights=layer.weights * alive, bias=np.full(8, 100, np.float32))
    x = inputs()
    statistics = Statistics(layer, x, x, 0.01, np.random.default_rng(0))
    # So little for a bit that steps would become as small as they may.
    _, grid, _ = round_layer(layer, statistics, 1e-30, 127)
    assert np.abs(100 / (np.ptp(x) / 255 * grid.scale)).max() < 1 << 31


def test_calibration_is_asked_for(tmp_path):
    with pytest.raises(SystemExit, match="the compensated quantiser must have inputs"):
        main([str(shared_file("models/kws_ref_model.tflite")), "--quantiser", "compensated",
              "--codec", "tans", "--target", "none", "-o", str(tmp_path / "a.hri")])


@pytest.mark.slow
def test_one_file_is_halved(tmp_path):
    network = load_network("digits")
    data = load_data("digits")
    np.savez(tmp_path / "one.npz", x=data.x[:101], y=data.y[:101])
    found = compress("digits", quantiser="compensated", data=tmp_path / "one.npz",
                     calibration=tmp_path / "one.npz")
    assert found.n == 51
    assert found.accuracy_int > 0.95
    assert network.input_shape == (8, 8, 1)


@pytest.mark.slow
def test_board_runs_what_was_compensated():
    found = compress("digits", quantiser="compensated", bits=2.25)
    assert found.target is not None
    assert found.size.bits_per_weight <= 2.26
    assert found.accuracy_int >= found.accuracy_float - 0.01


@pytest.mark.slow
def test_keyword_spotting_agrees_with_itself(tmp_path):
    source = load(shared_file("models/kws_ref_model.tflite"))
    with np.load(shared_file("data/mlperf_tiny_inputs.npz")) as data:
        x = data["kws_x"]
    np.savez(tmp_path / "x.npz", x=x[:8])
    found = compress(shared_file("models/kws_ref_model.tflite"), quantiser="compensated",
                     codec="tans", bits=2.6, target=None, calibration=tmp_path / "x.npz")
    assert found.size.bits_per_weight <= 2.61
    trained = float_network(source)
    assert trained.layers[-1].operation is Operation.SOFTMAX
    inputs = source.input.scale * (x.astype(float) - source.input.zero_point)

    assert agreement(answer(found.image.network, inputs), answer(source, inputs)) >= 10 / 12
