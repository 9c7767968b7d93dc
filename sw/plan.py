"""The lowest rate that a network bears: compressed at several rates, each one judged."""

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from rich.progress import Progress

from .compression import Compression, compress
from .format.target import Target


__all__ = ["RATES", "bits_for_bytes", "search"]


#: Rates that a search tries, as ``bits`` of `compress`.
RATES = {
    "uniform": (8, 6, 5, 4, 3, 2, 1),
    "codebook": (6, 5, 4, 3, 2, 1),
    "step": (6, 5, 4, 3.5, 3, 2.75, 2.5, 2.25, 2, 1.75, 1.5),
    "compensated": (5, 4, 3.5, 3, 2.8, 2.6, 2.4, 2.2, 2, 1.8, 1.6),
}


#: Bytes of the codebook of an automaton's alphabet.
CODEBOOK_BYTES = 32


def search(model: str | Path, *, max_drop: float, quantiser: str, target: Target | None,
           codec: str | None = None, data: Path | None = None, calibration: Path | None = None,
           workers: int | None = None, progress: bool = False) -> tuple[Compression, ...]:
    """Compress a network at each of its quantiser's rates, in parallel.

    Parameters
    ----------
    max_drop : float
        How much accuracy may be lost, in percentage points of the inputs that judge. They choose
        the rate, too: on others the loss may be a little greater.
    workers : int, optional
        Processes; by default as many as the machine has processors.
    progress : bool
        Whether to draw a bar on the terminal.

    Returns
    -------
    tuple of Compression
        Those that were reached, the chosen one last: the smallest of those that keep to
        ``max_drop``. The others are in order of falling rates.

    Raises
    ------
    ValueError
        As `compress`, if there are no labelled inputs, or if none keeps to ``max_drop``.
    """
    if max_drop < 0:
        raise ValueError(f"Drop must not be negative, not {max_drop:g}")
    attempt = partial(try_rate, model, quantiser=quantiser, codec=codec, target=target, data=data,
                      calibration=calibration)
    rates = RATES[quantiser]
    with ProcessPoolExecutor(workers or os.cpu_count(), get_context("spawn")) as pool:
        results = list(watched(pool.map(attempt, rates), len(rates), progress))
    found = [result for result in results if isinstance(result, Compression)]
    if not found:
        raise ValueError(results[-1])
    if found[0].accuracy_float is None:
        raise ValueError(f"{model}: a drop must be judged by labelled inputs: give --data FILE.npz")
    good = [one for one in found if drop(one) <= max_drop + 1e-9]
    if not good:
        least = min(map(drop, found))
        raise ValueError(f"Drop must be {least:.2f} points or more with {quantiser}, "
                         f"not {max_drop:g}")
    chosen = min(good, key=lambda one: one.size.bytes_image)
    return (*(one for one in found if one is not chosen), chosen)


def try_rate(model: str | Path, bits: float, **options: Any) -> Compression | str:
    """Return the network at a rate, or why it can't have it."""
    try:
        return compress(model, bits=bits, **options)
    except ValueError as error:
        return str(error)


def watched(results: Iterator[Any], total: int, progress: bool) -> Iterator[Any]:
    with Progress(transient=True, disable=not progress) as bar:
        task = bar.add_task("compressing", total=total)
        for result in results:
            bar.advance(task)
            yield result


def drop(compression: Compression) -> float:
    """Return the accuracy that was lost, in percentage points."""
    before, after = compression.accuracy_float, compression.accuracy_int
    assert before is not None
    assert after is not None
    return 100 * (before - after)


def bits_for_bytes(model: str | Path, *, most: int, quantiser: str, **options: Any) -> float:
    """Return the bits with which an image has at most ``most`` bytes.

    Raises
    ------
    ValueError
        If the quantiser has no rate of its own, or the network alone takes as much.
    """
    if quantiser not in ("step", "compensated"):
        raise ValueError(f"Only step and compensated keep to a number of bytes, not {quantiser}")
    size = compress(model, quantiser="step", **options).size
    # Rates don't count codebooks, nor the padding of the last words.
    bits = 8 * (most - size.bytes_network - CODEBOOK_BYTES - 8) / size.weights
    if bits <= 0:
        raise ValueError(f"Image must have more than the {size.bytes_network} bytes that the "
                         f"network takes beside its weights, not {most}")
    return bits
