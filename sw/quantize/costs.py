"""What integers cost in an ideal code."""

import numpy as np
from numpy.typing import NDArray


__all__ = ["code_costs"]


#: Share of a geometric distribution that is mixed with frequencies: what didn't occur yet may.
SMOOTHING = 0.02


def code_costs(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the bits of integers -limit to limit under smoothed frequencies, alike for both signs.

    Parameters
    ----------
    counts : array, shape (2 * limit + 1,)
        How often -limit to limit occur.
    """
    magnitudes = np.abs(np.arange(len(counts)) - len(counts) // 2)
    total = max(int(counts.sum()), 1)
    mean = max(float(counts @ magnitudes) / total, 0.1)
    likely = (mean / (1 + mean)) ** magnitudes
    shares = (counts + counts[::-1]) / (2 * total) + SMOOTHING * likely / likely.sum()
    bits: NDArray[np.float64] = -np.log2(shares / shares.sum())
    return bits
