"""Entropy-constrained uniform steps: the error that a bit is worth decides each rounding."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import accumulate
from math import ceil, exp, log

import numpy as np
from numpy.typing import NDArray

from ..codecs.huffman import HuffmanCodec, code_lengths, count_gaps
from ..codecs.tans import TansCodec
from ..format.lanes import TansLanes
from ..format.tables import MAX_CODE_LENGTH, AutomatonShape, TansShape
from .costs import code_costs
from .grid import ONE, FloatArray, Grid, Symbols, quantise, zigzag


__all__ = ["StepQuantiser"]


#: What a bit costs, in units of the squared step.
PRESSURE = 0.15

#: Rounds of rounding and coding, each with the code that the one before led to.
ROUNDS = 4

#: Halvings of the range of steps in which the rate, or the error, is met.
TRIALS = 16

#: With tANS, whose symbols are many: the greatest integer; searches for the rate by the entropy of
#: layers, each corrected by what the one before took; and the share of the rate that may be left.
TANS_LIMIT = 63
CORRECTIONS = 6
LEFT = 0.003

#: Weights of the part of a large network on which tANS is tried first, since it takes long to say
#: what it takes.
PART = 1 << 19


class Population:
    """The weights of a layer, to be counted.

    Parameters
    ----------
    layer, importance : array
        Weights, and what their squared errors count: one value for all of them, or one for each.

    Attributes
    ----------
    greatest : float
        The greatest magnitude.
    root : float
        Square root of the mean importance.
    """

    def __init__(self, layer: FloatArray, importance: FloatArray) -> None:
        self.layer = layer
        self.importance = importance
        self.alike = np.size(importance) == 1
        self.ordered = layer.flatten()
        self.ordered.sort()
        self.greatest = float(np.abs(layer).max())
        self.root = float(np.mean(importance)) ** 0.5 or 1.0

    def count(self, grid: Grid) -> NDArray[np.int64]:
        """Return how many weights get each symbol of ``grid``."""
        if self.alike:
            return grid.count(self.ordered, self.importance)
        symbols = grid.quantise(self.layer, self.importance)
        return np.bincount(symbols.ravel(), minlength=len(grid.centroids))

    def zeros(self, grid: Grid) -> NDArray[np.bool_]:
        """Return where the layer gets symbol 0 of ``grid``."""
        if not self.alike:
            return np.equal(grid.quantise(self.layer, self.importance), 0)
        counts = self.count(grid)
        if not counts[0]:
            return np.zeros(self.layer.shape, np.bool_)
        # Symbols follow one another as their centroids do.
        below = counts[np.less(grid.centroids, grid.centroids[0])].sum()
        least, most = self.ordered[below], self.ordered[below + counts[0] - 1]
        zeros: NDArray[np.bool_] = (self.layer >= least) & (self.layer <= most)
        return zeros


class StepQuantiser:
    """Rounds weights to multiples of one step a layer, the fewer bits the better.

    A weight w becomes the integer n of `levels`, coded in b bits, for which the importance times
    ``(w - n * step) ** 2`` plus ``PRESSURE * step ** 2 * b`` is least (Chou, Lookabaugh and Gray
    1989). Steps differ between layers only by the square root of their mean importance, and where
    a layer's greatest weight needs a larger one to be in reach of the alphabet.

    Parameters
    ----------
    shape : AutomatonShape, TansShape or TansLanes
        What decodes the symbols. Its code lengths are what bits cost; with tANS, those of an ideal
        code for each layer.
    """

    def __init__(self, shape: AutomatonShape | TansShape | TansLanes) -> None:
        self.shape = shape
        self.huffman = self.tans = None
        if isinstance(shape, AutomatonShape):
            self.huffman, self.centroids = HuffmanCodec(shape), levels(shape.symbols)
        else:
            self.tans = TansCodec(shape, deltas=isinstance(shape, TansShape))
            self.centroids = zigzag(2 * TANS_LIMIT + 1)

    def fit(self, layers: Sequence[FloatArray], importance: Sequence[FloatArray] | None,
            bits: float) -> tuple[Grid, ...]:
        """Choose the smallest steps with which a weight takes at most ``bits`` bits, coded.

        Raises
        ------
        ValueError
            If no code has so few bits.
        """
        count = sum(layer.size for layer in layers)
        populations = populate(layers, importance)

        def taken(grids: tuple[Grid, ...]) -> int:
            return self.bits(quantise(layers, grids, importance))

        def small(grids: tuple[Grid, ...]) -> bool:
            if self.huffman:
                least, most = self.limits(populations, grids)
                if not least <= bits * count < most:
                    return least <= bits * count
            return taken(grids) <= bits * count

        large, grids = (self.approach(populations, bits * count, taken,
                                      self.overhead(layers, importance, bits))
                        if self.tans and count >= 2 * PART else self.search(populations, small))
        if grids is not None:
            return grids
        assert large is not None
        least = ceil(100 * taken(large) / count) / 100
        raise ValueError(f"Step quantiser must have {least:g} bits or more for each of {count} "
                         f"weights, with their code table, not {bits:g}")

    def bits(self, symbols: Sequence[Symbols]) -> int:
        """Return what symbols take, with their code table."""
        if self.huffman:
            return self.huffman.bits(symbols)
        assert self.tans is not None
        return self.tans.bits([chosen >> 1 ^ -(chosen & 1) for chosen in symbols])

    def overhead(self, layers: Sequence[FloatArray], importance: Sequence[FloatArray] | None,
                 bits: float) -> float:
        """Return tANS's bits over the layers' entropy, of some filters of a large network."""
        every = sum(layer.size for layer in layers) // PART
        part = [layer[::every] for layer in layers]
        weighting = importance and [own[::every] if len(own) > 1 else own for own in importance]
        populations = populate(part, weighting)
        most = bits * sum(layer.size for layer in part)
        _, grids = self.search(populations, lambda grids: layer_entropy(populations, grids) <= most)
        if grids is None:
            return 1.0
        return self.bits(quantise(part, grids, weighting)) / max(
            layer_entropy(populations, grids), 1.0)

    def approach(self, populations: Sequence[Population], most: float,
                 taken: Callable[[tuple[Grid, ...]], int], factor: float
                 ) -> tuple[tuple[Grid, ...] | None, tuple[Grid, ...] | None]:
        """Return the largest steps that were tried, and of those that keep to a rate the smallest.

        What tANS takes is within some percent of the layers' entropy, at similar steps by the same
        ``factor``; it takes long to find out.
        """
        factor *= 1 + LEFT / 3
        least, best, large = 0, None, None
        for _ in range(CORRECTIONS):
            def small(grids: tuple[Grid, ...], factor: float = factor) -> bool:
                return factor * layer_entropy(populations, grids) <= most

            below, above = self.search(populations, small)
            grids = above or below
            assert grids is not None
            bits = taken(grids)
            large = grids if large is None or grids[0].scale > large[0].scale else large
            if least < bits <= most:
                least, best = bits, grids
            if (1 - LEFT) * most <= bits <= most or above is None:
                break
            factor = (1 + LEFT / 3) * bits / max(layer_entropy(populations, grids), 1.0)
        assert large is not None
        return large, best

    def fit_error(self, layers: Sequence[FloatArray], importance: Sequence[FloatArray] | None,
                  error: float) -> tuple[Grid, ...]:
        """Choose the largest steps with which the mean squared error is at most ``error``.

        Raises
        ------
        ValueError
            If the alphabet is too small for it.
        """
        count = sum(layer.size for layer in layers)

        def coarse(grids: tuple[Grid, ...]) -> bool:
            symbols = quantise(layers, grids, importance)
            return error * count < sum(
                float(np.square(layer - grid.restore(chosen)).sum())
                for layer, grid, chosen in zip(layers, grids, symbols, strict=True))

        grids, _ = self.search(populate(layers, importance), coarse)
        if grids is None:
            raise ValueError(f"Step quantiser needs a larger alphabet for an error of {error:g}")
        return grids

    def search(self, populations: Sequence[Population],
               coarse: Callable[[tuple[Grid, ...]], bool]
               ) -> tuple[tuple[Grid, ...] | None, tuple[Grid, ...] | None]:
        """Return the last grids that aren't coarse, and the first that are, as steps grow.

        None stands for steps beyond one thousandth of, or four times, the greatest weight.
        """
        greatest = max(population.greatest * population.root for population in populations)
        low, high = log((greatest or 1.0) / 1000), log((greatest or 1.0) * 4)
        below = above = None
        for _ in range(TRIALS):
            middle = (low + high) / 2
            grids = self.settle(populations, exp(middle))
            if coarse(grids):
                high, above = middle, grids
            else:
                low, below = middle, grids
        return below, above

    def limits(self, populations: Sequence[Population], grids: Sequence[Grid]
               ) -> tuple[int, int]:
        """Return the least and the most bits that Huffman's code may take, without the symbols."""
        assert self.huffman is not None
        counts = count_all(populations, grids)
        others = np.concatenate([~population.zeros(grid).ravel()
                                 for population, grid in zip(populations, grids, strict=True)])
        used, = np.nonzero(counts)
        return self.huffman.limits(counts[:used[-1] + 1], count_gaps(others))

    def settle(self, populations: Sequence[Population], step: float) -> tuple[Grid, ...]:
        """Return grids with ``step``, in layers of mean importance 1, and the costs that fit it."""
        greatest = max(self.centroids)
        grids = tuple(Grid(self.centroids, np.array([
            max(step / population.root, population.greatest / greatest)]))
            for population in populations)
        for _ in range(ROUNDS):
            lengths = self.lengths([population.count(grid) for population, grid
                                    in zip(populations, grids, strict=True)])
            grids = tuple(replace(grid, costs=tuple((PRESSURE * step ** 2 * own).tolist()))
                          for grid, own in zip(grids, lengths, strict=True))
        return grids

    def lengths(self, counts: Sequence[NDArray[np.int64]]) -> list[NDArray[np.float64]]:
        """Return the bits that each symbol takes in each layer, coded as often as counts say."""
        if isinstance(self.shape, AutomatonShape):
            total: NDArray[np.int64] = np.sum(counts, axis=0)
            lengths = code_lengths(total.tolist(), self.shape.min_code_length, MAX_CODE_LENGTH)
            return [np.array([length or MAX_CODE_LENGTH for length in lengths])] * len(counts)
        order = np.argsort(self.centroids)
        found = []
        for own in counts:
            costs = np.empty(len(order))
            costs[order] = code_costs(own[order])
            found.append(costs)
        return found


