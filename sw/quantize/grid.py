"""Grids: the values that a layer's weights may take, and the symbols that stand for them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


__all__ = ["FloatArray", "Grid", "Symbols", "quantise", "zigzag"]


FloatArray = NDArray[np.float32] | NDArray[np.float64]
Symbols = NDArray[np.int64]

#: Importance of weights whose errors all count alike.
ONE = np.ones(1)


def zigzag(count: int) -> tuple[int, ...]:
    """Return 0, -1, 1, -2, 2, ...: the integer that each of ``count`` symbols stands for."""
    return tuple((symbol >> 1) ^ -(symbol & 1) for symbol in range(count))


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
        scale = self.scale.reshape(-1, *(1,) * (weights.ndim - 1))
        chosen = np.zeros(weights.shape, np.int64)
        least = np.full(weights.shape, np.inf)
        for symbol, centroid in enumerate(self.centroids):
            loss = np.square(weights - centroid * scale) * importance
            loss += self.costs[symbol] if self.costs else 0
            better = loss < least
            chosen[better] = symbol
            least[better] = loss[better]
        return chosen

    def integers(self, symbols: Symbols) -> NDArray[np.int8]:
        """Return the int8 weight of each symbol."""
        return np.array(self.centroids, np.int8)[symbols]

    def restore(self, symbols: Symbols) -> NDArray[np.float64]:
        """Return the weights that symbols of shape (Cout, KH, KW, Cin) stand for."""
        return self.integers(symbols) * self.scale.reshape(-1, *(1,) * (symbols.ndim - 1))


def quantise(layers: Sequence[FloatArray], grids: Sequence[Grid],
             importance: Sequence[FloatArray] | None = None) -> list[Symbols]:
    """Return the symbols of all layers, each quantised by its grid."""
    weightings = [ONE] * len(layers) if importance is None else importance
    return [grid.quantise(layer, weighting)
            for layer, grid, weighting in zip(layers, grids, weightings, strict=True)]
