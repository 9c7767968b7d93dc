"""What holds for every quantiser, on ordinary layers and on odd ones."""

from itertools import pairwise
from math import log2

import numpy as np
import pytest

from sw.format.tables import AutomatonShape
from sw.quantize import (TERNARY, CodebookQuantiser, Grid, StepQuantiser, UniformQuantiser,
                         check_zeros, prune, quantise)
from sw.zoo import load_network


UNIFORM_BITS = (1, TERNARY, 2, 3, 4, 5, 6, 8)
CLUSTERS = (2, 3, 5, 12, 16, 33, 64)

GAUSSIAN = np.random.default_rng(0).normal(0, 0.1, (6, 3, 3, 4))

LAYERS = {
    "digits": [layer.weights for layer in load_network("digits").weighted],
    "gaussian and laplacian": [GAUSSIAN, np.random.default_rng(1).laplace(0, 2, (8, 1, 1, 24))],
    "float32": [GAUSSIAN.astype(np.float32)],
    "one value": [np.full((3, 1, 1, 5), 0.7)],
    "one negative value": [np.full((3, 1, 1, 5), -0.7)],
    "two weights": [np.array([0.3, -5.0]).reshape(1, 1, 1, 2)],
    "one weight": [np.array(-5.0).reshape(1, 1, 1, 1)],
    "zeros": [np.zeros((2, 1, 1, 3)), GAUSSIAN],
    "nothing but zeros": [np.zeros((2, 1, 1, 3))],
    "a dead filter": [GAUSSIAN * np.array([1, 0, 1, 1, 1, 1])[:, None, None, None]],
    "huge": [GAUSSIAN * 1e30],
    "tiny": [GAUSSIAN * 1e-30],
    "filters far apart": [GAUSSIAN * np.logspace(0, -3, 6)[:, None, None, None]],
    "an outlier": [np.where(np.arange(216).reshape(6, 3, 3, 4) == 7, 50, GAUSSIAN)],
}

GRANULARITIES = ("tensor", "channel")


def uniform(bits, granularity, **options):
    return pytest.param(lambda layers: UniformQuantiser(granularity, **options).fit(
        layers, None, bits), id=f"uniform-{bits}-{granularity}-{options}")


def codebook(clusters, codebooks, **options):
    return pytest.param(lambda layers: CodebookQuantiser(codebooks, **options).fit(
        layers, None, log2(clusters)), id=f"codebook-{clusters}-{codebooks}-{options}")


ALL = [
    *(uniform(bits, granularity) for bits in UNIFORM_BITS for granularity in GRANULARITIES),
    uniform(4, "channel", clip=False), uniform(8, "tensor", clip=False),
    *(codebook(clusters, 16) for clusters in CLUSTERS),
    *(codebook(16, codebooks, granularity=granularity, domain=domain, zero=zero)
      for codebooks in (1, 16) for granularity in GRANULARITIES for domain in ("float", "int8")
      for zero in (False, True)),
    pytest.param(lambda layers: StepQuantiser(AutomatonShape()).fit(layers, None, 400),
                 id="step"),
]


@pytest.fixture(params=LAYERS.values(), ids=LAYERS)
def layers(request):
    return request.param


def squared_error(layers, grids):
    return sum(float(np.square(layer - grid.restore(chosen)).sum()) for layer, grid, chosen
               in zip(layers, grids, quantise(layers, grids), strict=True))


def energy(layers):
    return sum(float(np.square(layer.astype(np.float64)).sum()) for layer in layers)


@pytest.mark.parametrize("fit", ALL)
def test_symbols_survive_and_the_nearest_value_is_chosen(layers, fit):
    grids = fit(layers)
    for layer, grid, chosen, again in zip(layers, grids, quantise(layers, grids),
                                          quantise(layers, fit(layers)), strict=True):
        assert grid.scale.shape in ((1,), (len(layer),))
        assert np.all(np.isfinite(grid.scale))
        assert np.all(grid.scale > 0)
        assert chosen.shape == layer.shape
        assert np.all((chosen >= 0) & (chosen < len(grid.centroids)))
        assert np.array_equal(again, chosen)
        restored = grid.restore(chosen)
        if not grid.costs:
            # What a weight becomes isn't quantised once more.
            assert np.array_equal(grid.restore(grid.quantise(restored)), restored)
            choices = np.multiply.outer(grid.scale, np.array(grid.centroids, np.float64))
            choices = np.broadcast_to(choices, (len(layer), choices.shape[1]))
            least = np.abs(layer.reshape(len(layer), -1, 1) - choices[:, None]).min(axis=2)
            off = np.abs(restored - layer).reshape(len(layer), -1)
            assert np.all(off <= least * (1 + 1e-9))


