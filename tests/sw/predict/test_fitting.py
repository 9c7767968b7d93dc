from dataclasses import replace

import numpy as np
import pytest

from sw.format.predictors import Seeds, SeedShape
from sw.predict import Task, Unsuited, fit, fit_integers, predict, seeds

from ..networks import small_network


def task(shape, seed=0, spread=25.0, coloured=True):
    """Return a task whose inputs hang together, as pixels do."""
    rng = np.random.default_rng(seed)
    width = int(np.prod(shape[1:]))
    target = np.clip(rng.normal(0, spread, (1, shape[0], width)), -112, 112)
    hessian = np.eye(width)
    if coloured:
        hessian = 0.9 ** np.abs(np.subtract.outer(np.arange(width), np.arange(width)))
    return Task("layer", shape, target, hessian[None], np.ones((1, shape[0])))


def quiet(news):
    assert "blocks" in news


SMALL = SeedShape(8, 4, 2, 4)


def test_seeds_are_the_best_of_all(monkeypatch):
    """Where errors count alike and nothing is made up for, no seed has a lesser one."""
    monkeypatch.setattr(seeds, "SHAPES", (SMALL,))
    wanted = task((2, 1, 1, 4), coloured=False)
    found = seeds.fit(wanted, 9, 60, quiet)
    errors = np.square(predict(found, wanted.shape).reshape(2, 4) - wanted.target[0]).sum(axis=1)
    least = np.full(2, np.inf)
    grid = np.arange(-8, 8)
    pairs = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    for seed in range(1, 256):
        for exponent in range(4):
            every = Seeds(SMALL, np.full((256, 1), seed), np.full((256, 1), exponent),
                          pairs[:, None])
            shown = predict(every, (256, 1, 1, 4)).reshape(256, 1, 4).astype(float)
            least = np.minimum(least, np.square(shown - wanted.target[0]).sum(axis=2).min(axis=0))
    # Coefficients are rounded each by itself, which isn't quite the best.
    assert np.all(errors >= least)
    assert np.all(errors <= 1.6 * least + 4)


def test_errors_are_made_up_for(monkeypatch):
    monkeypatch.setattr(seeds, "SHAPES", (SeedShape(10, 8, 3, 4),))
    wanted = task((8, 3, 3, 8))
    alone = Task("layer", wanted.shape, wanted.target, np.eye(72)[None], wanted.scale)
    costs = [wanted.cost(predict(seeds.fit(how, 9, 60, quiet), wanted.shape))
             for how in (wanted, alone)]
    assert costs[0] < 0.5 * costs[1] < 0.1


def test_rate_chooses_a_shape():
    assert seeds.shape_for(4.5).block_bits / seeds.shape_for(4.5).block <= 4.5
    assert seeds.shape_for(2.5) == SeedShape(16, 12, 3, 4)
    with pytest.raises(ValueError, match=r"1\.25 bits or more for each weight, not 1"):
        seeds.shape_for(1)


def test_bits_left_over_go_to_small_layers():
    shapes = [(64, 3, 3, 64), (16, 3, 3, 16), (10, 1, 1, 64)]
    rates = seeds.allot(shapes, 4.5)
    assert rates[0] < 4.5 < rates[1] == rates[2]
    total = sum(seeds.bits_of(seeds.shape_for(rate), shape)
                for rate, shape in zip(rates, shapes, strict=True))
    assert total <= 4.5 * sum(map(np.prod, shapes))
    assert seeds.allot(shapes[:1], 4.25) == [4.25]


def test_little_time_means_fewer_seeds(monkeypatch):
    monkeypatch.setattr(seeds, "SHAPES", (SMALL,))
    wanted = task((4, 1, 1, 64))
    hurried, patient = (seeds.fit(wanted, 9, seconds, quiet) for seconds in (0, 60))
    assert len(np.unique(hurried.seeds)) < len(np.unique(patient.seeds))
    costs = [wanted.cost(predict(found, wanted.shape)) for found in (hurried, patient)]
    assert costs[0] > costs[1]


def test_network_keeps_its_outputs(monkeypatch):
    monkeypatch.setattr(seeds, "SHAPES", (SeedShape(8, 4, 2, 5),))
    network = small_network()
    x = np.random.default_rng(0).integers(0, 17, (50, 6, 6, 1))
    news = []
    fitted, corrected = fit("seeds", network, x, bits=9, seconds=60,
                            progress=news.append)
    assert [type(found.predictor) for found in fitted] == [Seeds] * 3
    for found, layer in zip(fitted, network.weighted, strict=True):
        np.testing.assert_array_equal(found.integers, predict(found.predictor, layer.weights.shape))
        restored = found.integers * found.scale[:, None, None, None]
        assert np.square(restored - layer.weights).mean() < 0.2 * np.square(layer.weights).mean()
    assert not np.allclose(corrected.weighted[0].bias, network.weighted[0].bias)
    assert {line.split(":")[0] for line in news} == {"conv", "strided", "dense"}
    again, _ = fit("seeds", network, x, bits=9, seconds=60)
    np.testing.assert_array_equal(fitted[1].integers, again[1].integers)


def test_layers_that_do_not_suit_are_left_to_others(monkeypatch):
    monkeypatch.setattr(seeds, "SHAPES", (SeedShape(8, 16, 2, 5),))
    network = small_network()
    fitted, _ = fit("seeds", network, None, bits=9, seconds=60)
    assert fitted[0].predictor is None
    assert fitted[0].refusal == "conv has filters of 9 weights, fewer than a block's 16"
    restored = fitted[0].integers * fitted[0].scale[:, None, None, None]
    assert np.abs(fitted[0].integers).max() <= 31
    assert np.square(restored - network.weighted[0].weights).max() < 0.01
    monkeypatch.setattr(seeds, "fit", lambda *_: (_ for _ in ()).throw(Unsuited("dense is odd")))
    with pytest.raises(ValueError, match="seeds suits no layer: dense is odd"):
        fit("seeds", network, None, bits=9, seconds=60)


def test_a_constant_layer_is_left_to_others(monkeypatch):
    monkeypatch.setattr(seeds, "SHAPES", (SeedShape(8, 4, 2, 5),))
    network = small_network()
    layers = [replace(layer, weights=np.full_like(layer.weights, 0.25))
              if layer.name == "strided" else layer for layer in network.layers]
    fitted, _ = fit("seeds", replace(network, layers=tuple(layers)), None, bits=9, seconds=60)
    assert [found.refusal for found in fitted] == ["", "strided is constant", ""]
    restored = fitted[1].integers * fitted[1].scale[:, None, None, None]
    np.testing.assert_allclose(restored, 0.25, rtol=1e-6)


def test_integers_are_predicted_or_not(monkeypatch):
    monkeypatch.setattr(seeds, "SHAPES", (SeedShape(8, 4, 2, 5),))
    rng = np.random.default_rng(0)
    layers = [rng.integers(-20, 20, (3, 1, 1, 8), np.int8), np.ones((3, 1, 1, 8), np.int8)]
    found = fit_integers("seeds", ["a", "b"], layers, bits=9, seconds=60)
    shown = predict(found[0], layers[0].shape).astype(int)
    assert np.square(shown - layers[0]).mean() < 0.2 * np.square(layers[0].astype(int)).mean()
    assert found[1] is None
