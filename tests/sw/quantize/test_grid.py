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


def test_wide_centroid_rejected():
    with pytest.raises(ValueError, match="Centroid 1 must be -128 to 127, not 128"):
        Grid((0, 128), np.ones(1))
