"""Uniform quantisation: symmetric integers with a scale for each filter, as TFLite's int8."""

from collections.abc import Sequence

import numpy as np

from .grid import FloatArray, Grid, zigzag


__all__ = ["UniformQuantiser"]


#: A smaller step says nothing more of a layer's outputs, and biases, in units of it, must fit 32
#: bits: training leaves filters of 1e-38 behind.
LEAST_STEP = 2.0 ** -16


class UniformQuantiser:
    """Rounds every weight to the nearest of ``2 ** bits - 1`` multiples of its filter's step.

    A filter's greatest weight becomes the greatest integer, ``2 ** (bits - 1) - 1``; but no filter's
    step is below ``LEAST_STEP`` of the greatest in its layer.
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
            least = float(greatest.max(initial=0)) * LEAST_STEP or 1.0
            scale = np.maximum(greatest, least) / (levels // 2)
            grids.append(Grid(zigzag(levels), scale))
        return tuple(grids)
