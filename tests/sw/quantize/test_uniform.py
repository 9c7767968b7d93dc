import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sw.quantize import TERNARY, LinearGrid, UniformQuantiser
from sw.quantize.scales import LEAST_STEP, least_error_scale, lost


def brute_force(values, weights, limit):
    """Return the least error over a dense choice of scales, each refined to its optimum."""
    best = np.inf
    for scale in np.geomspace(1e-3, 2, 4000) * values.max():
        integers = np.minimum(np.rint(values / scale), limit)
        squares = (integers ** 2) @ weights
        if squares:
            refined = (values * integers) @ weights / squares
            best = min(best, lost(values, weights, limit, refined))
    return best


@given(st.lists(st.floats(0.01, 9), min_size=1, max_size=9), st.integers(1, 7), st.data())
def test_no_scale_errs_less(values, limit, data):
    values = np.array(values)
    weights = np.array(data.draw(st.lists(st.sampled_from([0.5, 1.0, 20.0]), min_size=len(values),
                                          max_size=len(values))))
    scale = least_error_scale(values, weights, limit)
    assert lost(values, weights, limit, scale) <= brute_force(values, weights, limit) + 1e-9


@pytest.mark.parametrize("count, limit", [(5000, 7), (600, 127), (20_000, 7), (20_000, 127)])
def test_search_is_as_good_as_all_points(monkeypatch, count, limit):
    values = np.abs(np.random.default_rng(0).normal(0, 1, count))
    weights = np.random.default_rng(1).uniform(0, 1, count)
    found = lost(values, weights, limit, least_error_scale(values, weights, limit))
    monkeypatch.setattr("sw.quantize.scales.POINTS", count * limit)
    exact = lost(values, weights, limit, least_error_scale(values, weights, limit))
    assert exact <= found < exact * 1.01


def test_weights_of_no_importance_are_not_looked_at():
    layer = np.array([1.0, 1.1, 0.9, 80]).reshape(1, 1, 1, 4)
    importance = np.array([1, 1, 1, 0])
    grid, = UniformQuantiser().fit([layer], [importance], TERNARY)
    assert grid.scale == pytest.approx(1)
    grid, = UniformQuantiser().fit([layer], [importance], 1)
    assert grid.scale == pytest.approx(1)


def test_ternary_gaussian_has_the_known_optimum():
    # Max (1960): three uniform levels 1.224 apart lose 0.190 of a Gaussian's energy.
    layer = np.random.default_rng(0).normal(0, 1, (1, 1, 1, 200_000))
    grid, = UniformQuantiser("tensor").fit([layer], None, TERNARY)
    assert grid.scale == pytest.approx(1.224, abs=0.01)
    assert np.square(layer - grid.restore(grid.quantise(layer))).mean() == pytest.approx(
        0.190, abs=0.002)


def test_one_bit_is_sign_times_mean_magnitude():
    layer = np.array([[1.0, -2, 0], [4, 4, -7]])[:, None, None]
    grid, = UniformQuantiser().fit([layer], None, 1)
    assert grid.restore(grid.quantise(layer))[:, 0, 0].tolist() == [[1, -1, 1], [5, 5, -5]]
    zeros = np.zeros((1, 1, 1, 2))
    grid, = UniformQuantiser().fit([zeros], None, 1)
    assert np.all(grid.restore(grid.quantise(zeros)) == LEAST_STEP)


@pytest.mark.parametrize("granularity", ["tensor", "channel"])
@pytest.mark.parametrize("shape", [(7,), (3, 4), (2, 3, 5), (1, 1, 1, 1)])
def test_arrays_of_16_bits(shape, granularity):
    array = np.random.default_rng(0).normal(0, 3, shape).astype(np.float32)
    grid, = UniformQuantiser(granularity).fit_arrays([array], None, 16)
    symbols = grid.quantise(array)
    assert symbols.min() >= 0
    assert symbols.max() <= 2 ** 16 - 2
    assert grid.integers(symbols).dtype == np.int16
    assert np.abs(grid.integers(symbols).astype(int)).max() == 32767
    scale = grid.scale.reshape(-1, *(1,) * (len(shape) - 1))
    assert np.all(np.abs(array - grid.restore(symbols)) <= scale / 2 * (1 + 1e-9))
    assert np.array_equal(grid.quantise(grid.restore(symbols)), symbols)


def test_arrays_are_quantised_as_networks_are():
    layer = np.random.default_rng(0).laplace(0, 1, (4, 3, 3, 5))
    for bits in (2, 4, 8):
        grid, = UniformQuantiser().fit([layer], None, bits)
        linear, = UniformQuantiser().fit_arrays([layer], None, bits)
        assert np.array_equal(linear.restore(linear.quantise(layer)),
                              grid.restore(grid.quantise(layer)))


@pytest.mark.parametrize("make, complaint", [
    (lambda: LinearGrid(32768, np.ones(1)), "Limit must be 1 to 32767, not 32768"),
    (lambda: UniformQuantiser("row"), "Granularity must be tensor or channel, not row"),
    (lambda: UniformQuantiser().fit_arrays([np.ones(3)], None, 17),
     "must have 2 to 16 bits for arrays, not 17"),
])
def test_refusals(make, complaint):
    with pytest.raises(ValueError, match=complaint):
        make()
