import numpy as np
import pytest

from sw.quantize import prune


LAYERS = [np.array([[1.0, -2], [3, -4]]).reshape(2, 1, 1, 2),
          np.array([10.0, -0.5, 20, 30]).reshape(1, 1, 1, 4)]


def nonzero(layers):
    return [layer.ravel().tolist() for layer in layers]


def test_one_threshold_for_the_network():
    assert nonzero(prune(LAYERS, None, 0.5)) == [[0, 0, 0, -4], [10, 0, 20, 30]]


def test_a_threshold_for_each_layer():
    assert nonzero(prune(LAYERS, None, 0.5, scope="layer")) == [[0, 0, 3, -4], [0, 0, 20, 30]]


def test_importance_weighs_squares():
    importance = [np.full((1, 1, 1, 1), 10000.0), np.ones((1, 1, 1, 1))]
    assert nonzero(prune(LAYERS, importance, 0.5)) == [[1, -2, 3, -4], [0, 0, 0, 0]]


@pytest.mark.parametrize("share, zeros", [(0, 0), (0.1, 0), (0.125, 1), (0.3, 2), (0.99, 7)])
def test_the_share_is_met(share, zeros):
    layers = [np.ones((1, 1, 1, 8), np.float32)]
    pruned, = prune(layers, None, share)
    assert pruned.dtype == np.float32
    assert pruned.ravel().tolist() == [0] * zeros + [1] * (8 - zeros)
    assert layers[0].all()


@pytest.mark.parametrize("share, scope, complaint", [
    (1, "network", "must be 0 or more and below 1, not 1"),
    (-0.1, "network", "not -0.1"),
    (float("nan"), "network", "not nan"),
    (0.5, "filter", "must be network or layer, not filter"),
])
def test_refusals(share, scope, complaint):
    with pytest.raises(ValueError, match=complaint):
        prune(LAYERS, None, share, scope=scope)
