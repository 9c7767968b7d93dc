from itertools import combinations
from math import log2

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sw.quantize import CodebookQuantiser, quantise
from sw.quantize.codebook import cluster


def brute_force(values, weights, count):
    """Return the least error of any division of sorted values into ``count`` parts."""
    order = np.argsort(values)
    values, weights = values[order], weights[order]
    best = np.inf
    for cuts in combinations(range(1, len(values)), count - 1):
        parts = zip((0, *cuts), (*cuts, len(values)), strict=True)
        best = min(best, sum(
            weights[low:high] @ np.square(
                values[low:high] - np.average(values[low:high], weights=weights[low:high]))
            for low, high in parts))
    return best


@given(st.lists(st.integers(-50, 50), min_size=2, max_size=8, unique=True), st.integers(2, 4),
       st.data())
def test_clusters_are_the_best(values, count, data):
    values = np.array(values) / 8
    weights = np.array(data.draw(st.lists(st.sampled_from([0.25, 1.0, 9.0]), min_size=len(values),
                                          max_size=len(values))))
    count = min(count, len(values))
    centers = cluster(values, weights, count)
    assert len(centers) == count
    error = weights @ np.square(values[:, None] - centers).min(axis=1)
    assert error == pytest.approx(brute_force(values, weights, count), abs=1e-9)


def test_commonest_centroid_is_symbol_0():
    layer = np.array([1.0] * 3 + [-1.0] * 5 + [2.0]).reshape(1, 1, 1, 9)
    grid, = CodebookQuantiser(1).fit([layer], None, 2)
    assert grid.centroids == (-64, 64, 127)


def test_zero_is_a_centroid_when_asked_for():
    layer = np.array([0.1, 0.2, 1.0, 1.1, -1, 0, 0]).reshape(1, 1, 1, 7)
    assert 0 not in CodebookQuantiser(1).fit([layer], None, log2(3))[0].centroids
    grid, = CodebookQuantiser(1, zero=True).fit([layer], None, log2(3))
    assert grid.centroids == (76, 0, -127)
    assert grid.restore(grid.quantise(layer)).ravel()[-2:].tolist() == [0, 0]


def test_integers_of_filters_are_shared_as_they_are():
    """Centroids of what an int8 network of TFLite stores."""
    integers = np.random.default_rng(0).integers(-127, 128, (4, 3, 3, 6))
    integers[:, 0, 0, 0] = 127
    scale = np.array([0.5, 0.01, 2.0, 1e-3])
    layer = integers * scale[:, None, None, None]
    grid, = CodebookQuantiser(1, granularity="channel", domain="int8").fit([layer], None, 4)
    assert grid.scale == pytest.approx(scale)
    wanted = np.rint(cluster(integers.ravel(), np.repeat(np.square(scale), 54), 16))
    assert grid.centroids == tuple(wanted.astype(int).tolist())


@pytest.mark.parametrize("domain", ["float", "int8"])
def test_scales_of_filters_help_where_they_differ(domain):
    layer = np.random.default_rng(0).normal(0, 1, (8, 3, 3, 8)) * np.logspace(0, -2, 8).reshape(
        -1, 1, 1, 1)
    weighting = [np.square(1 / np.abs(layer).max(axis=(1, 2, 3), keepdims=True))]

    def error(granularity):
        grids = CodebookQuantiser(1, granularity=granularity, domain=domain).fit(
            [layer], weighting, 4)
        symbols, = quantise([layer], grids, weighting)
        return np.sum(weighting * np.square(layer - grids[0].restore(symbols)))
    assert error("channel") < 0.7 * error("tensor")


def test_each_layer_may_have_its_own_number():
    layers = [np.random.default_rng(0).normal(0, 1, (8, 1, 1, 40)) for _ in range(3)]
    grids = CodebookQuantiser(3).share(layers, None, [2, 7, 64])
    assert [len(grid.centroids) for grid in grids] == [2, 7, 64]
    assert [grid.codebook for grid in grids] == [0, 1, 2]


@pytest.mark.parametrize("make, complaint", [
    (lambda: CodebookQuantiser(1, granularity="row"), "tensor or channel, not row"),
    (lambda: CodebookQuantiser(1, domain="int4"), "must be float or int8, not int4"),
    (lambda: CodebookQuantiser(2).share([np.ones((1, 1, 1, 2))] * 2, None, [4, 129]),
     "Layer 1 must have 2 to 128 centroids, not 129"),
    (lambda: CodebookQuantiser(1).share([np.ones((1, 1, 1, 2))] * 2, None, [4, 8]),
     "must have equal numbers of centroids, not 4 to 8"),
])
def test_refusals(make, complaint):
    with pytest.raises(ValueError, match=complaint):
        make()