@pytest.mark.parametrize("granularity", GRANULARITIES)
@pytest.mark.parametrize("bits", [bits for bits in UNIFORM_BITS if bits > 1])
def test_uniform_errs_by_half_a_step_within_its_reach(layers, bits, granularity):
    grids = UniformQuantiser(granularity).fit(layers, None, bits)
    for layer, grid, chosen in zip(layers, grids, quantise(layers, grids), strict=True):
        scale = np.broadcast_to(grid.scale, len(layer)).reshape(-1, 1, 1, 1)
        within = np.abs(layer) <= (max(grid.centroids) + 0.5) * scale
        off = np.abs(layer - grid.restore(chosen))
        assert np.all((off <= scale / 2 * (1 + 1e-9))[within])
        assert np.all((np.abs(grid.integers(chosen)) == max(grid.centroids))[~within])


@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_more_bits_err_less(layers, granularity):
    errors = [squared_error(layers, UniformQuantiser(granularity).fit(layers, None, bits))
              for bits in UNIFORM_BITS]
    assert all(after <= before * (1 + 1e-9) + 1e-12 * energy(layers)
               for before, after in pairwise(errors[1:]))
    assert errors[-1] < 0.001 * energy(layers) or not energy(layers)


def test_more_centroids_err_less(layers):
    for zero in (False, True):
        errors = [squared_error(layers, CodebookQuantiser(16, zero=zero).fit(
            layers, None, log2(clusters))) for clusters in CLUSTERS]
        # Rounded to int8, a centroid is off by up to 1/254 of the greatest.
        rounding = sum(layer.size * (float(np.abs(layer).max()) / 254) ** 2 for layer in layers)
        assert all(after <= before + 2 * rounding
                   for before, after in pairwise(errors))


@pytest.mark.parametrize("bits", UNIFORM_BITS)
def test_filters_with_steps_of_their_own_err_no_more(layers, bits):
    own, one = (squared_error(layers, UniformQuantiser(granularity).fit(layers, None, bits))
                for granularity in ("channel", "tensor"))
    # A step may be no smaller than 2 ** -16 of its layer's.
    assert own <= one + 1e-9 * energy(layers)


@pytest.mark.parametrize("granularity", GRANULARITIES)
@pytest.mark.parametrize("bits", [bits for bits in UNIFORM_BITS if bits > 1])
def test_clipping_errs_no_more_than_reach(layers, bits, granularity):
    clipped, reaching = (squared_error(layers, UniformQuantiser(granularity, clip=clip).fit(
        layers, None, bits)) for clip in (True, False))
    assert clipped <= reaching + 1e-9 * energy(layers)


@pytest.mark.parametrize("fit", [fit for fit in ALL if "uniform-1-" not in fit.id
                                 and ("codebook" not in fit.id or "'zero': True" in fit.id)])
@pytest.mark.parametrize("scope", ["network", "layer"])
def test_pruned_weights_stay_zero(layers, fit, scope):
    pruned = prune(layers, None, 0.6, scope=scope)
    grids = fit(pruned)
    check_zeros(grids)
    for layer, grid, chosen in zip(pruned, grids, quantise(pruned, grids), strict=True):
        assert not grid.integers(chosen)[layer == 0].any()


def test_grids_without_zero_rejected():
    grids = UniformQuantiser().fit([GAUSSIAN], None, 1)
    with pytest.raises(ValueError, match=r"^Grid of layer 0 must have a value of 0 .*, not -1, 1$"):
        check_zeros(grids)
    check_zeros([Grid((0, 5), np.ones(1))])
