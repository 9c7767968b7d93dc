import numpy as np
import pytest

from sw.format.predictors import Autoencoder, Hypernetwork
from sw.metrics import entropy
from sw.predict import Task, Unsuited, autoencoder, predict
from sw.predict.learned import whole
from sw.predict.decoders import run_perceptron
from sw.quantize.grid import zigzag_symbols


def task(shape, seed=0, groups=1):
    rng = np.random.default_rng(seed)
    width = int(np.prod(shape[1:]))
    target = np.clip(rng.normal(0, 30, (groups, shape[0] // groups, width)), -112, 112)
    hessian = 0.9 ** np.abs(np.subtract.outer(np.arange(width), np.arange(width)))
    return Task("layer", shape, target, np.repeat(hessian[None], groups, axis=0),
                np.ones(target.shape[:2]))


def quiet(news):
    assert " of " in news


@pytest.mark.parametrize("shape, groups", [((24, 3, 3, 10), 1), ((64, 5, 5, 1), 2)])
def test_latent_values_keep_to_the_rate(shape, groups):
    wanted = task(shape, groups=groups)
    costs = []
    for bits in (2.0, 4.0):
        found = autoencoder.fit(wanted, bits, 60, quiet)
        assert isinstance(found, Autoencoder)
        taken = entropy([zigzag_symbols(found.latents)]) * found.latents.size
        assert 0.8 * bits < (taken + autoencoder.DECODER_BITS) / wanted.target.size <= bits
        costs.append(wanted.cost(predict(found, shape)))
    assert costs[1] < 0.2 * costs[0] < 0.05


def test_small_layers_do_not_suit_a_decoder():
    with pytest.raises(Unsuited, match="layer has 72 weights, 9 a filter, too few"):
        autoencoder.fit(task((8, 3, 3, 1)), 3, 60, quiet)
    with pytest.raises(ValueError, match=r"0\.1 to 8 bits for each weight, not 9"):
        autoencoder.allot([(8, 3, 3, 1)], 9)


def test_networks_in_whole_numbers_are_near():
    rng = np.random.default_rng(0)
    first, second = rng.normal(0, 0.02, (12, 6)), rng.normal(0, 8, (5, 12))
    shift, offset = rng.normal(0, 0.5, 12), rng.normal(0, 3, 5)
    x = rng.integers(-128, 128, (300, 6))
    hidden = np.maximum(0, x @ first.T + shift)
    exact = hidden @ second.T + offset
    shown = run_perceptron(whole([first, second], [shift, offset], hidden), x)
    clipped = np.clip(exact, -128, 127)
    assert np.abs(shown - clipped).mean() < 2
    linear = run_perceptron(whole([second], [offset], None), x[:, :1] * np.ones(12, int) // 16)
    assert np.abs(linear - np.clip((x[:, :1] * np.ones(12, int) // 16) @ second.T + offset,
                                   -128, 127)).mean() < 1


def test_hypernetworks_find_what_one_made():
    pytest.importorskip("torch")
    from sw.predict import hypernet
    rng = np.random.default_rng(1)
    shape = (12, 3, 3, 10)
    own, met = rng.normal(0, 1, (12, 1, 3)), rng.normal(0, 1, (1, 10, 3))
    kernels = np.maximum(0, own + met) @ rng.normal(0, 20, (3, 9))
    target = kernels.transpose(0, 2, 1).reshape(1, 12, 90).clip(-112, 112)
    wanted = Task("layer", shape, target, np.eye(90)[None], np.ones((1, 12)))
    found = hypernet.fit(wanted, 8, 60, quiet)
    assert isinstance(found, Hypernetwork)
    assert wanted.cost(predict(found, shape)) < 0.03
    noise = Task("layer", shape, rng.normal(0, 30, (1, 12, 90)), np.eye(90)[None], np.ones((1, 12)))
    with pytest.raises(Unsuited, match=r"layer would lose \d\d% of its outputs' energy"):
        hypernet.fit(noise, 4, 60, quiet)
    with pytest.raises(Unsuited, match="too few weights"):
        hypernet.fit(task((4, 3, 3, 1)), 2, 60, quiet)
