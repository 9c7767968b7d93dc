"""Scales of evenly spaced integers: the one with the least squared error, or the one in reach."""

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from .grid import FloatArray


__all__ = ["LEAST_STEP", "Granularity", "check_granularity", "least_error_scale", "range_scale",
           "scales", "sign_scale"]


Granularity = Literal["tensor", "channel"]

#: A smaller step says nothing more of a layer's outputs, and biases, in units of it, must fit 32
#: bits: training leaves filters of 1e-38 behind.
LEAST_STEP = 2.0 ** -16

#: Decision points that the search sorts. With more, neighbouring magnitudes are taken together.
POINTS = 1 << 22

#: What the greatest integer, a filter's magnitudes and their importances lead to.
Rule = Callable[[NDArray[np.float64], NDArray[np.float64], int], float]


def check_granularity(granularity: str) -> None:
    """Refuse anything but ``"tensor"`` and ``"channel"``, with a ValueError."""
    if granularity not in get_args(Granularity):
        raise ValueError(f"Granularity must be tensor or channel, not {granularity}")


def scales(weights: FloatArray, importance: FloatArray | None, limit: int,
           granularity: Granularity, rule: Rule) -> NDArray[np.float64]:
    """Return the scale of an array, or of each part along its first axis.

    None is below ``LEAST_STEP`` of what the array's greatest weight needs. A layer of zeros gets
    what a greatest weight of 1 would.

    Parameters
    ----------
    weights : array of float
        At least one axis.
    importance : array, or None
        Broadcast to the weights: what their squared errors count, by default the same.
    limit : int
        The greatest integer.
    rule : function
        `least_error_scale`, `range_scale` or `sign_scale`.
    """
    rows = len(weights) if granularity == "channel" else 1
    magnitudes = np.abs(weights.astype(np.float64)).reshape(rows, -1)
    factors = np.broadcast_to(1.0 if importance is None else importance,
                              weights.shape).reshape(rows, -1)
    least = float(magnitudes.max(initial=0)) * LEAST_STEP / limit
    found = np.array([rule(row, factor, limit)
                      for row, factor in zip(magnitudes, factors, strict=True)])
    # The product may have been lost to underflow.
    return np.maximum(found, least) if least else np.full(rows, 1.0 / limit)


def range_scale(magnitudes: NDArray[np.float64], importance: NDArray[np.float64], limit: int
                ) -> float:
    """Return the scale that makes the greatest magnitude the greatest integer."""
    return float(magnitudes.max(initial=0)) / limit


def sign_scale(magnitudes: NDArray[np.float64], importance: NDArray[np.float64], limit: int
               ) -> float:
    """Return the mean magnitude: with it, sign times scale errs least (Rastegari et al. 2016)."""
    total = float(importance.sum())
    return float((importance * magnitudes).sum()) / total if total else float(magnitudes.mean())


def least_error_scale(magnitudes: NDArray[np.float64], importance: NDArray[np.float64], limit: int
                      ) -> float:
    """Return the scale whose nearest integers, up to ``limit``, have the least squared error.

    Exact: as the scale shrinks, each magnitude m goes from integer n to n + 1 at m / (n + 1/2).
    Between two such points the integers q stay, the best scale is sum(m q) / sum(q q), and it saves
    sum(m q) ** 2 / sum(q q) of the energy. The best of all these is the optimum. Where there would
    be more than ``POINTS`` of them, magnitudes are first put into as many equal intervals as fit,
    of which the means are taken: each is off by less than the greatest / (POINTS / limit), and the
    scale of `range_scale` is taken if it errs less after all.
    """
    greatest = float(magnitudes.max(initial=0))
    used = (magnitudes > 0) & (importance > 0)
    if not used.any():
        return greatest / limit
    values, weights = magnitudes[used] / greatest, importance[used] / importance.max()
    binned = len(values) * limit > POINTS
    if binned:
        points, factors = bin_means(values, weights, POINTS // limit)
    else:
        points, factors = values, weights
    halves = np.arange(limit) + 0.5
    order = np.argsort(-np.divide.outer(points, halves).ravel(), kind="stable")
    products = np.cumsum(np.repeat(points * factors, limit)[order])
    squares = np.cumsum(np.multiply.outer(factors, 2 * halves).ravel()[order])
    best = int(np.argmax(np.square(products) / squares))
    found = float(products[best] / squares[best])
    if binned:
        found = min((1 / limit, found), key=lambda scale: lost(values, weights, limit, scale))
    return found * greatest


def lost(values: NDArray[np.float64], weights: NDArray[np.float64], limit: int, scale: float
         ) -> float:
    restored = np.minimum(np.rint(values / scale), limit) * scale
    return float(np.square(values - restored) @ weights)


def bin_means(values: NDArray[np.float64], weights: NDArray[np.float64], bins: int
              ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return weighted means and total weights of values from 0 to 1 in equal intervals."""
    places = np.minimum((values * bins).astype(np.int64), bins - 1)
    totals = np.bincount(places, weights).astype(np.float64, copy=False)
    used = totals > 0
    return np.bincount(places, weights * values)[used] / totals[used], totals[used]
