"""Quantisers: from trained weights to symbols and what they stand for."""

from collections.abc import Sequence
from typing import Protocol

from .codebook import CodebookQuantiser
from .correction import correct_biases
from .grid import FloatArray, Grid, Symbols, quantise
from .linear import LinearGrid
from .pruning import check_zeros, prune
from .step import StepQuantiser
from .uniform import TERNARY, UniformQuantiser


__all__ = ["TERNARY", "CodebookQuantiser", "FloatArray", "Grid", "LinearGrid", "Quantiser",
           "StepQuantiser", "Symbols", "UniformQuantiser", "check_zeros", "correct_biases", "prune",
           "quantise"]


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
