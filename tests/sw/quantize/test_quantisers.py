from dataclasses import replace

import numpy as np
import pytest

from sw.codecs import HuffmanCodec, TansCodec
from sw.format.tables import AutomatonShape, TansShape
from sw.network import Activation
from sw.quantize import (CodebookQuantiser, StepQuantiser, UniformQuantiser, correct_biases,
                         quantise)
from sw.quantize.step import levels, populate
from sw.zoo import load_data, load_network


SHAPE = AutomatonShape()


@pytest.fixture
def layers():
    rng = np.random.default_rng(0)
    return [rng.normal(0, 0.1, (16, 3, 3, 8)), rng.laplace(0, 0.02, (32, 3, 3, 16))]


def error(layers, grids):
    symbols = quantise(layers, grids)
    squares = [np.square(layer - grid.restore(chosen)).sum()
               for layer, grid, chosen in zip(layers, grids, symbols, strict=True)]
    return sum(squares) / sum(layer.size for layer in layers)


def rate(layers, grids):
    return (HuffmanCodec(SHAPE).bits(quantise(layers, grids))
            / sum(layer.size for layer in layers))


def test_uniform_that_clips_nothing_is_within_half_a_step(layers):
    for bits in (8, 6, 5, 4, 3, 2):
        grids = UniformQuantiser(clip=False).fit(layers, None, bits)
        for layer, grid, symbols in zip(layers, grids, quantise(layers, grids), strict=True):
            greatest = np.abs(layer).max(axis=(1, 2, 3))
            assert grid.scale == pytest.approx(greatest / (2 ** (bits - 1) - 1))
            off = np.abs(layer - grid.restore(symbols)).max(axis=(1, 2, 3))
            assert np.all(off <= grid.scale / 2 + 1e-12)
            assert symbols.max() == 2 ** bits - 2 or symbols.max() == 2 ** bits - 3


def test_uniform_of_a_dead_filter():
    grid, = UniformQuantiser().fit([np.zeros((2, 1, 1, 3))], None, 8)
    assert np.all(grid.scale > 0)


def test_codebook_is_exact_where_values_are_few():
    values = np.array([-0.5, 0.0, 0.25, 127 / 254])
    layer = np.random.default_rng(0).choice(values, (8, 3, 3, 2), p=[0.1, 0.6, 0.2, 0.1])
    grid, = CodebookQuantiser(4).fit([layer], None, 4)
    assert len(grid.centroids) == 4
    assert grid.centroids[0] == 0
    assert np.abs(layer - grid.restore(grid.quantise(layer))).max() < grid.scale[0] / 2


def test_codebook_of_many_weights_is_that_of_all_values(monkeypatch):
    layer = np.random.default_rng(0).laplace(0, 0.1, (64, 3, 3, 128))
    importance = [np.random.default_rng(1).uniform(0, 1, layer.shape)]
    binned, = CodebookQuantiser(1).fit([layer], importance, 4)
    monkeypatch.setattr("sw.quantize.codebook.BINS", layer.size)
    exact, = CodebookQuantiser(1).fit([layer], importance, 4)
    assert binned.centroids == exact.centroids
    assert binned.scale == pytest.approx(exact.scale, rel=1e-4)


def test_codebook_beats_uniform(layers):
    assert error(layers, CodebookQuantiser(4).fit(layers, None, 4)) < error(
        layers, UniformQuantiser().fit(layers, None, 4))


def test_codebooks_are_shared_when_they_are_scarce(layers):
    own = CodebookQuantiser(2).fit(layers, None, 4)
    shared = CodebookQuantiser(1).fit(layers, None, 4)
    assert [grid.codebook for grid in own] == [0, 1]
    assert [grid.codebook for grid in shared] == [0, 0]
    assert shared[0].centroids == shared[1].centroids
    assert shared[0].scale != shared[1].scale
    assert error(layers, own) < error(layers, shared)


@pytest.mark.parametrize("bits", [3.5, 2.5, 1.5])
def test_step_keeps_to_its_rate(layers, bits):
    grids = StepQuantiser(SHAPE).fit(layers, None, bits)
    assert bits - 0.03 < rate(layers, grids) <= bits


@pytest.mark.parametrize("bits", [4, 2.5, 1.5])
def test_step_keeps_to_its_rate_in_tans(layers, bits):
    quantiser = StepQuantiser(TansShape())
    grids = quantiser.fit(layers, None, bits)
    symbols = quantise(layers, grids)
    integers = [grid.integers(chosen) for grid, chosen in zip(grids, symbols, strict=True)]
    count = sum(layer.size for layer in layers)
    assert quantiser.bits(symbols) == TansCodec().bits(integers)
    assert bits - 0.03 < TansCodec().bits(integers) / count <= bits
    # At the same rate, what was chosen for another code errs more.
    other = StepQuantiser(SHAPE)
    other = other.search(populate(layers, None), lambda grids: quantiser.bits(
        quantise(layers, grids)) <= bits * count)[1]
    assert error(layers, grids) < error(layers, other)


