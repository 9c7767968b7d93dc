"""Estimates of the information in integers: what a code can reach, with and without a context."""

from dataclasses import dataclass
from math import log

import numpy as np
from numpy.typing import NDArray


__all__ = ["CONTEXTS", "SHUFFLES", "Dependence", "corrected_entropy", "dependence",
           "plain_entropy", "run_entropy"]


Integers = NDArray[np.integer]

#: Cells that the values of a context are sorted into, about equally full.
CONTEXTS = 8

#: Shuffled contexts that say what the estimator makes of no dependence at all.
SHUFFLES = 5


@dataclass(frozen=True)
class Dependence:
    """What a context tells about integers, in bits for each.

    Parameters
    ----------
    entropy : float
        Conditional entropy: order 0 less the gain.
    gain : float
        What the context saves; about 0, of either sign, if it tells nothing.
    noise : float
        Twice the standard deviation of the gain of shuffled contexts: a gain below it is none.
    """

    entropy: float
    gain: float
    noise: float


def plain_entropy(counts: Integers) -> float:
    """Return the order-0 entropy, in bits, of symbols that occur ``counts`` times."""
    used = counts[counts > 0]
    if not used.size:
        return 0.0
    shares = used / used.sum()
    return float(-(shares * np.log2(shares)).sum()) + 0.0


def corrected_entropy(counts: Integers) -> float:
    """Return the entropy with the bias of few samples corrected (Miller 1955).

    It adds (symbols that occur - 1) / (2 samples) nats, and at most as much as makes it that of
    equally frequent symbols.
    """
    used = int(np.count_nonzero(counts))
    if not used:
        return 0.0
    bias = (used - 1) / (2 * float(counts.sum()) * log(2))
    return min(plain_entropy(counts) + bias, float(np.log2(used)))


def dependence(values: Integers, contexts: Integers, seed: int = 0) -> Dependence:
    """Return what ``contexts``, an integer for each of ``values``, tells about them.

    Contexts are sorted into ``CONTEXTS`` cells, so that each has samples enough; entropies within
    cells are corrected for their number. What bias is left also shows when the contexts are
    shuffled, and is subtracted: the gain is the entropy with shuffled contexts less that with the
    true ones.

    Parameters
    ----------
    values, contexts : array of integers, shape (n,)
    seed : int
        Of the shuffles.
    """
    counts = count(values)
    order0 = plain_entropy(counts)
    edges = np.unique(np.quantile(contexts, np.arange(1, CONTEXTS) / CONTEXTS)) \
        if contexts.size else np.zeros(0)
    cells = np.searchsorted(edges, contexts, side="left")
    symbols = values.astype(np.int64) - (int(values.min()) if values.size else 0)

    def given(chosen: NDArray[np.intp]) -> float:
        joint = np.bincount(chosen * len(counts) + symbols,
                            minlength=(len(edges) + 1) * len(counts)).reshape(-1, len(counts))
        shares = joint.sum(axis=1) / max(1, values.size)
        return sum(float(share) * corrected_entropy(row)
                   for share, row in zip(shares, joint, strict=True))

    rng = np.random.default_rng(seed)
    shuffled = np.array([given(rng.permutation(cells)) for _ in range(SHUFFLES)])
    gain = float(shuffled.mean()) - given(cells)
    return Dependence(max(0.0, order0 - gain), gain, 2 * float(shuffled.std(ddof=1)))


def run_entropy(values: Integers) -> float:
    """Return the bits that each of ``values`` takes if its zeros are coded as runs.

    The zeros before each other value are one number, coded by its magnitude's entropy and as many
    raw bits as the magnitude has beyond the first (Elias 1975); other values by their entropy.
    Zeros that lie about by chance take no less than their order-0 entropy.
    """
    if not values.size:
        return 0.0
    others, = np.nonzero(values)
    gaps = np.diff(others, prepend=-1, append=values.size) - 1
    magnitudes = np.frexp(gaps + 1)[1].astype(np.int64) - 1
    bits = (plain_entropy(np.bincount(magnitudes)) * gaps.size + float(magnitudes.sum())
            + plain_entropy(count(values[others])) * others.size)
    return bits / values.size


def count(values: Integers) -> NDArray[np.intp]:
    """Return how often each integer from the least to the greatest occurs."""
    if not values.size:
        return np.zeros(0, np.intp)
    return np.bincount(values.ravel().astype(np.int64) - int(values.min()))
