import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sw.quantize import Grid
from sw.quantize.grid import zigzag


def test_zigzag():
    assert zigzag(6) == (0, -1, 1, -2, 2, -3)


@given(st.lists(st.floats(-9, 9), min_size=1, max_size=9))
def test_nearest_centroid(values):
    grid = Grid((0, 7, -3, 2), np.array([0.5]))
    weights = np.array(values).reshape(-1, 1, 1, 1)
    symbols = grid.quantise(weights)
    error = np.abs(weights - grid.restore(symbols))
    for centroid in grid.centroids:
        assert np.all(error <= np.abs(weights - centroid * 0.5) + 1e-12)


def test_scale_of_each_filter():
    grid = Grid(zigzag(15), np.array([1.0, 0.5]))
    weights = np.full((2, 1, 1, 3), 3.0)
    symbols = grid.quantise(weights)
    assert grid.integers(symbols)[:, 0, 0].tolist() == [[3] * 3, [6] * 3]
    assert np.array_equal(grid.restore(symbols), weights)


def test_cost_moves_the_decision():
    weights = np.array([0.5, 0.6, 0.8]).reshape(1, 1, 1, 3)
    assert Grid((0, 1), np.ones(1)).quantise(weights).tolist() == [[[[0, 1, 1]]]]
    dear = Grid((0, 1), np.ones(1), costs=(0.0, 0.4))
    assert dear.quantise(weights).tolist() == [[[[0, 0, 1]]]]
    assert dear.quantise(weights, np.array([1, 9, 1])).tolist() == [[[[0, 1, 1]]]]


def exhaustive(grid, weights, importance):
    centroids = np.array(grid.centroids).reshape(-1, *(1,) * weights.ndim)
    scale = grid.scale.reshape(-1, *(1,) * (weights.ndim - 1))
    loss = np.square(weights - centroids * scale) * importance
    if grid.costs:
        loss += np.reshape(grid.costs, centroids.shape)
    return loss.argmin(axis=0)


@st.composite
def grids(draw, filters=1):
    """Grids whose centroids may be equal, and their costs."""
    centroids = draw(st.lists(st.integers(-128, 127), min_size=1, max_size=40))
    costs = draw(st.lists(st.sampled_from([0, 0.25, 1, 7.5]), min_size=len(centroids),
                          max_size=len(centroids)) | st.just([]))
    scale = draw(st.lists(st.sampled_from([0.5, 0.7, 1e-30]), min_size=filters, max_size=filters))
    return Grid(tuple(centroids), np.array(scale), costs=tuple(costs))


#: Among them the middles between centroids.
WEIGHTS = st.floats(-80, 80, width=32) | st.integers(-160, 160).map(lambda n: n / 4)


@given(grids(filters=2), st.lists(WEIGHTS, min_size=1, max_size=9), st.data())
def test_nothing_is_better_than_what_is_chosen(grid, values, data):
    weights = np.array([values, values[::-1]], np.float32)[:, None, None]
    each = st.lists(st.sampled_from([0.0, 0.5, 1.0, 1e9]), min_size=weights.size,
                    max_size=weights.size).map(lambda chosen: np.reshape(chosen, weights.shape))
    importance = data.draw(st.just(np.ones(1)) | each)
    assert np.array_equal(grid.quantise(weights, importance),
                          exhaustive(grid, weights, importance))


@given(grids(), st.lists(WEIGHTS, max_size=99), st.sampled_from([0.0, 0.5, 1e9]))
def test_counts_are_those_of_the_symbols(grid, values, importance):
    weights = np.sort(np.array(values, np.float32))
    symbols = grid.quantise(weights, np.array([importance]))
    assert np.array_equal(grid.count(weights, np.array([importance])),
                          np.bincount(symbols, minlength=len(grid.centroids)))


def test_counts_of_filters_rejected():
    with pytest.raises(ValueError, match="one scale and one importance, not 2 and 1"):
        Grid((0, 1), np.ones(2)).count(np.zeros(4))


def test_wide_centroid_rejected():
    with pytest.raises(ValueError, match="Centroid 1 must be -128 to 127, not 128"):
        Grid((0, 128), np.ones(1))
