"""Uniform quantisation: symmetric integers with a scale for each layer or each filter."""

from collections.abc import Sequence
from math import log2

import numpy as np

from .grid import FloatArray, Grid, zigzag
from .linear import LinearGrid
from .scales import (LEAST_STEP, Granularity, Rule, check_granularity, least_error_scale,
                     range_scale, scales, sign_scale)


__all__ = ["TERNARY", "UniformQuantiser"]


#: Bits of one of three values, as users round them.
TERNARY = 1.58

#: Greatest integer of each number of bits. With 1 bit there is no 0.
LIMITS = {1: 1, TERNARY: 1, 2: 1, 3: 3, 4: 7, 5: 15, 6: 31, 8: 127}

#: From here on, the error of clipping even one weight is greater than what a finer step saves.
WIDE = 16


class UniformQuantiser:
    """Rounds every weight to the nearest of ``2 ** bits - 1`` multiples of a step, symmetrically.

    The step errs least in the weights' squares, weighted by importance; weights beyond the greatest
    multiple are clipped to it. Where ``clip`` is false, the greatest weight becomes the greatest
    multiple, ``2 ** (bits - 1) - 1``, as in TFLite. No step is below ``LEAST_STEP`` of that of the
    greatest weight in the layer. Three multiples, -1, 0 and 1, are what 2 bits have, and `TERNARY`
    ones: all the same but for the raw code. With 1 bit a weight is its sign times the mean
    magnitude, zeros are positive, and a layer of zeros becomes ``LEAST_STEP``.

    Parameters
    ----------
    granularity : {"channel", "tensor"}
        A step for each filter, or for each layer.
    clip : bool
        Whether large weights may be clipped where that lessens the error.

    Raises
    ------
    ValueError
        If the granularity is another.
    """

    def __init__(self, granularity: Granularity = "channel", *, clip: bool = True) -> None:
        check_granularity(granularity)
        self.granularity = granularity
        self.clip = clip

    def fit(self, layers: Sequence[FloatArray], importance: Sequence[FloatArray] | None,
            bits: float) -> tuple[Grid, ...]:
        """Choose the grid of each layer of a network, as `fit_each` does."""
        return self.fit_each(layers, importance, [bits] * len(layers))

    def fit_each(self, layers: Sequence[FloatArray], importance: Sequence[FloatArray] | None,
                 bits: Sequence[float]) -> tuple[Grid, ...]:
        """Choose the grid of each layer, with as many bits as ``bits`` says of each.

        Raises
        ------
        ValueError
            If bits aren't 1, `TERNARY` (or ``log2(3)``), 2, 3, 4, 5, 6 or 8, or some but not all
            are 1; weights of 16 bits don't fit a network's int8, see `fit_arrays`.
        """
        if 1 in bits and set(bits) != {1}:
            raise ValueError("Uniform quantiser must have 1 bit in all layers or in none")
        grids = []
        for number, (layer, wanted) in enumerate(zip(layers, bits, strict=True)):
            rounded = TERNARY if wanted == log2(3) else wanted
            if rounded == 16:
                raise ValueError("Uniform quantiser must have 8 bits or fewer for a network, whose "
                                 "weights are int8, not 16; those are for weights alone")
            if rounded not in LIMITS:
                raise ValueError(f"Uniform quantiser must have 1, 1.58, 2, 3, 4, 5, 6 or 8 bits, "
                                 f"not {rounded:g}")
            limit = LIMITS[rounded]
            centroids = (1, -1) if rounded == 1 else zigzag(2 * limit + 1)
            rule = sign_scale if rounded == 1 else self.rule
            weighting = None if importance is None else importance[number]
            scale = scales(layer, weighting, limit, self.granularity, rule)
            if rounded == 1 and not np.any(layer):
                scale = np.full_like(scale, LEAST_STEP)
            grids.append(Grid(centroids, scale))
        return tuple(grids)

    def fit_arrays(self, arrays: Sequence[FloatArray], importance: Sequence[FloatArray] | None,
                   bits: int) -> tuple[LinearGrid, ...]:
        """Choose the grid of each of several arrays that needn't be a network's.

        With ``WIDE`` bits nothing is clipped.

        Parameters
        ----------
        arrays : sequence of array
            At least one axis each; the first is that of filters.
        bits : int
            2 to 16.

        Raises
        ------
        ValueError
            If there are other bits.
        """
        if bits not in range(2, WIDE + 1):
            raise ValueError(f"Uniform quantiser must have 2 to {WIDE} bits for arrays, "
                             f"not {bits:g}")
        limit = (1 << bits - 1) - 1
        rule = range_scale if bits == WIDE else self.rule
        return tuple(
            LinearGrid(limit, scales(array, None if importance is None else importance[number],
                                     limit, self.granularity, rule))
            for number, array in enumerate(arrays))

    @property
    def rule(self) -> Rule:
        """How a scale is chosen."""
        return least_error_scale if self.clip else range_scale
