"""The fewest bits that a network bears: compressed in several ways, each one judged."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import Progress

from .compression import Compression, compress, load_all, weights_of
from .explore import WeightScore
from .format.target import Target
from .plan import LAYERWISE, Plan
from .quantize import CodebookQuantiser, FloatArray, Quantiser, UniformQuantiser, prune
from .quantize.exploration import CANDIDATES, explore


__all__ = ["RATES", "compress_within", "search"]


#: Rates that a search tries, as ``bits`` of a plan.
RATES = {
    "uniform": (8, 6, 5, 4, 3, 2, 1),
    "codebook": (6, 5, 4, 3, 2, 1),
    "step": (6, 5, 4, 3.5, 3, 2.75, 2.5, 2.25, 2, 1.75, 1.5),
    "compensated": (5, 4, 3.5, 3, 2.8, 2.6, 2.4, 2.2, 2, 1.8, 1.6),
}

#: Bits that layers by themselves are tried with.
LAYER_RATES = {"uniform": (8, 6, 5, 4, 3, 2), "codebook": CANDIDATES}

#: Inputs that sets of weights are scored with, evenly spread over those that judge, and how often
#: less loss is asked for because the network in integers lost more.
INPUTS = 1000
ATTEMPTS = 4

#: Bytes of the codebook of an automaton's alphabet.
CODEBOOK_BYTES = 32

#: How many rates are tried to keep to a number of bytes.
ROUNDS = 4

#: What tells libraries of linear algebra to leave other processes their processors.
THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


def search(model: str | Path, plan: Plan, *, max_drop: float, target: Target | None,
           data: Path | None = None, calibration: Path | None = None,
           workers: int | None = None, progress: bool = False) -> tuple[Compression, ...]:
    """Compress a network as a plan says, but with as few bits as its accuracy allows.

    Each of the quantiser's rates is tried in all layers alike, in parallel. If the quantiser takes
    bits layer by layer, uniform or codebook, `sw.quantize.exploration.explore` chooses them, too;
    the others spread a rate over the layers by themselves.

    Parameters
    ----------
    plan : Plan
        All but its bits and error.
    max_drop : float
        How much accuracy may be lost, in percentage points of the inputs that judge. They choose
        the bits, too: on others the loss may be a little greater.
    target, data, calibration
        As in `compress`.
    workers : int, optional
        Processes; by default as many as the machine has processors.
    progress : bool
        Whether to draw a bar on the terminal.

    Returns
    -------
    tuple of Compression
        Those that were reached, the chosen one last: the smallest of those that keep to
        ``max_drop``. The others come as they were tried.

    Raises
    ------
    ValueError
        As `compress`, if there are no labelled inputs, or if none keeps to ``max_drop``.
    """
    if not max_drop >= 0:
        raise ValueError(f"Drop must not be negative, not {max_drop:g}")
    attempt = partial(try_plan, model, target=target, data=data, calibration=calibration)
    plans = [replace(plan, bits=rate, error=None) for rate in RATES[plan.quantiser]]
    workers = workers or os.cpu_count() or 1
    with Progress(transient=True, disable=not progress) as bar, single_threaded():
        with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
            task = bar.add_task("compressing", total=len(plans))
            results = []
            for result in pool.map(attempt, plans):
                results.append(result)
                bar.advance(task)
        found = [result for result in results if isinstance(result, Compression)]
        if not found:
            raise ValueError(results[-1])
        if found[0].accuracy_float is None:
            raise ValueError(f"{model}: a drop must be judged by labelled inputs: give "
                             f"--data FILE.npz")
        if plan.quantiser in LAYERWISE:
            task = bar.add_task("exploring layers", total=None)
            found.extend(by_layers(model, plans[0], max_drop, workers, lambda: bar.advance(task),
                                   target=target, data=data, calibration=calibration))
    good = [one for one in found if drop(one) <= max_drop + 1e-9]
    if not good:
        least = min(map(drop, found))
        raise ValueError(f"Drop must be {least:.2f} points or more with {plan.quantiser}, "
                         f"not {max_drop:g}")
    chosen = min(good, key=lambda one: one.size.bytes_image)
    return (*(one for one in found if one is not chosen), chosen)


def try_plan(model: str | Path, plan: Plan, **options: Any) -> Compression | str:
    """Return the network as a plan says, or why it can't be."""
    try:
        return compress(model, plan, **options)
    except ValueError as error:
        return str(error)


