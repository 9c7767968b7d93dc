"""Weight sharing: the weights of a layer, or of the network, share a few values."""

from collections.abc import Sequence
from typing import Any

import ckwrap
import numpy as np
from numpy.typing import NDArray

from .grid import FloatArray, Grid


__all__ = ["CodebookQuantiser"]


#: Values that are clustered; with more, which takes many seconds, centroids don't get better.
BINS = 1 << 16


class CodebookQuantiser:
    """Gives weights the nearest of ``2 ** bits`` centroids, which exact k-means chooses.

    Centroids are whole numbers in units of a layer's step, such that the greatest in magnitude is
    127. Each layer has centroids of its own if ``codebooks`` allows, else all share one set, in
    units of each layer's standard deviation. The commonest centroid is symbol 0.

    Parameters
    ----------
    codebooks : int
        The most codebooks that an image may hold.
    """

    def __init__(self, codebooks: int) -> None:
        self.codebooks = codebooks

    def fit(self, layers: Sequence[FloatArray], importance: Sequence[FloatArray] | None,
            bits: float) -> tuple[Grid, ...]:
        """Choose the grid of each layer.

        Raises
        ------
        ValueError
            If ``bits`` isn't 2, 3, 4 or 5.
        """
        if bits not in (2, 3, 4, 5):
            raise ValueError(f"Codebook must have 2, 3, 4 or 5 bits, not {bits:g}")
        count = 1 << int(bits)
        counts = [np.broadcast_to(1.0 if importance is None else importance[number], layer.shape)
                  for number, layer in enumerate(layers)]
        if len(layers) <= self.codebooks:
            return tuple(
                Grid(*cluster(layer.ravel(), weights.ravel(), count), codebook=number)
                for number, (layer, weights) in enumerate(zip(layers, counts, strict=True)))
        units = [float(np.std(layer)) or 1.0 for layer in layers]
        centroids, scale = cluster(
            np.concatenate([layer.ravel() / unit
                            for layer, unit in zip(layers, units, strict=True)]),
            np.concatenate([weights.ravel() * unit ** 2
                            for weights, unit in zip(counts, units, strict=True)]), count)
        return tuple(Grid(centroids, scale * unit) for unit in units)


def cluster(values: FloatArray, counts: NDArray[np.float64],
            count: int) -> tuple[tuple[int, ...], NDArray[np.float64]]:
    """Return up to ``count`` centroids as int8, the commonest first, and their scale.

    Exact one-dimensional k-means (Wang and Song 2011) of the distinct values, or, where there are
    more than ``BINS``, of the means of as many equal intervals.
    """
    means, weights, numbers = histogram(values.astype(np.float64), counts)
    found = ckwrap.ckmeans(means, min(count, len(means)), weights=weights)
    common = np.argsort(-np.bincount(found.labels, numbers, minlength=found.k), kind="stable")
    scale = float(np.abs(found.centers).max()) / 127 or 1.0
    centroids = np.rint(found.centers[common] / scale).astype(int)
    return tuple(dict.fromkeys(centroids.tolist())), np.array([scale])


def histogram(values: NDArray[np.float64], counts: NDArray[np.float64]
              ) -> tuple[NDArray[np.float64], NDArray[Any], NDArray[Any]]:
    """Return distinct values, or means of neighbours, in order.

    Returns
    -------
    means, counts : array of float64
        Values, and what they count together.
    numbers : array of int64
        How many there are of each.
    """
    distinct = np.unique(values)
    if len(distinct) <= BINS:
        places = np.searchsorted(distinct, values)
        return distinct, np.bincount(places, counts), np.bincount(places)
    low, high = distinct[0], distinct[-1]
    bins = np.minimum((values - low) * (BINS / (high - low)), BINS - 1).astype(np.int64)
    weights = np.bincount(bins, counts)
    used = weights > 0
    sums = np.bincount(bins, counts * values)
    return sums[used] / weights[used], weights[used], np.bincount(bins)[used]
