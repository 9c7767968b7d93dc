import numpy as np
import pytest

from sw.importers.tflite import load
from sw.network import FloatNetwork, float_network
from sw.score import agreement, answer, metric, score

from ..shared_data import shared_file
from .networks import integers, small_network


def test_classes_are_compared():
    network = integers(small_network())
    x = np.random.default_rng(0).integers(0, 17, (600, 6, 6, 1))
    classes = answer(network, x)
    assert metric(network) == "accuracy"
    assert classes.shape == (600,)
    assert score(classes, classes) == agreement(classes, classes) == 1
    wrong = np.where(np.arange(600) < 150, (classes + 1) % 4, classes)
    assert score(classes, wrong) == agreement(classes, wrong) == 0.75
    assert agreement(answer(small_network(), x), classes) > 0.95


def test_area_counts_pairs_in_order():
    errors = np.array([1.0, 2.0, 2.0, 3.0, 0.5])
    assert score(errors, np.array([0, 0, 1, 1, 1])) == (1 + 0.5 + 1 + 1) / 6
    assert score(errors, np.array([0, 1, 0, 1, 0])) == (1 + 0.5 + 1 + 1 + 1 + 1) / 6
    assert agreement(errors, 3 * errors + 1) == pytest.approx(1)
    assert agreement(errors, -errors) == pytest.approx(-1)
    assert agreement(errors, np.ones(5)) == 0


@pytest.mark.parametrize("errors, y, complaint", [
    (np.ones(3), np.array([1, 1, 1]), "must have inputs of both classes"),
    (np.ones(3), np.array([0, 0, 0]), "must have inputs of both classes"),
    (np.zeros(0), np.zeros(0, int), "Score must have labelled inputs"),
])
def test_areas_that_do_not_exist_are_refused(errors, y, complaint):
    with pytest.raises(ValueError, match=complaint):
        score(errors, y)


def test_anomaly_detector_is_judged_by_its_errors():
    network = load(shared_file("models/ad01_int8.tflite"))
    trained = float_network(network)
    with np.load(shared_file("data/mlperf_tiny_inputs.npz")) as data:
        x, y = data["ad_x"], data["ad_y"]
    x = network.input.scale * (x.astype(np.float64) - network.input.zero_point)
    errors, expected = answer(network, x), answer(trained, x)
    assert isinstance(trained, FloatNetwork)
    assert metric(network) == metric(trained) == "auc"
    assert score(errors, y) == pytest.approx(score(expected, y), abs=0.01)
    assert score(errors, y) > 0.7
    assert agreement(errors, expected) > 0.99
