"""Grids: the values that a layer's weights may take, and the symbols that stand for them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ..compiled import compiled


__all__ = ["ONE", "FloatArray", "Grid", "Quantiser", "Symbols", "quantise", "zigzag",
           "zigzag_symbols"]


FloatArray = NDArray[np.float32] | NDArray[np.float64]
Symbols = NDArray[np.int64]

#: Importance of weights whose errors all count alike.
ONE = np.ones(1)


def zigzag(count: int) -> tuple[int, ...]:
    """Return 0, -1, 1, -2, 2, ...: the integer that each of ``count`` symbols stands for."""
    return tuple((symbol >> 1) ^ -(symbol & 1) for symbol in range(count))


def zigzag_symbols(integers: NDArray[np.integer]) -> Symbols:
    """Return the symbols that stand for integers in `zigzag`."""
    wide = integers.astype(np.int64)
    return wide << 1 ^ wide >> 63


class Levels(NamedTuple):
    """A grid, in order of its centroids.

    Parameters
    ----------
    centroids, symbols, costs : array
        Of each.
    cheapest : float
        The least cost.
    nearest : array of int64, shape (255,)
        Index of the centroid that is nearest to -127, -126, ...
    """

    centroids: NDArray[np.float64]
    symbols: NDArray[np.int64]
    costs: NDArray[np.float64]
    cheapest: float
    nearest: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Grid:
    """What the symbols of a layer stand for: symbol s for ``centroids[s] * scale``.

    Parameters
    ----------
    centroids : tuple of int
        An int8 for each symbol.
    scale : array of float64, shape (1,) or (Cout,)
        What one unit stands for, in all filters or in each.
    codebook : int
        Number of the codebook that holds the centroids. Layers may share one.
    costs : tuple of float
        What each symbol costs beside its squared error; by default nothing.

    Raises
    ------
    ValueError
        If a centroid isn't an int8.
    """

    centroids: tuple[int, ...]
    scale: NDArray[np.float64]
    codebook: int = 0
    costs: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for symbol, centroid in enumerate(self.centroids):
            if not -128 <= centroid <= 127:
                raise ValueError(f"Centroid {symbol} must be -128 to 127, not {centroid}")

    def quantise(self, weights: FloatArray, importance: FloatArray = ONE) -> Symbols:
        """Return the symbol of each weight: least error plus cost, the lowest of equal ones.

        Parameters
        ----------
        weights : array of float, shape (Cout, KH, KW, Cin)
        importance : array, broadcast to that shape
            What a squared error of each weight counts.
        """
        factors = np.ravel(importance if np.size(importance) == 1
                           else np.broadcast_to(importance, weights.shape)).astype(np.float64)
        return choose(weights.ravel(), self.scale, factors, self.levels).reshape(weights.shape)

    def count(self, weights: FloatArray, importance: FloatArray = ONE) -> NDArray[np.int64]:
        """Return how many weights get each symbol, as `quantise` would give them.

        Much faster than that, since only weights near a decision between two symbols are looked at.

        Parameters
        ----------
        weights : array of float, sorted
        importance : array of one value
            What their squared errors count.

        Raises
        ------
        ValueError
            If filters have scales of their own, or weights an importance of their own.
        """
        if self.scale.size != 1 or np.size(importance) != 1:
            raise ValueError(f"Weights to count must have one scale and one importance, not "
                             f"{self.scale.size} and {np.size(importance)}")
        return count_sorted(weights, self.scale.item(), float(np.asarray(importance).item()),
                            self.levels)

    @cached_property
    def levels(self) -> Levels:
        """The grid as compiled loops take it."""
        order = np.argsort(self.centroids, kind="stable")
        centroids = np.array(self.centroids, np.float64)[order]
        costs = np.array(self.costs or (0.0,) * len(order))[order]
        nearest = np.abs(np.arange(-127, 128)[:, None] - centroids).argmin(axis=1)
        return Levels(centroids, order, costs, float(costs.min()), nearest)

    def integers(self, symbols: Symbols) -> NDArray[np.int8]:
        """Return the int8 weight of each symbol."""
        return np.array(self.centroids, np.int8)[symbols]

    def restore(self, symbols: Symbols) -> NDArray[np.float64]:
        """Return the weights that symbols of shape (Cout, KH, KW, Cin) stand for."""
        return self.integers(symbols) * self.scale.reshape(-1, *(1,) * (symbols.ndim - 1))


class Quantiser(Protocol):
    """What a quantiser can do; its `Grid` of a layer quantises and restores."""

    def fit(self, layers: Sequence[FloatArray], importance: Sequence[FloatArray] | None,
            bits: float) -> tuple[Grid, ...]:
        """Choose the grid of each layer.

        Parameters
        ----------
        layers : sequence of array, shape (Cout, KH, KW, Cin)
            Trained weights of all layers.
        importance : sequence of array, or None
            What a squared error of each weight counts, broadcast to the layer's shape; by default
            all errors count alike.
        bits : float
            What a weight may take. Each quantiser says how it reads it.

        Raises
        ------
        ValueError
            If it can't be reached.
        """


def quantise(layers: Sequence[FloatArray], grids: Sequence[Grid],
             importance: Sequence[FloatArray] | None = None) -> list[Symbols]:
    """Return the symbols of all layers, each quantised by its grid."""
    weightings = [ONE] * len(layers) if importance is None else importance
    return [grid.quantise(layer, weighting)
            for layer, grid, weighting in zip(layers, grids, weightings, strict=True)]


@compiled
def choose_one(weight: float, scale: float, importance: float, levels: Levels) -> int:
    """Return the symbol of a weight."""
    position = weight / scale
    start = levels.nearest[int(np.rint(position)) + 127 if abs(position) < 127 else 0]
    best = start
    least = np.square(weight - levels.centroids[start] * scale) * importance + levels.costs[start]
    # Away from the nearest centroid errors grow: where the error alone costs too much, that side is
    # done with.
    for direction in (-1, 1):
        index = start + direction
        while 0 <= index < len(levels.centroids):
            error = np.square(weight - levels.centroids[index] * scale) * importance
            if error + levels.cheapest > least:
                break
            loss = error + levels.costs[index]
            if loss < least or (loss == least and levels.symbols[index] < levels.symbols[best]):
                best = index
                least = loss
            index += direction
    return int(levels.symbols[best])


@compiled
def choose(weights: FloatArray, scales: NDArray[np.float64], importance: NDArray[np.float64],
           levels: Levels) -> Symbols:
    """Return the symbol of each weight; filters have a scale each, or all the same."""
    chosen = np.empty(len(weights), np.int64)
    size = len(weights) // len(scales)
    for number, scale in enumerate(scales):
        for place in range(number * size, (number + 1) * size):
            factor = importance[place if len(importance) > 1 else 0]
            chosen[place] = choose_one(weights[place], scale, factor, levels)
    return chosen


@compiled
def count_sorted(weights: FloatArray, scale: float, importance: float, levels: Levels
                 ) -> NDArray[np.int64]:
    """Return how many of the sorted weights get each symbol."""
    counts = np.zeros(len(levels.centroids), np.int64)
    start = 0
    while start < len(weights):
        chosen = choose_one(weights[start], scale, importance, levels)
        # Weights of one symbol follow one another: halve what holds the last of them.
        last, beyond = start, len(weights)
        while beyond - last > 1:
            middle = (last + beyond) // 2
            if choose_one(weights[middle], scale, importance, levels) == chosen:
                last = middle
            else:
                beyond = middle
        counts[chosen] += beyond - start
        start = beyond
    return counts
