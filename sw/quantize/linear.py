"""Linear grids: evenly spaced values, for arrays whose integers are too many for a list."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .grid import ONE, FloatArray, Symbols


__all__ = ["LinearGrid"]


@dataclass(frozen=True, eq=False)
class LinearGrid:
    """What symbols of an array stand for: 0, -1, 1, -2, 2, ... times ``scale``.

    As `Grid`, but for more integers than an int8 holds. Networks can't have them: they are for
    weights alone.

    Parameters
    ----------
    limit : int
        The greatest integer, and minus the least: 1 to 32767.
    scale : array of float64, shape (1,) or (length of the first axis,)
        What one unit stands for, in the whole array or in each of its first axis.

    Raises
    ------
    ValueError
        If the limit isn't that of an int16.
    """

    limit: int
    scale: NDArray[np.float64]

    def __post_init__(self) -> None:
        if not 1 <= self.limit <= 32767:
            raise ValueError(f"Limit must be 1 to 32767, not {self.limit}")

    def quantise(self, weights: FloatArray, importance: FloatArray = ONE) -> Symbols:
        """Return the symbol of the integer nearest to each weight; importance doesn't matter."""
        integers = np.rint(weights / self.spread(weights.ndim))
        chosen = np.clip(integers, -self.limit, self.limit).astype(np.int64)
        return np.where(chosen < 0, -2 * chosen - 1, 2 * chosen)

    def integers(self, symbols: Symbols) -> NDArray[np.int16]:
        """Return the integer of each symbol."""
        return ((symbols >> 1) ^ -(symbols & 1)).astype(np.int16)

    def restore(self, symbols: Symbols) -> NDArray[np.float64]:
        """Return the weights that symbols stand for."""
        return self.integers(symbols) * self.spread(symbols.ndim)

    def spread(self, axes: int) -> NDArray[np.float64]:
        return self.scale.reshape(-1, *(1,) * (axes - 1))