@pytest.mark.parametrize("alike", [True, False])
def test_step_approaches_the_rate_of_many_weights(layers, monkeypatch, alike):
    monkeypatch.setattr("sw.quantize.step.PART", 1000)
    importance = [np.random.default_rng(1).uniform(0.5, 1, (1,) * 4 if alike else layer.shape)
                  for layer in layers]
    quantiser = StepQuantiser(TansShape())
    grids = quantiser.fit(layers, importance, 2.5)
    count = sum(layer.size for layer in layers)
    assert 2.45 < quantiser.bits(quantise(layers, grids, importance)) / count <= 2.5


@pytest.mark.parametrize("alike", [True, False])
def test_rate_is_known_without_symbols(layers, alike):
    importance = [np.random.default_rng(1).uniform(0.5, 1, (1,) * 4 if alike else layer.shape)
                  for layer in layers]
    quantiser = StepQuantiser(SHAPE)
    populations = populate(layers, importance)
    for step in (0.3, 0.05, 0.01):
        grids = quantiser.settle(populations, step)
        symbols = quantise(layers, grids, importance)
        for population, grid, chosen in zip(populations, grids, symbols, strict=True):
            assert np.array_equal(population.zeros(grid), chosen == 0)
        least, most = quantiser.limits(populations, grids)
        assert least <= HuffmanCodec(SHAPE).bits(symbols) <= most


def test_step_needs_fewer_bits_than_a_codebook_of_the_same_error(layers):
    codebook = CodebookQuantiser(4).fit(layers, None, 4)
    step = StepQuantiser(SHAPE).fit_error(layers, None, error(layers, codebook))
    assert error(layers, step) <= error(layers, codebook)
    assert rate(layers, step) < rate(layers, codebook)


def test_rounding_that_knows_the_rate_errs_less_at_that_rate(layers, monkeypatch):
    aware = error(layers, StepQuantiser(SHAPE).fit(layers, None, 2.5))
    monkeypatch.setattr("sw.quantize.step.PRESSURE", 0)
    assert aware < 0.98 * error(layers, StepQuantiser(SHAPE).fit(layers, None, 2.5))


def test_important_layer_gets_smaller_steps(layers):
    important = [np.full((1, 1, 1, 1), 100.0), np.ones((1, 1, 1, 1))]
    plain = StepQuantiser(SHAPE).fit(layers, None, 3)
    weighted = StepQuantiser(SHAPE).fit(layers, important, 3)
    assert weighted[0].scale < plain[0].scale
    assert weighted[1].scale > plain[1].scale


@pytest.mark.parametrize("symbols, integers", [
    (4, (0, -1, 1)), (8, (0, -1, 1, -2, 2, -4, 4)),
    (16, (0, -1, 1, -2, 2, -3, 3, -4, 4, -5, 5, -7, 7, -10, 10)),
])
def test_levels(symbols, integers):
    assert levels(symbols) == integers


@pytest.mark.parametrize("quantiser, bits, complaint", [
    (UniformQuantiser(), 7, r"must have 1, 1\.58, 2, 3, 4, 5, 6 or 8 bits, not 7$"),
    (UniformQuantiser(), 16, "8 bits or fewer for a network, whose weights are int8, not 16"),
    (CodebookQuantiser(4), 2.5, "7 bits, or log2 of 2 to 128 centroids, not 2.5"),
    (CodebookQuantiser(4), 8, "7 bits, or log2 of 2 to 128 centroids, not 8"),
    (CodebookQuantiser(4), float("nan"), "not nan"),
    (StepQuantiser(TansShape()), 0.01, r"must have 0\.\d+ bits or more .*, not 0\.01"),
    (StepQuantiser(SHAPE), 0.01, r"must have 0\.05 bits or more for each of 5760 .*, not 0\.01"),
])
def test_bits_out_of_reach_rejected(layers, quantiser, bits, complaint):
    with pytest.raises(ValueError, match=complaint):
        quantiser.fit(layers, None, bits)


def test_error_out_of_reach_rejected(layers):
    with pytest.raises(ValueError, match="needs a larger alphabet for an error of 1e-12"):
        StepQuantiser(SHAPE).fit_error(layers, None, 1e-12)


def test_corrected_biases_restore_the_mean_output():
    network, data = load_network("digits"), load_data("digits")
    network = replace(network, layers=tuple(replace(layer, activation=Activation.NONE)
                                            for layer in network.layers))
    first = network.layers[0]
    off = [layer.weights + 0.05 for layer in network.weighted]
    corrected = correct_biases(network, off, data.calibration).layers[0]
    x = network.normalise(data.calibration)
    wanted = first.apply(x).mean(axis=(0, 1, 2))
    assert replace(corrected, weights=off[0]).apply(x).mean(axis=(0, 1, 2)) == pytest.approx(
        wanted, abs=1e-5)
    assert replace(first, weights=off[0]).apply(x).mean(axis=(0, 1, 2)) != pytest.approx(
        wanted, abs=1e-2)
