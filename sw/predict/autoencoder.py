"""Autoencoders: blocks of weights as whole latent values, which a linear decoder turns back.

The decoder of least error is known without training: the principal directions of a layer's blocks
(Baldi and Hornik 1989). As many latent values as weights are kept, and their rounding decides the
rate; the codec takes what directions of little variance leave over.
"""

from collections.abc import Callable, Sequence
from time import monotonic

import numpy as np
from numpy.typing import NDArray

from ..format.predictors import Autoencoder, WeightShape
from ..metrics import entropy
from ..quantize.grid import zigzag_symbols
from .checkpoints import load_arrays, path_for, save_arrays
from .decoders import run_perceptron
from .fitting import Task, Unsuited
from .learned import whole


__all__ = ["BLOCK", "DAMPING", "GRANULARITY", "allot", "fit"]


Array = NDArray[np.float64]

#: Weights, and latent values, of a block.
BLOCK = 8

GRANULARITY = "tensor"
DAMPING = 0.1

#: Halvings of the range of steps in which the rate is met, and the greatest and the least step.
TRIALS = 7
STEPS = 0.5, 128.0

#: Bits of a decoder: shape, shift, biases and matrix.
DECODER_BITS = 4 + 1 + 8 + 12 + 16 * BLOCK + 8 * BLOCK ** 2


def allot(shapes: Sequence[WeightShape], bits: float) -> list[float]:
    """Return the bits of a weight of each layer: the same in all.

    Raises
    ------
    ValueError
        If they are no rate.
    """
    if not 0.1 <= bits <= 8:
        raise ValueError(f"Latent values must have 0.1 to 8 bits for each weight, not {bits:g}")
    return [bits] * len(shapes)


def fit(task: Task, bits: float, seconds: float, progress: Callable[[str], None]) -> Autoencoder:
    """Return latent values of about ``bits``, each block making up for the errors before.

    Where time runs out, the best step so far is taken, and the search is kept: called again, it
    goes on from there.
    """
    groups, rows, width = task.target.shape
    size = groups * rows * width
    if width < BLOCK or bits * size < 2 * DECODER_BITS:
        raise Unsuited(f"{task.name} has {size} weights, {width} a filter, too few for a decoder "
                       f"of {DECODER_BITS} bits")
    directions = principal(task.target)
    # Trials done, logarithms of the steps between which the best one is, and the best so far.
    state = np.array([0, *np.log(STEPS), np.nan])
    path = path_for("autoencoder", (task.target, task.hessian, bits, TRIALS))
    if kept := load_arrays(path, {"state": state}):
        state = kept["state"].astype(np.float64)
    found = None if np.isnan(state[3]) else encode(task, directions, float(np.exp(state[3])))
    end = monotonic() + seconds
    while state[0] < TRIALS and (monotonic() < end or state[0] == 0):
        middle = state[1:3].mean()
        tried = encode(task, directions, float(np.exp(middle)))
        taken = entropy([zigzag_symbols(tried.latents)]) * tried.latents.size + DECODER_BITS
        if taken <= bits * size:
            found, state[2:] = tried, middle
        else:
            state[1] = middle
        state[0] += 1
        save_arrays(path, {"state": state})
        progress(f"rate {state[0]:.0f} of {TRIALS}")
    if found is None and state[0] < TRIALS:
        raise Unsuited(f"{task.name} found no step of {bits:g} bits in {seconds:.0f} s")
    if state[0] == TRIALS:
        path.unlink(missing_ok=True)
    if found is None:
        raise Unsuited(f"{task.name} has no latent values of {bits:g} bits")
    return found


def principal(target: Array) -> Array:
    """Return the principal directions of all whole blocks, as columns, the greatest first."""
    whole_blocks = target.shape[2] // BLOCK * BLOCK
    blocks = target[..., :whole_blocks].reshape(-1, BLOCK)
    _, vectors = np.linalg.eigh(blocks.T @ blocks)
    found: Array = vectors[:, ::-1]
    return found


def encode(task: Task, directions: Array, step: float) -> Autoencoder:
    """Return the latent values of a step, block by block, and the decoder that goes with them."""
    decoder = whole([directions * step], [np.zeros(BLOCK)], None)
    scaled = decoder.matrices[0] / 2.0 ** decoder.shifts[0]
    groups, rows, width = task.target.shape
    blocks = -(-width // BLOCK)
    latents = np.zeros((groups, rows, blocks, BLOCK), np.int8)
    for group in range(groups):
        left = task.target[group].copy()
        factor = np.linalg.cholesky(np.linalg.inv(task.hessian[group])).T
        for block in range(blocks):
            columns = slice(block * BLOCK, min((block + 1) * BLOCK, width))
            own = factor[columns, columns]
            inverse = np.linalg.inv(own)
            # Errors count as the metric says that later blocks can't make up for.
            seen = inverse.T @ scaled[:len(own)]
            exact = np.linalg.lstsq(seen, inverse.T @ left[:, columns].T)[0].T
            chosen = np.clip(np.rint(exact), -128, 127).astype(np.int8)
            latents[group, :, block] = chosen
            shown = run_perceptron(decoder, chosen)[:, :len(own)]
            left[:, columns.stop:] -= ((left[:, columns] - shown) @ inverse
                                       @ factor[columns, columns.stop:])
    return Autoencoder(decoder, latents.reshape(groups * rows, -1))
