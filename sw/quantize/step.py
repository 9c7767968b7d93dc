"""Entropy-constrained uniform steps: the error that a bit is worth decides each rounding."""

from collections.abc import Callable, Sequence
from itertools import accumulate
from math import ceil, exp, log

import numpy as np
from numpy.typing import NDArray

from ..codecs.huffman import HuffmanCodec, code_lengths, count_gaps
from ..format.tables import MAX_CODE_LENGTH, AutomatonShape
from .grid import ONE, FloatArray, Grid, quantise


__all__ = ["StepQuantiser"]


#: What a bit costs, in units of the squared step.
PRESSURE = 0.15

#: Rounds of rounding and coding, each with the code that the one before led to.
ROUNDS = 4

#: Halvings of the range of steps in which the rate, or the error, is met.
TRIALS = 16


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
    shape : AutomatonShape
        The automaton that decodes the symbols; its code lengths are what bits cost.
    """

    def __init__(self, shape: AutomatonShape) -> None:
        self.shape = shape
        self.codec = HuffmanCodec(shape)

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

        def small(grids: tuple[Grid, ...]) -> bool:
            least, most = self.limits(populations, grids)
            if least <= bits * count < most:
                least = self.codec.bits(quantise(layers, grids, importance))
            return least <= bits * count

        large, grids = self.search(populations, small)
        if grids is not None:
            return grids
        assert large is not None
        least = ceil(100 * self.codec.bits(quantise(layers, large, importance)) / count) / 100
        raise ValueError(f"Step quantiser must have {least:g} bits or more for each of {count} "
                         f"weights, with their code table, not {bits:g}")

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
        """Return the least and the most bits that the codec may take, without the symbols."""
        counts = count_all(populations, grids)
        others = np.concatenate([~population.zeros(grid).ravel()
                                 for population, grid in zip(populations, grids, strict=True)])
        used, = np.nonzero(counts)
        return self.codec.limits(counts[:used[-1] + 1], count_gaps(others))

    def settle(self, populations: Sequence[Population], step: float) -> tuple[Grid, ...]:
        """Return grids with ``step``, in layers of mean importance 1, and the costs that fit it."""
        centroids = levels(self.shape.symbols)
        scales = [np.array([max(step / population.root, population.greatest / max(centroids))])
                  for population in populations]
        grids = tuple(Grid(centroids, scale) for scale in scales)
        for _ in range(ROUNDS):
            lengths = code_lengths(count_all(populations, grids).tolist(),
                                   self.shape.min_code_length, MAX_CODE_LENGTH)
            costs = tuple(PRESSURE * step ** 2 * (length or MAX_CODE_LENGTH) for length in lengths)
            grids = tuple(Grid(centroids, scale, costs=costs) for scale in scales)
        return grids


def populate(layers: Sequence[FloatArray], importance: Sequence[FloatArray] | None
             ) -> list[Population]:
    return [Population(layer, ONE if importance is None else importance[number])
            for number, layer in enumerate(layers)]


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
