"""Weight sharing: the weights of a layer, or of the network, share a few values."""

from collections.abc import Sequence
from typing import Literal, get_args

import ckwrap
import numpy as np
from numpy.typing import NDArray

from .grid import FloatArray, Grid
from .scales import Granularity, check_granularity, range_scale, scales


__all__ = ["MAX_CLUSTERS", "CodebookQuantiser", "Domain"]


Domain = Literal["float", "int8"]

#: Values that are clustered; with more, which takes many seconds, centroids don't get better.
BINS = 1 << 16

#: Centroids of a codebook: as many as a code has symbols for.
MAX_CLUSTERS = 128

#: The greatest int8, and minus the least that is used.
GREATEST = 127


class CodebookQuantiser:
    """Gives weights the nearest of ``2 ** bits`` centroids, which exact k-means chooses.

    Centroids are whole numbers in units of a layer's step, such that the greatest in magnitude is
    127. Each layer has centroids of its own if ``codebooks`` allows, else all share one set, in
    units of each layer's standard deviation. The commonest centroid is symbol 0.

    Parameters
    ----------
    codebooks : int
        The most codebooks that an image may hold.
    granularity : {"tensor", "channel"}
        Whether filters are clustered as they are, or each in units of its greatest weight, as an
        int8 network of TFLite has them.
    domain : {"float", "int8"}
        Whether weights are clustered and the centroids then rounded to int8, or weights are first
        rounded to int8, in 127ths of the greatest one, and then clustered.
    zero : bool
        Whether one of the centroids is 0 and the others are those of the weights that aren't, as
        pruned weights need it (Han, Mao and Dally 2016).

    Raises
    ------
    ValueError
        If granularity or domain is another.
    """

    def __init__(self, codebooks: int, *, granularity: Granularity = "tensor",
                 domain: Domain = "float", zero: bool = False) -> None:
        check_granularity(granularity)
        if domain not in get_args(Domain):
            raise ValueError(f"Domain of centroids must be float or int8, not {domain}")
        self.codebooks = codebooks
        self.granularity = granularity
        self.domain = domain
        self.zero = zero

    def fit(self, layers: Sequence[FloatArray], importance: Sequence[FloatArray] | None,
            bits: float) -> tuple[Grid, ...]:
        """Choose the grid of each layer, as `fit_each` does."""
        return self.fit_each(layers, importance, [bits] * len(layers))

    def fit_each(self, layers: Sequence[FloatArray], importance: Sequence[FloatArray] | None,
                 bits: Sequence[float]) -> tuple[Grid, ...]:
        """Choose the grid of each layer, with ``2 ** bits`` centroids: ``log2(12)`` bits for 12.

        Raises
        ------
        ValueError
            If that isn't a whole number from 2 to `MAX_CLUSTERS`, or as `share`.
        """
        return self.share(layers, importance, [clusters_of(wanted) for wanted in bits])

    def share(self, layers: Sequence[FloatArray], importance: Sequence[FloatArray] | None,
              clusters: Sequence[int]) -> tuple[Grid, ...]:
        """Choose the grid of each layer, with as many centroids as ``clusters`` says of each.

        Raises
        ------
        ValueError
            If there are fewer than 2 or more than `MAX_CLUSTERS`, or layers that share a codebook
            are to have different numbers.
        """
        for number, count in enumerate(clusters):
            if not 2 <= count <= MAX_CLUSTERS:
                raise ValueError(f"Layer {number} must have 2 to {MAX_CLUSTERS} centroids, "
                                 f"not {count}")
        alone = len(layers) <= self.codebooks
        if not alone and len(set(clusters)) > 1:
            raise ValueError(f"Layers that share a codebook must have equal numbers of centroids, "
                             f"not {min(clusters)} to {max(clusters)}")
        units = [self.unit(layer, alone) for layer in layers]
        scaled, counts = [], []
        for number, (layer, unit) in enumerate(zip(layers, units, strict=True)):
            spread = unit.reshape(-1, *(1,) * (layer.ndim - 1))
            values = layer / spread
            scaled.append((np.rint(values) if self.domain == "int8" else values).ravel())
            weighting = 1.0 if importance is None else importance[number]
            factors = np.asarray(weighting * np.square(spread), np.float64)
            counts.append(np.broadcast_to(factors, layer.shape).ravel())
        if alone:
            return tuple(
                self.grid(values, weights, count, unit, number)
                for number, (values, weights, count, unit) in enumerate(
                    zip(scaled, counts, clusters, units, strict=True)))
        shared = self.grid(np.concatenate(scaled), np.concatenate(counts), clusters[0],
                           np.ones(1), 0)
        return tuple(Grid(shared.centroids, shared.scale * unit) for unit in units)

    def unit(self, layer: FloatArray, alone: bool) -> NDArray[np.float64]:
        """Return in what the values that are clustered are measured, shape (1,) or (Cout,)."""
        if self.granularity == "channel" or self.domain == "int8":
            return scales(layer, None, GREATEST, self.granularity, range_scale)
        return np.array([1.0 if alone else float(np.std(layer)) or 1.0])

    def grid(self, values: NDArray[np.floating], counts: NDArray[np.float64], count: int,
             unit: NDArray[np.float64], number: int) -> Grid:
        centers = cluster(values, counts, count, self.zero)
        scale = (1.0 if self.domain == "int8"
                 else float(np.abs(centers).max()) / GREATEST or 1.0)
        centroids = np.rint(centers / scale).astype(int)
        return Grid(tuple(dict.fromkeys(centroids.tolist())), scale * unit, codebook=number)


