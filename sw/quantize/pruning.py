"""Magnitude pruning: the weights that matter least become zero."""

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from .grid import FloatArray, Grid


__all__ = ["Scope", "check_zeros", "prune"]


Scope = Literal["network", "layer"]


def prune(layers: Sequence[FloatArray], importance: Sequence[FloatArray] | None, share: float, *,
          scope: Scope = "network") -> list[FloatArray]:
    """Return layers with the weights of least magnitude set to zero, without retraining.

    Weights are ordered by importance times their square, what their loss costs (Han et al. 2015
    with one threshold, LeCun et al. 1989 with importances from a Hessian). The share is met to
    within one weight; of equal weights, the first ones go. Weights that are zero already count.

    Parameters
    ----------
    importance : sequence of array, or None
        What a squared error of each weight counts, broadcast to the layer's shape; by default all
        errors count alike.
    share : float
        Share of the weights that become zero, 0 up to, but not, 1.
    scope : {"network", "layer"}
        Whether the share is that of the network, by one threshold for all layers, or that of each
        layer.

    Raises
    ------
    ValueError
        If the share or the scope is out of range.
    """
    if not 0 <= share < 1:
        raise ValueError(f"Share of pruned weights must be 0 or more and below 1, not {share:g}")
    if scope not in get_args(Scope):
        raise ValueError(f"Scope of pruning must be network or layer, not {scope}")
    costs = [np.ravel(np.square(layer.astype(np.float64))
                      * (1.0 if importance is None else importance[number]))
             for number, layer in enumerate(layers)]
    if scope == "layer":
        dropped = [least(cost, share) for cost in costs]
    else:
        ends = np.cumsum([len(cost) for cost in costs])[:-1]
        dropped = np.split(least(np.concatenate([np.zeros(0), *costs]), share), ends)
    return [np.where(gone.reshape(layer.shape), layer.dtype.type(0), layer)
            for layer, gone in zip(layers, dropped, strict=True)]


def least(costs: np.ndarray[tuple[int], np.dtype[np.float64]], share: float
          ) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return which ones are the least, as many as the share says."""
    dropped = np.zeros(len(costs), np.bool_)
    dropped[np.argsort(costs, kind="stable")[:int(share * len(costs) + 1e-9)]] = True
    return dropped


def check_zeros(grids: Sequence[Grid]) -> None:
    """Refuse grids in which pruned weights wouldn't stay zero.

    Raises
    ------
    ValueError
        If a grid lacks 0.
    """
    for number, grid in enumerate(grids):
        if 0 not in grid.centroids:
            raise ValueError(f"Grid of layer {number} must have a value of 0 for pruned weights, "
                             f"not {', '.join(map(str, sorted(grid.centroids)[:8]))}")
