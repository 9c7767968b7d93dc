import numpy as np
import pytest

from sw.explore import WeightScore, explore_network, with_weights
from sw.score import score
from sw.zoo import load_data, load_network, load_source
from tests.shared_data import shared_file


@pytest.fixture(scope="module")
def digits():
    return load_network("digits")


@pytest.fixture(scope="module")
def data():
    return load_data("digits")


def weights_of(network):
    return [layer.weights for layer in network.weighted]


def test_original_weights_score_what_the_network_does(digits, data):
    wanted = score(digits.classify(data.x), data.y)
    assert WeightScore(digits, data.x, data.y)(weights_of(digits)) == wanted
    assert WeightScore(digits, data.x)(weights_of(digits)) == 1
    nothing = [np.zeros_like(layer) for layer in weights_of(digits)]
    assert WeightScore(digits, data.x, data.y)(nothing) < 0.2
    assert WeightScore(digits, data.x)(nothing) < 0.2


def test_replaced_weights_are_used(digits, data):
    halved = [layer / 2 for layer in weights_of(digits)]
    network = with_weights(digits, halved)
    assert all(np.array_equal(layer.weights, half)
               for layer, half in zip(network.weighted, halved, strict=True))
    assert not np.array_equal(network.run(data.x[:9])[-1], digits.run(data.x[:9])[-1])


def test_no_inputs_rejected(digits, data):
    with pytest.raises(ValueError, match="one input or more, not 0"):
        WeightScore(digits, data.x[:0])


@pytest.mark.parametrize("labelled", [True, False])
def test_digits_share_few_weights(digits, data, labelled):
    found = explore_network(digits, data.x, data.y if labelled else None, drop=0.01,
                            candidates=(6, 4, 3, 2))
    assert found.score >= found.baseline - 0.01
    assert found.evaluations <= 1 + 4 * 4 + 20
    assert found.bits_coded < 3.5 * sum(layer.size for layer in weights_of(digits))


def test_scales_of_int8_weights_are_undone():
    source = load_source(str(shared_file("models/kws_ref_model.tflite")))
    x = np.random.default_rng(0).normal(0, 40, (12, *source.input_shape))
    found = explore_network(source, x, drop=0.1, candidates=(6, 5))
    assert len(found.grids) == 10
    assert all(grid.scale.shape == (1,) for grid in found.grids)