def populate(layers: Sequence[FloatArray], importance: Sequence[FloatArray] | None
             ) -> list[Population]:
    return [Population(layer, ONE if importance is None else importance[number])
            for number, layer in enumerate(layers)]


def layer_entropy(populations: Sequence[Population], grids: Sequence[Grid]) -> float:
    """Return the bits of symbols under the frequencies of their layers."""
    total = 0.0
    for population, grid in zip(populations, grids, strict=True):
        counts = population.count(grid)
        counts = counts[counts > 0]
        total -= float((counts * np.log2(counts / counts.sum())).sum())
    return total


def count_all(populations: Sequence[Population], grids: Sequence[Grid]) -> NDArray[np.int64]:
    counts = [population.count(grid) for population, grid in zip(populations, grids, strict=True)]
    total: NDArray[np.int64] = np.sum(counts, axis=0)
    return total


def levels(symbols: int) -> tuple[int, ...]:
    """Return the integers that an alphabet stands for: 0, -1, 1, -2, 2, ... and a sparse tail.

    Two thirds of them follow one another. From there the gaps grow by one each, so that the few
    great weights of a layer don't dictate its step.
    """
    count = (symbols - 1) // 2
    dense = -(-2 * count // 3)
    magnitudes = accumulate(1 + max(0, place - dense) for place in range(1, count + 1))
    return 0, *(sign * magnitude for magnitude in magnitudes for sign in (-1, 1))
