"""Quantisers: from trained weights to symbols and what they stand for."""

from .codebook import CodebookQuantiser
from .correction import correct_biases
from .grid import FloatArray, Grid, Quantiser, Symbols, quantise
from .linear import LinearGrid
from .pruning import check_zeros, prune
from .step import StepQuantiser
from .uniform import TERNARY, UniformQuantiser


__all__ = ["TERNARY", "CodebookQuantiser", "FloatArray", "Grid", "LinearGrid", "Quantiser",
           "StepQuantiser", "Symbols", "UniformQuantiser", "check_zeros", "correct_biases", "prune",
           "quantise"]
