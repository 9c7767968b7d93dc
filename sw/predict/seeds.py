"""Seeds: blocks of weights on a basis that a shift register generates, as SeedLM has them.

Shafipour et al., "SeedLM: Compressing LLM Weights into Seeds of Pseudo-Random Generators" (2024).
The basis here has the values -3, -1, 1 and 3, so a decoder needs no multiplier.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..compiled import compiled
from ..format.predictors import (EXPONENT_BITS, FRACTION_BITS, Seeds, SeedShape, WeightShape)
from .checkpoints import PAUSE, load_arrays, path_for, save_arrays
from .decoders import basis, scaled_sums
from .fitting import Task, Unsuited


__all__ = ["DAMPING", "GRANULARITY", "SHAPES", "allot", "fit", "shape_for"]


GRANULARITY = "channel"
DAMPING = 0.1

#: Shapes worth having, by falling rate.
SHAPES = (SeedShape(12, 4, 2, 4), SeedShape(16, 6, 3, 4), SeedShape(12, 6, 3, 4),
          SeedShape(16, 8, 4, 4), SeedShape(16, 8, 3, 4), SeedShape(12, 8, 3, 4),
          SeedShape(12, 8, 2, 4),
          SeedShape(16, 12, 3, 4), SeedShape(12, 12, 3, 3), SeedShape(12, 16, 3, 3),
          SeedShape(12, 16, 2, 3))


#: Of so many seeds, at most, one is tried where time is short.
LARGEST_STRIDE = 256

#: How often coefficients are rounded anew.
SWEEPS = 2


def shape_for(bits: float) -> SeedShape:
    """Return the shape of the greatest rate that isn't above ``bits`` per weight.

    Raises
    ------
    ValueError
        If there is none.
    """
    for shape in sorted(SHAPES, key=rate, reverse=True):
        if rate(shape) <= bits + 1e-9:
            return shape
    raise ValueError(f"Seeds must have {min(map(rate, SHAPES)):.2f} bits or more for each weight, "
                     f"not {bits:g}")


def rate(shape: SeedShape) -> float:
    return shape.block_bits / shape.block


def bits_of(shape: SeedShape, weights: WeightShape) -> int:
    """Return the bits of a layer's blocks."""
    return weights[0] * -(-prod(weights[1:]) // shape.block) * shape.block_bits


def allot(shapes: Sequence[WeightShape], bits: float) -> list[float]:
    """Return the bits of a weight of each layer, ``bits`` on average.

    What is left over goes to small layers, where it is worth most: they are a network's first ones.
    """
    sizes = [prod(weights) for weights in shapes]
    base = shape_for(bits)
    rates = [rate(base)] * len(sizes)
    left = bits * sum(sizes) - sum(bits_of(base, weights) for weights in shapes)
    for number in np.argsort(sizes, kind="stable").tolist():
        for better in sorted(SHAPES, key=rate, reverse=True):
            more = bits_of(better, shapes[number]) - bits_of(base, shapes[number])
            if 0 < more <= left:
                rates[number], left = rate(better), left - more
                break
    return rates


def fit(task: Task, bits: float, seconds: float, progress: Callable[[str], None]) -> Seeds:
    """Return, block by block, the best seed of all, with errors made up for by blocks to come.

    The search is exhaustive; where time runs out it goes on with every second seed, or fewer, and
    what was searched whole is kept: called again, it goes on from there.
    """
    shape = shape_for(bits)
    groups, rows, width = task.target.shape
    if width < shape.block:
        raise Unsuited(f"{task.name} has filters of {width} weights, fewer than a block's "
                       f"{shape.block}")
    vectors = basis(shape).astype(np.float64)
    # Compiling isn't searching.
    search(np.zeros((1, shape.block)), np.eye(shape.block), vectors[:1], shape.coefficient_bits)
    state = start(task, shape)
    path = path_for("seeds", (task.target, task.hessian, shape.seed_bits, shape.block, shape.terms,
                              shape.coefficient_bits))
    count = groups * state.chosen.shape[2]
    if (found := load_arrays(path, vars(state))) and 0 < found["done"] <= count:
        state = State(**found)
    end = monotonic() + seconds
    saved, stride = monotonic(), 1
    factor, of = np.empty((0, 0)), -1
    while state.done < count:
        begun = monotonic()
        group = int(state.done) // state.chosen.shape[2]
        if of != group:
            factor, of = np.linalg.cholesky(np.linalg.inv(task.hessian[group])).T, group
        take_block(shape, factor, vectors, state, stride)
        whole = (monotonic() - begun) * stride * (count - int(state.done))
        before = stride
        while whole / stride > end - monotonic() and stride < LARGEST_STRIDE:
            stride *= 2
        if before == 1 and (stride > 1 or monotonic() > saved + PAUSE):
            save_arrays(path, vars(state))
            saved = monotonic()
        progress(f"{state.done} of {count} blocks a filter")
    if stride == 1:
        path.unlink(missing_ok=True)
    flat = state.chosen.reshape(groups * rows, -1, 2 + shape.terms)
    return Seeds(shape, flat[..., 0], flat[..., 1], flat[..., 2:])


@dataclass
class State:
    """A search's state.

    Parameters
    ----------
    chosen : array of int64, shape (groups, rows, blocks, 2 + terms)
        Seed, exponent and coefficients.
    left : array, shape (groups, rows, K)
        The target, changed by the errors that blocks to come make up for.
    done : array of int64, shape ()
        Blocks of a filter, and of the groups before, that were chosen.
    """

    chosen: NDArray[np.int64]
    left: NDArray[np.float64]
    done: NDArray[np.int64]


def start(task: Task, shape: SeedShape) -> State:
    groups, rows, width = task.target.shape
    return State(np.zeros((groups, rows, -(-width // shape.block), 2 + shape.terms), np.int64),
                 task.target.copy(), np.array(0, np.int64))


def take_block(shape: SeedShape, factor: NDArray[np.float64], vectors: NDArray[np.float64],
               state: State, stride: int) -> None:
    """Choose the next block of each filter of a group, of every ``stride``-th seed.

    ``factor`` is the upper triangular one of the group's inverse Hessian.
    """
    group, block = divmod(int(state.done), state.chosen.shape[2])
    left = state.left[group]
    columns = slice(block * shape.block, min((block + 1) * shape.block, left.shape[1]))
    own = factor[columns, columns]
    inverse = np.linalg.inv(own)
    seen = np.ascontiguousarray(vectors[::stride, :, :len(own)])
    seeds, exponents, coefficients = search(
        np.ascontiguousarray(left[:, columns]), inverse @ inverse.T, seen, shape.coefficient_bits)
    seeds = seeds * stride + 1
    state.chosen[group, :, block, 0] = seeds
    state.chosen[group, :, block, 1] = exponents
    state.chosen[group, :, block, 2:] = coefficients
    values = np.einsum("rt,rtb->rb", coefficients,
                       vectors[seeds - 1, :, :len(own)].astype(np.int64))
    error = left[:, columns] - scaled_sums(values, exponents)
    left[:, columns.stop:] -= error @ inverse @ factor[columns, columns.stop:]
    state.done += 1


def search(weights: NDArray[np.float64], metric: NDArray[np.float64], vectors: NDArray[np.float64],
           coefficient_bits: int) -> Any:
    """Return place of the best vectors, exponents and coefficients of a block of each row."""
    return search_rows(weights, metric, vectors, (1 << coefficient_bits - 1) - 1,
                       (1 << EXPONENT_BITS) - 1, 0.5 ** FRACTION_BITS)


@compiled
def search_rows(weights: Any, metric: Any, vectors: Any, most: int, largest: int, unit: float
                ) -> Any:
    rows, block = weights.shape
    terms = vectors.shape[1]
    seeds = np.zeros(rows, np.int64)
    exponents = np.zeros(rows, np.int64)
    coefficients = np.zeros((rows, terms), np.int64)
    weighted = weights @ metric
    least = np.empty(rows)
    for row in range(rows):
        least[row] = np.inf
    energy = np.empty(rows)
    for row in range(rows):
        energy[row] = 0.0
        for place in range(block):
            energy[row] += weighted[row, place] * weights[row, place]
    gram = np.empty((terms, terms))
    likeness = np.empty(terms)
    rounded = np.empty(terms)
    for seed in range(len(vectors)):
        own = vectors[seed]
        turned = own @ metric
        for first in range(terms):
            for second in range(terms):
                total = 0.0
                for place in range(block):
                    total += turned[first, place] * own[second, place]
                gram[first, second] = total
        for term in range(terms):
            gram[term, term] *= 1 + 1e-9
        if np.linalg.det(gram) < 1e-6 * gram[0, 0] ** terms:
            continue
        inverse = np.linalg.inv(gram)
        for row in range(rows):
            for term in range(terms):
                total = 0.0
                for place in range(block):
                    total += own[term, place] * weighted[row, place]
                likeness[term] = total
            gain, greatest = 0.0, 0.0
            for term in range(terms):
                total = 0.0
                for other in range(terms):
                    total += inverse[term, other] * likeness[other]
                rounded[term] = total
                gain += total * likeness[term]
                greatest = max(greatest, abs(total))
            # Even without rounding it wouldn't be better.
            if energy[row] - gain >= least[row]:
                continue
            exponent = 0
            while exponent < largest and greatest > (most + 0.5) * unit * (1 << exponent):
                exponent += 1
            step = unit * (1 << exponent)
            error = energy[row]
            for term in range(terms):
                rounded[term] = min(max(np.rint(rounded[term] / step), -most - 1), most) * step
            # Each coefficient anew, with what the others were rounded to.
            for _ in range(SWEEPS):
                for term in range(terms):
                    total = likeness[term]
                    for other in range(terms):
                        if other != term:
                            total -= gram[term, other] * rounded[other]
                    place = np.rint(total / (gram[term, term] * step))
                    rounded[term] = min(max(place, -most - 1), most) * step
            for term in range(terms):
                total = -2 * likeness[term]
                for other in range(terms):
                    total += gram[term, other] * rounded[other]
                error += rounded[term] * total
            if error < least[row]:
                least[row] = error
                seeds[row] = seed
                exponents[row] = exponent
                for term in range(terms):
                    coefficients[row, term] = int(np.rint(rounded[term] / step))
    return seeds, exponents, coefficients
