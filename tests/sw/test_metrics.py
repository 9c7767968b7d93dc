from math import inf

import numpy as np
import pytest

from sw.metrics import Size, distortion, entropy


def test_distortion():
    weights = [np.array([[1.0, -1.0]]), np.array([2.0, 0.0])]
    found = distortion(weights, [np.array([[1.0, -1.5]]), np.array([2.0, 0.0])])
    assert found.mse == pytest.approx(0.0625)
    assert found.max_abs_error == pytest.approx(0.5)
    assert found.sqnr_db == pytest.approx(10 * np.log10(1.5 / 0.0625))


def test_distortion_of_nothing():
    assert distortion([np.ones(3)], [np.ones(3)]).sqnr_db == inf


@pytest.mark.parametrize("layers, bits", [
    ([[0, 0], [0]], 0.0), ([[0, 1], [3, 2]], 2.0), ([[0, 0, 0, 0], [5, 5, 9, 7]], 1.75),
])
def test_entropy(layers, bits):
    assert entropy([np.array(layer) for layer in layers]) == pytest.approx(bits)


def test_size():
    size = Size(weights=1000, biases=10, bytes_image=404, bytes_weights=250)
    assert size.bytes_network == 154
    assert size.bytes_float32 == 4040
    assert size.bytes_int8 == 1040
    assert size.bits_per_weight == pytest.approx(2.0)
    assert size.ratio == pytest.approx(0.1)
    assert size.factor == pytest.approx(10)
    assert size.factor_int8 == pytest.approx(1040 / 404)
