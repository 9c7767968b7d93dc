import re

import ckwrap
import numpy as np
import pytest

from sw.analyse import CENTROIDS, SAMPLE, analyse, gather, parameters
from sw.codecs import CODECS
from sw.importers.npz import ModelError, WeightsAlone
from sw.network import float_network
from sw.quantize import UniformQuantiser
from sw.recommend import recommend
from sw.zoo import load_model

from ..shared_data import shared_file


def alone(**arrays):
    return WeightsAlone("arrays", {
        name: np.asarray(array, np.float32) for name, array in arrays.items()})


def gaussian(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


@pytest.fixture(scope="module")
def digits():
    return analyse(load_model("digits"))


def test_values_of_a_layer():
    profile = analyse(alone(w=[[0, 0, 0, 4], [0, -2, 0, 0]], bias=[1, 2, 3]))
    layer, = profile.layers
    assert (layer.shape, layer.weights, profile.biases) == ((2, 1, 1, 4), 8, 3)
    assert (layer.values.minimum, layer.values.maximum, layer.values.zeros) == (-2, 4, 0.75)
    assert layer.values.rms == pytest.approx(2.5 ** 0.5)
    assert sum(layer.values.counts) == 8
    assert (layer.structure.filters, layer.structure.zero_filters) == (2, 0)
    assert (layer.structure.inputs, layer.structure.zero_inputs) == (4, 2)


def test_zero_filters_and_spread():
    weights = gaussian(8, 3, 3, 16)
    weights[2] = 0
    weights[::2] *= 4
    structure = analyse(alone(w=weights)).structure
    assert structure.zero_filters == 1
    assert structure.spread == pytest.approx(2, abs=0.3)


@pytest.mark.parametrize("array, kurtosis", [
    (gaussian(400, 500), 0), (np.random.default_rng(0).laplace(size=(400, 500)), 3),
    (np.random.default_rng(0).uniform(-1, 1, (400, 500)), -1.2)])
def test_kurtosis_tells_distributions_apart(array, kurtosis):
    assert analyse(alone(w=array)).layers[0].values.kurtosis == pytest.approx(kurtosis, abs=0.2)


def test_shapes_of_weights_alone():
    found, biases = parameters(alone(dense=np.ones((3, 5)), conv1d=np.ones((4, 3, 2)),
                                     conv3d=np.ones((2, 3, 4, 5, 6)), scale=np.ones(9), t=2.5))
    assert [layer.weights.shape for layer in found] == [(3, 1, 1, 5), (4, 1, 3, 2), (2, 1, 60, 6)]
    assert biases == 10


@pytest.mark.parametrize("model", [alone(bias=[1, 2]), alone(), alone(w=np.zeros((0, 4)))])
def test_refuses_what_has_no_weights(model):
    with pytest.raises(ModelError, match=r"^arrays: must have weights, arrays of two axes"):
        analyse(model)


@pytest.mark.parametrize("array", [np.zeros((3, 4)), np.full((3, 4), 2), [[1e-30, -1e30]], [[5]]])
def test_degenerate_weights_have_a_profile(array):
    profile = analyse(alone(w=array, other=np.zeros((2, 2))))
    assert recommend(profile)
    assert all(np.isfinite(point.sqnr_db) for point in profile.curve.step)


def test_uniform_is_the_quantiser_of_the_project(digits):
    network = load_model("digits")
    layers = [layer.weights for layer in network.weighted]
    for bits in (8, 4, 2):
        row, = (row for row in digits.uniform if row.bits == bits)
        grids = UniformQuantiser(clip=False).fit(layers, None, bits)
        lost = sum(np.square((grid.restore(grid.quantise(layer)) - layer)
                             / np.sqrt(np.square(layer).mean())).sum()
                   for grid, layer in zip(grids, layers, strict=True))
        sqnr = 10 * np.log10(digits.weights / lost)
        assert row.per_filter_sqnr_db == pytest.approx(sqnr, abs=0.01)


def test_curves_rise_and_follow_theory():
    curve = analyse(alone(w=gaussian(300, 1000))).curve
    for points in (curve.step, curve.centroids, curve.fixed):
        ordered = sorted(points, key=lambda point: point.entropy)
        assert [point.sqnr_db for point in ordered] == sorted(point.sqnr_db for point in points)
    # A uniform step loses step ** 2 / 12 and 0.254 bits against the rate-distortion function.
    point = curve.step[7]
    assert point.sqnr_db == pytest.approx(10 * np.log10(12 / point.parameter ** 2), abs=0.05)
    assert point.entropy - point.sqnr_db / 6.0206 == pytest.approx(0.254, abs=0.01)
    # Lloyd (1957) and Max (1960) on Gaussian values: 9.30 dB with 4 levels, 20.22 with 16.
    four, sixteen = (point for point in curve.centroids if point.parameter in (4, 16))
    assert four.sqnr_db == pytest.approx(9.30, abs=0.05)
    assert sixteen.sqnr_db == pytest.approx(20.22, abs=0.05)


def test_gathering_costs_k_means_next_to_nothing():
    x = gaussian(3000, 1).ravel() * np.where(np.arange(3000) % 50, 1, 20)
    counts, means, within = gather(x, 1024)
    assert counts.sum() == 3000
    assert len(means) < 1024
    for centroids in (4, 64):
        exact = ckwrap.ckmeans(x, centroids)
        least = np.square(x - exact.centers[exact.labels]).sum()
        found = ckwrap.ckmeans(means, centroids, weights=counts.astype(float))
        total = within + (counts * np.square(means - found.centers[found.labels])).sum()
        assert least * (1 - 1e-9) <= total < least * 1.02
    assert gather(np.array([2.0, 1, 2, 2]), 16)[2] == 0


def test_codecs_are_those_of_the_project(digits):
    for coding in (digits.lossy, *(layer.lossy for layer in digits.layers), digits.codebook):
        assert [rate.codec for rate in coding.codecs] == list(CODECS)
    for rate in digits.lossy.codecs:
        assert rate.refused is None
        assert rate.bits_per_weight > digits.lossy.entropy * 0.98
    assert digits.lossy_sqnr_db == pytest.approx(20, abs=0.3)


def test_codec_that_cannot_carry_the_integers_says_why():
    profile = analyse(load_model(shared_file("models/ad01_int8.tflite")))
    rates = {rate.codec: rate for rate in profile.lossless.codecs}
    assert rates["raw"].bits_per_weight == pytest.approx(8, abs=0.01)
    assert rates["huffman"].bits_per_weight is None
    assert re.match(r"An automaton of 32 symbols can't decode \d+", rates["huffman"].refused)


@pytest.mark.parametrize("name, weights, entropy, layer_entropy", [
    ("kws_ref_model", 22_016, 7.67, 7.55), ("ad01_int8", 264_192, 5.58, 5.15),
    ("vww_96_int8", 208_112, 1.96, 1.50)])
def test_entropy_of_int8_models(name, weights, entropy, layer_entropy):
    profile = analyse(load_model(shared_file(f"models/{name}.tflite")))
    assert (profile.kind, profile.weights) == ("int8", weights)
    assert profile.lossless.entropy == pytest.approx(entropy, abs=0.005)
    assert profile.lossless.layer_entropy == pytest.approx(layer_entropy, abs=0.005)


def test_scales_of_int8_weights_are_undone():
    network = load_model(shared_file("models/kws_ref_model.tflite"))
    for layer, weighted in zip(parameters(network)[0], float_network(network).weighted,
                               strict=True):
        np.testing.assert_allclose(layer.weights, weighted.weights, rtol=1e-6)


def test_filters_alike_are_predicted_from_one_another():
    weights = np.repeat(gaussian(1, 4000), 20, axis=0) + 0.05 * gaussian(20, 4000, seed=1)
    coding = analyse(alone(w=weights)).lossy
    assert coding.filter_before.gain > 1
    assert abs(coding.previous.gain) < 0.02


def test_classes_pay_where_filters_differ():
    scales = np.repeat([1.0, 1 / 16], 32)[:, None]
    mixed = analyse(alone(w=gaussian(64, 2000) * scales)).lossy
    alike = analyse(alone(w=gaussian(64, 2000))).lossy
    assert mixed.layer_entropy - mixed.classes > 0.5
    assert alike.layer_entropy - alike.classes == pytest.approx(0, abs=0.02)


def test_dead_zone_pays_for_heavy_tails_alone():
    heavy = np.random.default_rng(0).normal(size=(200, 1000)) ** 5
    zones = analyse(alone(w=heavy)).dead_zones
    assert min(zones, key=lambda zone: zone.entropy).threshold > 0.5
    zones = analyse(alone(w=gaussian(200, 1000))).dead_zones
    assert min(zones, key=lambda zone: zone.entropy).threshold <= 0.6


def test_large_networks_are_sampled_and_say_so():
    weights = gaussian(1024, 1500)
    profile = analyse(alone(w=weights), seed=3)
    note, = profile.sampled
    assert f"about {SAMPLE:,} of 1,536,000 weights" in note
    assert "seed 3" in note
    part = analyse(alone(w=weights[:500]))
    assert not part.sampled
    for whole, piece in zip(profile.lossy.codecs, part.lossy.codecs, strict=True):
        assert whole.bits_per_weight == pytest.approx(piece.bits_per_weight, abs=0.03)
    assert analyse(alone(w=weights), seed=3).dead_zones == profile.dead_zones


def test_recommendation_takes_what_was_measured(digits):
    choice, = recommend(digits)
    least = min(rate.bits_per_weight for coding in (digits.lossy, digits.codebook)
                for rate in coding.codecs if rate.bits_per_weight is not None)
    assert choice.bits_per_weight == least
    assert choice.quantiser == "step"
    assert f"{least:.2f} b/w against " in choice.summary
    pays = {advice.topic: advice.pays for advice in choice.advice}
    assert not pays["zero channels"]
    assert not pays["codebook"]


def test_recommendation_follows_the_weights():
    weights = np.repeat(gaussian(1, 4000), 20, axis=0) + 0.05 * gaussian(20, 4000, seed=1)
    dead = gaussian(20, 50)
    dead[3] = 0
    pays = {advice.topic: advice.pays
            for advice in recommend(analyse(alone(w=weights, dead=dead)))[0].advice}
    assert pays["prediction: filter before"]
    assert not pays["prediction: previous weight"]
    assert pays["zero channels"]
    sorted_zeros = np.sort(np.maximum(gaussian(100, 1000), 1), axis=0) - 1
    pays = {advice.topic: advice.pays
            for advice in recommend(analyse(alone(w=sorted_zeros)))[0].advice}
    assert pays["zero runs"]


def test_few_centroids_win_if_there_are_few_values():
    values = np.array([-1, -0.37, 0.11, 0.9])
    profile = analyse(alone(w=values[np.random.default_rng(0).integers(0, 4, (100, 100))]))
    choice, = recommend(profile)
    assert choice.quantiser == "codebook"
    assert choice.bits_per_weight == pytest.approx(2, abs=0.02)
    assert profile.curve.centroids[-1].parameter == 4 < CENTROIDS[-1]
