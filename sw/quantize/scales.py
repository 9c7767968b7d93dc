"""Scales of evenly spaced integers: the one with the least squared error, or the one in reach."""

from collections.abc import Callable
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ..compiled import compiled
from .grid import FloatArray


__all__ = ["LEAST_STEP", "Granularity", "check_granularity", "least_error_scale", "range_scale",
           "scales", "sign_scale"]


Granularity = Literal["tensor", "channel"]

#: A smaller step says nothing more of a layer's outputs, and biases, in units of it, must fit 32
#: bits: training leaves filters of 1e-38 behind.
LEAST_STEP = 2.0 ** -16

#: Decision points that are all tried. With more, scales are searched for.
POINTS = 1 << 12

#: Scales of a search, from a tenth of `range_scale` up, and rounds that then narrow it down.
TRIALS, ROUNDS = 48, 16

#: Intervals of magnitudes that a search takes together, in filters of more weights.
INTERVALS = 1 << 13

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

    Exact where there are at most ``POINTS`` decision points: as the scale shrinks, each magnitude m
    goes from integer n to n + 1 at m / (n + 1/2). Between two such points the integers q stay, the
    best scale is sum(m q) / sum(q q), and it saves sum(m q) ** 2 / sum(q q) of the energy. The best
    of all these is the optimum. Elsewhere scales are tried and the best one's surroundings
    narrowed down; in filters of more than ``INTERVALS`` weights, with magnitudes taken together
    that are closer than the greatest / ``INTERVALS``. It errs no more than that of `range_scale`.
    """
    greatest = float(magnitudes.max(initial=0))
    used = (magnitudes > 0) & (importance > 0)
    if not used.any():
        return greatest / limit
    values, weights = magnitudes[used] / greatest, importance[used] / importance.max()
    if len(values) * limit > POINTS:
        points, factors = (bin_means(values, weights, INTERVALS) if len(values) > INTERVALS
                           else (values, weights))
        found = float(search(points, factors, limit))
        return greatest * min((1 / limit, found),
                              key=lambda scale: lost(values, weights, limit, scale))
    halves = np.arange(limit) + 0.5
    order = np.argsort(-np.divide.outer(values, halves).ravel(), kind="stable")
    products = np.cumsum(np.repeat(values * weights, limit)[order])
    squares = np.cumsum(np.multiply.outer(weights, 2 * halves).ravel()[order])
    best = int(np.argmax(np.square(products) / squares))
    return float(products[best] / squares[best]) * greatest


@compiled
def search(values: Any, weights: Any, limit: int) -> float:
    """Return about the best scale of values up to 1, from a tenth of 1 / limit to all of it."""
    best, least = 1.0 / limit, np.inf
    low, high = 0.1 / limit, 1.0 / limit
    for number in range(TRIALS):
        scale = low * (high / low) ** (number / (TRIALS - 1))
        error = squared_error(values, weights, limit, scale)
        if error < least:
            best, least = scale, error
    width = best * ((high / low) ** (1.0 / (TRIALS - 1)) - 1)
    for _ in range(ROUNDS):
        width /= 1.6
        for scale in (best - width, best + width):
            error = squared_error(values, weights, limit, scale)
            if error < least:
                best, least = scale, error
    return best


@compiled
def squared_error(values: Any, weights: Any, limit: int, scale: float) -> float:
    total = 0.0
    for number in range(len(values)):
        restored = min(np.rint(values[number] / scale), limit) * scale
        total += weights[number] * (values[number] - restored) ** 2
    return total


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