def clusters_of(bits: float) -> int:
    """Return how many centroids ``bits`` stand for."""
    count = round(2 ** bits) if 0 < bits < 8 else 0
    if abs(count - 2 ** min(bits, 8)) > 1e-9 or not 2 <= count <= MAX_CLUSTERS:
        raise ValueError(f"Codebook must have 1, 2, 3, 4, 5, 6 or 7 bits, or log2 of 2 to "
                         f"{MAX_CLUSTERS} centroids, not {bits:g}")
    return count


def cluster(values: NDArray[np.floating], counts: NDArray[np.float64], count: int,
            zero: bool = False) -> NDArray[np.float64]:
    """Return up to ``count`` centroids, the commonest first.

    Exact one-dimensional k-means (Wang and Song 2011) of the distinct values, or, where there are
    more than ``BINS``, of the means of as many equal intervals: a value then counts as one less
    than (greatest - least) / ``BINS`` away.

    Parameters
    ----------
    values, counts : array, shape (n,)
        Values, and what they count.
    zero : bool
        Whether one of the centroids is 0, for what is 0; the others are those of the rest.
    """
    means, weights, numbers = histogram(values.astype(np.float64), counts)
    rest = means != 0 if zero else np.ones(len(means), np.bool_)
    centers, sizes = np.zeros(0), np.zeros(0, np.int64)
    if rest.any():
        found = ckwrap.ckmeans(means[rest], min(count - zero, int(rest.sum())),
                               weights=weights[rest])
        centers = found.centers
        sizes = np.bincount(found.labels, numbers[rest], found.k).astype(np.int64)
    if zero:
        centers, sizes = np.append(centers, 0.0), np.append(sizes, numbers[~rest].sum())
    return centers[np.argsort(-sizes, kind="stable")]


def histogram(values: NDArray[np.float64], counts: NDArray[np.float64]
              ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
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
        return distinct, bincount(places, counts), np.bincount(places)
    low, high = distinct[0], distinct[-1]
    bins = np.minimum((values - low) * (BINS / (high - low)), BINS - 1).astype(np.int64)
    weights = bincount(bins, counts)
    used = weights > 0
    sums = bincount(bins, counts * values)
    return sums[used] / weights[used], weights[used], np.bincount(bins)[used]


def bincount(places: NDArray[np.int64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.bincount(places, weights).astype(np.float64, copy=False)
