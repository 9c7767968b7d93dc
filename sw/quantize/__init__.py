"""Quantisers: from trained weights to symbols and what they stand for."""

from collections.abc import Sequence
from typing import Protocol

from .codebook import CodebookQuantiser
from .correction import correct_biases
from .grid import FloatArray, Grid, Symbols, quantise
from .step import StepQuantiser
from .uniform import UniformQuantiser


__all__ = ["CodebookQuantiser", "FloatArray", "Grid", "Quantiser", "StepQuantiser",
           "Symbols", "UniformQuantiser", "correct_biases", "quantise"]


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
