"""Uniform quantisation: symmetric integers with a scale for each filter, as TFLite's int8."""

from collections.abc import Sequence

import numpy as np

from .grid import FloatArray, Grid, zigzag


__all__ = ["UniformQuantiser"]


class UniformQuantiser:
    """Rounds every weight to the nearest of ``2 ** bits - 1`` multiples of its filter's step.

    A filter's greatest weight becomes the greatest integer, ``2 ** (bits - 1) - 1``.
    """

    def fit(self, layers: Sequence[FloatArray], importance: Sequence[FloatArray] | None,
            bits: float) -> tuple[Grid, ...]:
        """Choose the grid of each layer; importance doesn't matter.

        Raises
        ------
        ValueError
            If ``bits`` isn't 2, 3, 4, 5 or 8.
        """
        if bits not in (2, 3, 4, 5, 8):
            raise ValueError(f"Uniform quantiser must have 2, 3, 4, 5 or 8 bits, not {bits:g}")
        levels = (1 << int(bits)) - 1
        grids = []
        for weights in layers:
            greatest = np.abs(weights).max(axis=(1, 2, 3)).astype(np.float64)
            scale = np.where(greatest > 0, greatest, 1.0) / (levels // 2)
            grids.append(Grid(zigzag(levels), scale))
        return tuple(grids)
