"""Hypernetworks: a small network makes each kernel of what it knows of two channels.

Ha, Dai and Le, "HyperNetworks" (2016), here one for each layer, distilled from the trained weights
so that the layer's outputs on calibration inputs change least.
"""

# These let it be checked without torch, which only the fit needs.

from collections.abc import Callable, Sequence
from math import cos, pi
from pathlib import Path
from time import monotonic

import numpy as np
import torch

from ..format.predictors import MAX_MACS, Hypernetwork, WeightShape
from .checkpoints import PAUSE, Arrays, load_arrays, path_for, save_arrays
from .decoders import predict
from .fitting import Task, Unsuited
from .learned import whole


__all__ = ["DAMPING", "GRANULARITY", "allot", "fit"]


GRANULARITY = "channel"
DAMPING = 0.03

SEED = 2016

#: Steps of the fit, what they begin with, and how often progress is told.
EPOCHS, RATE, NEWS = 1500, 0.02, 100

#: Hidden values, of kernels with several weights and with one.
HIDDEN = 32, 16

#: What Adam keeps of each part.
MOMENTS = ("exp_avg", "exp_avg_sq")

#: Bits of an embedded value, about.
VALUE_BITS = 7.5

#: A hypernetwork that loses a greater share of the outputs' energy is worse than none.
MOST_LOST = 0.3


def allot(shapes: Sequence[WeightShape], bits: float) -> list[float]:
    """Return the bits of a weight of each layer: the same in all.

    Raises
    ------
    ValueError
        If they are no rate.
    """
    if not 0.05 <= bits <= 8:
        raise ValueError(f"Hypernetworks must have 0.05 to 8 bits for each weight, not {bits:g}")
    return [bits] * len(shapes)


def size_of(shape: WeightShape, bits: float) -> tuple[int, int]:
    """Return how many values a channel has, and how many are hidden."""
    outputs, height, width, inputs = shape
    kernel = height * width
    hidden = HIDDEN[kernel == 1]
    left = bits * outputs * kernel * inputs - 24 * hidden - (8 * hidden + 16) * kernel
    values = int(left / (VALUE_BITS * (outputs + inputs) + 16 * hidden))
    return min(values, (MAX_MACS * kernel // hidden - kernel) // 2, 127), hidden


def fit(task: Task, bits: float, seconds: float, progress: Callable[[str], None]) -> Hypernetwork:
    """Return the hypernetwork of a seeded fit.

    Where time runs out, it is taken as it is then, and the fit is kept: called again, it goes on
    from there.
    """
    if len(task.target) > 1:
        raise Unsuited(f"{task.name} has filters with inputs of their own")
    values, hidden = size_of(task.shape, bits)
    if values < 1:
        raise Unsuited(f"{task.name} has too few weights for a hypernetwork of {bits:g} bits each")
    found = train(task, values, hidden, monotonic() + seconds, progress)
    lost = task.cost(predict(found, task.shape))
    if not lost <= MOST_LOST:
        raise Unsuited(f"{task.name} would lose {lost:.0%} of its outputs' energy with a "
                       f"hypernetwork")
    return found


def train(task: Task, values: int, hidden: int, end: float, progress: Callable[[str], None]
          ) -> Hypernetwork:
    outputs, height, width, inputs = task.shape
    kernel = height * width
    torch.set_num_threads(1)
    chance = torch.Generator().manual_seed(SEED)

    def drawn(*shape: int, spread: float) -> torch.Tensor:
        return (torch.randn(*shape, generator=chance) * spread).requires_grad_()

    own, met = drawn(outputs, values, spread=1.0), drawn(inputs, values, spread=1.0)
    first, shift = drawn(hidden, 2 * values, spread=values ** -0.5), drawn(hidden, spread=0.1)
    second, offset = drawn(kernel, hidden, spread=10 * hidden ** -0.5), drawn(kernel, spread=0.1)
    parts = [own, met, first, shift, second, offset]
    target = torch.from_numpy(task.target[0]).float()
    hessian = torch.from_numpy(task.hessian[0]).float()
    scale = torch.from_numpy(task.scale[0]).float()[:, None]
    scale = scale / scale.mean()
    energy = (((target * scale) @ hessian) * (target * scale)).sum()

    def middle() -> torch.Tensor:
        return torch.relu((own @ first[:, :values].T)[:, None] + (met @ first[:, values:].T)[None]
                          + shift)

    optimiser = torch.optim.Adam(parts, lr=RATE)
    path = path_for("hypernet", (task.target, task.hessian, task.scale, values, hidden, EPOCHS))
    done = resume(path, parts, optimiser)
    saved = monotonic()
    for epoch in range(done, EPOCHS):
        # A cosine (Loshchilov and Hutter 2016).
        optimiser.param_groups[0]["lr"] = RATE / 2 * (1 + cos(pi * epoch / EPOCHS))
        shown = (middle() @ second.T + offset).transpose(1, 2).reshape(outputs, -1)
        error = (shown - target) * scale
        loss = ((error @ hessian) * error).sum() / energy
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        done = epoch + 1
        if epoch % NEWS == NEWS - 1:
            progress(f"step {done} of {EPOCHS}, {loss.item():.1%} lost")
        out_of_time = monotonic() > end
        if out_of_time or monotonic() > saved + PAUSE:
            save_arrays(path, state_of(parts, optimiser) | {"done": np.array(done)})
            saved = monotonic()
        if out_of_time:
            break
    if done == EPOCHS:
        path.unlink(missing_ok=True)
    floats = [part.detach().double().numpy() for part in parts]
    return in_whole_numbers(floats, middle().detach().double().numpy().reshape(-1, hidden))


def state_of(parts: Sequence[torch.Tensor], optimiser: torch.optim.Optimizer) -> Arrays:
    """Return all that a step changes: the parts, and what Adam keeps of each."""
    found: Arrays = {}
    for number, part in enumerate(parts):
        kept = optimiser.state[part]
        found[f"part{number}"] = part.detach().numpy()
        for name in MOMENTS:
            moment = kept.get(name, torch.zeros_like(part))
            found[f"{name}{number}"] = moment.detach().numpy()
    return found


def resume(path: Path, parts: Sequence[torch.Tensor], optimiser: torch.optim.Optimizer) -> int:
    """Let parts and optimiser be as a fit that was broken off left them; return its steps."""
    found = load_arrays(path, state_of(parts, optimiser) | {"done": np.array(0)})
    if found is None or not 0 < (done := int(found["done"].item())) <= EPOCHS:
        return 0
    with torch.no_grad():
        for number, part in enumerate(parts):
            part.copy_(torch.from_numpy(found[f"part{number}"]))
            optimiser.state[part] = {"step": torch.tensor(float(done))} | {
                name: torch.from_numpy(found[f"{name}{number}"]) for name in MOMENTS}
    return done


def in_whole_numbers(parts: Sequence[np.ndarray], middle: np.ndarray) -> Hypernetwork:
    own, met, first, shift, second, offset = parts
    embedded = np.vstack([own, met])
    unit = np.maximum(np.abs(embedded).max(axis=0), 1e-9) / 127
    matrix = first * np.tile(unit, 2)
    decoder = whole([matrix, second], [shift, offset], middle)
    return Hypernetwork(decoder, np.rint(embedded / unit).astype(np.int8))
