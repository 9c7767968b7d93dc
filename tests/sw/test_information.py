import numpy as np
import pytest

from sw.information import corrected_entropy, count, dependence, plain_entropy, run_entropy


def test_entropy_of_known_shares():
    assert plain_entropy(np.array([1, 1, 0, 2])) == 1.5
    assert plain_entropy(np.array([7])) == 0
    assert plain_entropy(np.zeros(3, int)) == 0


def test_correction_takes_most_of_the_bias_away():
    rng = np.random.default_rng(1)
    samples = [np.bincount(rng.integers(0, 64, 200)) for _ in range(50)]
    plain = 6 - np.mean([plain_entropy(counts) for counts in samples])
    corrected = 6 - np.mean([corrected_entropy(counts) for counts in samples])
    assert plain > 0.2
    assert abs(corrected) < plain / 3


def test_correction_stays_below_equal_shares():
    assert corrected_entropy(np.ones(40, int)) == pytest.approx(np.log2(40))


def test_independent_contexts_tell_nothing_even_of_few_samples():
    rng = np.random.default_rng(2)
    for n in (50, 400, 20_000):
        values, contexts = rng.integers(-128, 128, (2, n))
        found = dependence(values, contexts)
        assert abs(found.gain) < 0.15
        assert found.gain < found.noise + 0.05


def test_context_that_determines_the_weight_saves_its_entropy():
    contexts = np.random.default_rng(3).integers(0, 4, 10_000)
    found = dependence(contexts * 5 - 7, contexts)
    assert found.gain == pytest.approx(2, abs=0.01)
    assert found.entropy == pytest.approx(0, abs=0.01)


def test_gain_is_the_mutual_information():
    rng = np.random.default_rng(4)
    contexts = rng.integers(0, 2, 100_000)
    values = contexts ^ (rng.random(100_000) < 0.11)
    assert dependence(values, contexts).gain == pytest.approx(0.5, abs=0.01)


def test_runs_pay_only_where_zeros_cluster():
    rng = np.random.default_rng(5)
    scattered = np.where(rng.random(40_000) < 0.9, 0, rng.integers(1, 4, 40_000))
    clustered = np.sort(scattered.reshape(-1, 400), axis=1).ravel()
    order0 = plain_entropy(count(scattered))
    assert order0 < run_entropy(scattered) < order0 + 0.05
    assert run_entropy(clustered) < order0 / 2


def test_runs_of_nothing_and_of_zeros_alone():
    assert run_entropy(np.zeros(0, int)) == 0
    assert run_entropy(np.zeros(1000, int)) < 0.02