def by_layers(model: str | Path, plan: Plan, max_drop: float, workers: int,
              advance: Callable[[], None], *, target: Target | None, data: Path | None,
              calibration: Path | None) -> Iterator[Compression]:
    """Yield the network with bits of each layer's own, less lossy ones until the drop is kept.

    Weights are scored in floats; what is made of them is judged in integers.
    """
    _, trained, samples = load_all(model, plan.quantiser, data, calibration)
    layers = weights_of(trained)
    if plan.quantiser == "codebook" and target and len(layers) > target.codebooks:
        return
    chosen = np.unique(np.linspace(0, len(samples.y) - 1, INPUTS).round().astype(int))
    score = WeightScore(trained, samples.x[chosen], samples.y[chosen])
    quantiser: Quantiser = (
        UniformQuantiser(plan.granularity or "channel") if plan.quantiser == "uniform" else
        CodebookQuantiser(1, granularity=plan.granularity or "tensor", zero=plan.prune > 0))
    kept = prune(layers, None, plan.prune) if plan.prune else layers
    allowed = max_drop / 100
    with ProcessPoolExecutor(workers, get_context("spawn"), set_score, (score,)) as pool:
        each = Memory(pool, advance)
        for _ in range(ATTEMPTS):
            try:
                found = explore(kept, score, drop=max(0.0, allowed), quantiser=quantiser,
                                candidates=LAYER_RATES[plan.quantiser], each=each)
            except ValueError:
                return
            made = try_plan(model, replace(plan, bits=found.bits), target=target, data=data,
                            calibration=calibration)
            if isinstance(made, str):
                return
            yield made
            excess = drop(made) - max_drop
            if excess <= 1e-9 or not allowed:
                return
            allowed = max(0.0, found.baseline - found.score - excess / 100)


@dataclass
class Memory:
    """Maps a score over sets of weights in processes, each set once."""

    pool: Executor
    advance: Callable[[], None]
    known: dict[bytes, float] = field(default_factory=dict)

    def __call__(self, _: Callable[[Any], Any], things: Iterable[Sequence[FloatArray]], /
                 ) -> list[float]:
        keyed = [(digest(weights), weights) for weights in things]
        new = {key: weights for key, weights in keyed if key not in self.known}
        for key, score in zip(new, self.pool.map(scored, new.values()), strict=True):
            self.known[key] = score
            self.advance()
        return [self.known[key] for key, _ in keyed]


def digest(weights: Sequence[FloatArray]) -> bytes:
    return hashlib.sha256(b"".join(np.ascontiguousarray(layer).tobytes()
                                   for layer in weights)).digest()


#: In a process of a pool: what it scores with.
SCORE: list[WeightScore] = []


def set_score(score: WeightScore) -> None:
    SCORE[:] = [score]


def scored(weights: Sequence[FloatArray]) -> float:
    return SCORE[0](weights)


@contextmanager
def single_threaded() -> Iterator[None]:
    """Let processes that begin in the meantime use one thread each."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def drop(compression: Compression) -> float:
    """Return the accuracy that was lost, in percentage points."""
    before, after = compression.accuracy_float, compression.accuracy_int
    assert before is not None
    assert after is not None
    return 100 * (before - after)


def compress_within(model: str | Path, plan: Plan, *, most: int, **options: Any) -> Compression:
    """Compress a network into an image of at most ``most`` bytes.

    Parameters
    ----------
    options
        Those of `compress`.

    Raises
    ------
    ValueError
        If the quantiser has no rate of its own, the network alone takes as much, or the image is
        still larger after `ROUNDS` rates.
    """
    if plan.quantiser in LAYERWISE:
        raise ValueError(f"Only step and compensated keep to a number of bytes, "
                         f"not {plan.quantiser}")
    size = compress(model, quantiser="step", codec=plan.codec, **options).size
    # Rates don't count codebooks, nor the padding of the last words.
    bits = 8 * (most - size.bytes_network - CODEBOOK_BYTES - 8) / size.weights
    for _ in range(ROUNDS):
        if bits <= 0:
            raise ValueError(f"Image must have more than the {size.bytes_network} bytes that the "
                             f"network takes beside its weights, not {most}")
        compression = compress(model, replace(plan, bits=bits), **options)
        excess = compression.size.bytes_image - most
        if excess <= 0:
            return compression
        # The decoder that is best for a target may need more than the code that set the rate.
        bits -= 8 * (excess + 8) / size.weights
    raise ValueError(f"Image must have {most + excess} bytes or more, not {most}")
