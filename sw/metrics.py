"""What compression is judged by: size, rate, distortion."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf, log10

import numpy as np
from numpy.typing import NDArray


__all__ = ["Distortion", "Size", "distortion", "entropy"]


@dataclass(frozen=True)
class Distortion:
    """How far quantised weights are from the trained ones.

    Parameters
    ----------
    mse : float
        Mean squared error.
    max_abs_error : float
        The greatest error's magnitude.
    sqnr_db : float
        Energy of the weights over that of the errors, in decibels.
    """

    mse: float
    max_abs_error: float
    sqnr_db: float


def distortion(weights: Sequence[NDArray[np.floating]],
               restored: Sequence[NDArray[np.floating]]) -> Distortion:
    """Return the distortion of ``restored``, over all weights of all layers."""
    count = sum(layer.size for layer in weights)
    noise = signal = greatest = 0.0
    for layer, values in zip(weights, restored, strict=True):
        original = layer.astype(np.float64).ravel()
        errors = values.ravel() - original
        noise += float(errors @ errors) / count
        signal += float(original @ original) / count
        greatest = max(greatest, float(np.abs(errors, out=errors).max(initial=0)))
    return Distortion(noise, greatest,
                      10 * log10(signal / noise) if noise and signal else inf)


def entropy(layers: Iterable[NDArray[np.integer]]) -> float:
    """Return the order-0 entropy, in bits, of the symbols of all ``layers`` together, or 0."""
    counts = np.bincount(np.concatenate([np.zeros(0, np.int64), *(
        layer.ravel() for layer in layers)]))
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log2(shares)).sum()) + 0.0


@dataclass(frozen=True)
class Size:
    """Size of an image and of what it was made from.

    Parameters
    ----------
    weights, biases : int
        How many the network has.
    bytes_image : int
        Bytes of the whole image.
    bytes_weights : int
        Bytes that exist because of the weights: code table, codebooks, coded data with padding.
    """

    weights: int
    biases: int
    bytes_image: int
    bytes_weights: int

    @property
    def bytes_network(self) -> int:
        """Bytes of the image that don't exist because of the weights."""
        return self.bytes_image - self.bytes_weights

    @property
    def bytes_float32(self) -> int:
        """Bytes of all weights and biases as float32."""
        return 4 * (self.weights + self.biases)

    @property
    def bytes_int8(self) -> int:
        """Bytes of all weights as int8 and all biases as int32, as TFLite stores them."""
        return self.weights + 4 * self.biases

    @property
    def bits_per_weight(self) -> float:
        """All bits that exist because of the weights, over their number."""
        return 8 * self.bytes_weights / self.weights

    @property
    def ratio(self) -> float:
        """The whole image over ``bytes_float32``; smaller is better."""
        return self.bytes_image / self.bytes_float32

    @property
    def factor(self) -> float:
        """Inverse of the ratio."""
        return self.bytes_float32 / self.bytes_image

    @property
    def factor_int8(self) -> float:
        """``bytes_int8`` over the whole image."""
        return self.bytes_int8 / self.bytes_image
