from concurrent.futures import ThreadPoolExecutor
from itertools import product

import numpy as np
import pytest

from sw.quantize import CodebookQuantiser, UniformQuantiser, quantise
from sw.quantize.exploration import CANDIDATES, explore


LAYERS = [np.random.default_rng(seed).normal(0, 1, (8, 3, 3, channels))
          for seed, channels in enumerate((2, 16, 8))]

#: How much the score suffers from each layer's error.
SENSITIVITIES = (1.0, 0.2, 0.02)


def score(weights):
    return 1 - sum(factor * float(np.mean(np.square(layer - original)))
                   for factor, layer, original in zip(SENSITIVITIES, weights, LAYERS, strict=True))


class Recorder:
    """Scores, and remembers what."""

    def __init__(self):
        self.scored = []

    def __call__(self, weights):
        self.scored.append([layer.copy() for layer in weights])
        return score(weights)


@pytest.mark.parametrize("coded", [True, False])
@pytest.mark.parametrize("drop", [0.01, 0.1, 0.5])
def test_what_is_found_keeps_to_the_drop(drop, coded):
    record = Recorder()
    found = explore(LAYERS, record, drop=drop, coded=coded)
    restored = [grid.restore(symbols)
                for grid, symbols in zip(found.grids, found.symbols, strict=True)]
    assert found.score == score(restored) >= found.baseline - drop
    assert found.baseline == 1
    assert found.evaluations == len(record.scored)
    assert [grid.codebook for grid in found.grids] == [0, 1, 2]
    assert found.bits[0] >= found.bits[1] >= found.bits[2]
    assert found.bits_coded <= found.bits_indices
    grids = CodebookQuantiser(3).fit_each(LAYERS, None, found.bits)
    for chosen, expected in zip(found.symbols, quantise(LAYERS, grids), strict=True):
        assert np.array_equal(chosen, expected)


@pytest.mark.parametrize("drop", [0.03, 0.1, 0.3])
def test_little_is_left_to_an_exhaustive_search(drop):
    candidates = (6, 5, 4, 3, 2, 1)
    choices = [[], [], []]
    for number, bits in product(range(3), candidates):
        grid, = CodebookQuantiser(1).fit([LAYERS[number]], None, bits)
        symbols = grid.quantise(LAYERS[number])
        loss = SENSITIVITIES[number] * np.mean(np.square(LAYERS[number] - grid.restore(symbols)))
        choices[number].append((loss, bits * symbols.size + 8 * 2 ** bits))
    least = min(sum(bits for _, bits in chosen) for chosen in product(*choices)
                if sum(loss for loss, _ in chosen) <= drop)
    found = explore(LAYERS, score, drop=drop, candidates=candidates, coded=False)
    assert least <= found.bits_indices <= 1.1 * least
    assert found.evaluations < len(candidates) ** 3 / 6


def test_more_drop_takes_fewer_bits():
    bits = [explore(LAYERS, score, drop=drop).bits_coded for drop in (0.01, 0.03, 0.1, 0.3, 1)]
    assert bits == sorted(bits, reverse=True)
    assert len(set(bits)) == 5


def test_what_drops_too_far_alone_is_the_last_that_is_tried():
    found = explore(LAYERS, score, drop=0.02)
    for scores in found.alone:
        counts = list(scores)
        assert counts == list(CANDIDATES[:len(counts)])
        assert all(scores[count] >= 0.98 for count in counts[:-1])
    assert len(found.alone[0]) < len(found.alone[2])


def test_bits_of_uniform_steps():
    quantiser = UniformQuantiser("tensor")
    found = explore(LAYERS, score, drop=0.03, quantiser=quantiser, candidates=(8, 6, 5, 4, 3, 2))
    assert found.score >= 0.97
    assert 2 <= found.bits[2] <= found.bits[1] <= found.bits[0] < 8
    grids = quantiser.fit_each(LAYERS, None, found.bits)
    for chosen, expected in zip(found.symbols, quantise(LAYERS, grids), strict=True):
        assert np.array_equal(chosen, expected)
    assert found.bits_indices == sum(
        bits * layer.size for bits, layer in zip(found.bits, LAYERS, strict=True))


def test_threads_find_the_same():
    alone = explore(LAYERS, score, drop=0.1)
    with ThreadPoolExecutor(2) as executor:
        together = explore(LAYERS, score, drop=0.1, each=executor.map)
    assert together.bits == alone.bits
    assert together.evaluations == alone.evaluations
    assert together.alone == alone.alone


def test_equal_weights_need_no_indices():
    found = explore([np.full((2, 1, 1, 3), 0.5)], lambda weights: 1.0, drop=0)
    assert found.bits_coded == found.bits_indices == 8
    assert found.bits == (7,)


@pytest.mark.parametrize("options, complaint", [
    ({"drop": -1}, "must be 0 or more, not -1"),
    ({"drop": float("nan")}, "must be 0 or more, not nan"),
    ({"drop": 0}, r"Score must be allowed to drop to 0\.99\d+ or less, not 1, for layer 0 to have"),
    ({"drop": 1, "candidates": (2, 3.5)}, "Candidates must be falling bits, not 2, 3.5"),
    ({"drop": 1, "candidates": (8,)}, "Codebook must have 1, 2, 3, 4, 5, 6 or 7 bits, .* not 8"),
    ({"drop": 1, "candidates": ()}, "not none"),
])
def test_refusals(options, complaint):
    with pytest.raises(ValueError, match=complaint):
        explore(LAYERS, score, **options)


def test_refuses_layers_that_drop_too_far_together():
    def strict(weights):
        changed = sum(not np.array_equal(layer, original)
                      for layer, original in zip(weights, LAYERS, strict=True))
        return 1 - max(0, changed - 1) / 2
    with pytest.raises(ValueError, match=r"to 0 or less, not 0\.9, for all layers to have 7, 7"):
        explore(LAYERS, strict, drop=0.1)
    with pytest.raises(ValueError, match="one layer or more, not 0"):
        explore([], strict, drop=0.1)
