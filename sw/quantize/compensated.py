"""Rounding by its effect: errors are compensated by weights still to come, and bits are counted."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..compiled import compiled
from ..format.layers import Operation
from ..network import Activation, FloatLayer, FloatNetwork
from ..windows import taps
from .costs import code_costs
from .grid import FloatArray, Grid, Symbols, zigzag


__all__ = ["Compensated", "compensate", "sensitivities", "vary"]


#: Pixels of calibration inputs that a layer's statistics are made of.
MOST_ROWS = 40_000

#: Inputs that a calibration should have, the most that it takes, and those that sensitivities are
#: found with.
LEAST_INPUTS = 100
MOST_INPUTS = 2000
PROBES = 40

#: Share of the mean curvature that is added to each weight's, for what calibration didn't see: with
#: many inputs, and with few, varied ones.
DAMPING, FEW_DAMPING = 0.01, 0.1

#: Bias of a filter that its step keeps to, whatever is fitted to it later, and how many times
#: greater than any other step a layer's greatest one may be.
MOST_BIAS = 1 << 29
STEP_RANGE = 1 << 16

#: What a bit costs, over the curvature times the squared step.
PRESSURE = 0.08

#: By how much sensitivities follow the network's outputs, not the layer's own, and the least harm
#: that a relative error of a layer is believed to do.
OUTPUTS = 0.75
LEAST_HARM = 1e-3

#: Random directions in which weights are changed to see what that does to the network's outputs.
DIRECTIONS = 4

#: Ways to round a row that are followed side by side, in each of the rounds in which a layer's code
#: and rounding settle, and sweeps in which integers change alone.
PATHS = (1, 32)
SWEEPS = 3

#: Networks that are rounded to find a rate, how near to it is enough, in bits a weight, and the
#: binary logarithm of the pressure that is tried first.
TRIALS = 9
CLOSE = 0.01
START = -20.0

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Compensated:
    """A network's weights, rounded.

    Parameters
    ----------
    grids, symbols : tuple
        Of each layer with weights, in order. A grid has a scale for each filter.
    network : FloatNetwork
        The network with biases that make up for the mean errors.
    """

    grids: tuple[Grid, ...]
    symbols: tuple[Symbols, ...]
    network: FloatNetwork


def compensate(network: FloatNetwork, x: ArrayLike, *, bits: float,
               rate: Callable[[Sequence[Symbols]], float], limit: int = 63,
               seed: int = 0) -> Compensated:
    """Round the weights of ``network`` to ``bits`` bits each, at the least harm to its outputs.

    Layer by layer, as in GPTQ (Frantar et al. 2022), each weight's rounding error is made up for by
    the weights still to come, through the Hessian of the layer's inputs. These are the inputs that
    the layer has behind layers already rounded; what it should give is what it gave before any
    rounding (as in GPTAQ, Li et al. 2025). Integers are chosen by their error and by their bits in
    the code of the layer's own integers; several ways to round a filter are followed side by side,
    the weights first that others make up for the least. Then integers change one by one while that
    helps, and filters' scales and biases, which cost nothing, are fitted again. Errors of different
    layers are weighed by what they do to the network's outputs; no labels are needed.

    Parameters
    ----------
    x : array
        Inputs as the user gives them. Fewer than a hundred are joined by variants of themselves; of
        more than two thousand, so many are chosen.
    bits : float
        What a weight may take.
    rate : callable
        Returns the bits that the symbols of all layers take, tables included.
    limit : int
        The greatest integer: there are ``2 * limit + 1`` symbols at most.
    seed : int
        The same seed and inputs give the same weights.

    Raises
    ------
    ValueError
        If no weights take so few bits.
    """
    inputs = np.reshape(np.asarray(x, np.float64), (-1, *network.input_shape))
    few = len(inputs) < LEAST_INPUTS
    if len(inputs) > MOST_INPUTS:
        inputs = inputs[sample(len(inputs), MOST_INPUTS, np.random.default_rng(seed))]
    if few:
        inputs = np.concatenate([inputs, vary(inputs, LEAST_INPUTS - len(inputs), seed)])
    spread = sample(len(inputs), PROBES, np.random.default_rng(seed))
    sensitivity = sensitivities(network, inputs[spread], seed=seed)
    count = sum(layer.weights.size for layer in network.weighted if layer.weights is not None)

    best: Compensated | None = None
    tried: list[tuple[float, float]] = []
    while len(tried) < TRIALS:
        pressure = next_pressure(tried, bits - CLOSE / 2)
        trial = round_network(network, inputs, 2.0 ** pressure, sensitivity, limit,
                              FEW_DAMPING if few else DAMPING, seed)
        taken = rate(trial.symbols) / count
        if taken <= bits and all(not taken < other <= bits for _, other in tried):
            best = trial
        tried.append((pressure, taken))
        if bits - CLOSE < taken <= bits:
            break
    if best is None:
        fewest = min(taken for _, taken in tried)
        raise ValueError(f"Weights must have {fewest:.2f} bits or more, with their code tables, "
                         f"not {bits:g}")
    return best


def next_pressure(tried: Sequence[tuple[float, float]], bits: float) -> float:
    """Return the pressure to try next, after pairs of a pressure and the bits that it led to."""
    if not tried:
        return START
    low = max((pair for pair in tried if pair[1] > bits), default=None)
    high = min((pair for pair in tried if pair[1] <= bits), default=None)
    if low and high:
        share = (low[1] - bits) / (low[1] - high[1])
        return low[0] + min(max(share, 0.1), 0.9) * (high[0] - low[0])
    # Twice the pressure saves half a bit, or less where there are few.
    slope = 2.0
    if len(tried) > 1:
        (before, more), (after, fewer) = sorted(tried[-2:])
        slope = min(max((after - before) / max(more - fewer, 0.01), 2), 5)
    pressure, taken = tried[-1]
    change = 1.2 * slope * (taken - bits)
    return pressure + (max(change, 0.1) if low else min(change, -0.1))


def sample(count: int, most: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return ``most`` numbers below ``count`` in rising order, or all there are."""
    return np.sort(rng.choice(count, min(count, most), replace=False))


def vary(x: NDArray[np.float64], count: int, seed: int) -> NDArray[np.float64]:
    """Return ``count`` variants of inputs: moved, scaled, mixed, with noise.

    Parameters
    ----------
    x : array, shape (n, H, W, C)
        One or more.
    """
    rng = np.random.default_rng(seed)
    variants = []
    for _ in range(count):
        one, two = x[rng.integers(len(x))], x[rng.integers(len(x))]
        reach = x.shape[1] // 10
        moved = np.roll(one, rng.integers(-reach, reach + 1), axis=0)
        share = rng.uniform(0, 0.3) * rng.integers(2)
        mixed = ((1 - share) * moved + share * two) * rng.uniform(0.85, 1.15)
        noise = rng.normal(0, 0.03 * (float(one.std()) or 1.0), mixed.shape)
        variants.append(mixed + noise)
    return np.array(variants).reshape(-1, *x.shape[1:])


def round_network(network: FloatNetwork, x: ArrayLike, pressure: float,
                  sensitivity: Sequence[float], limit: int, damping: float, seed: int
                  ) -> Compensated:
    """Return the weights that are best where a bit costs ``pressure`` in the outputs' error."""
    rng = np.random.default_rng(seed)
    # What layers give before any rounding, and now, for as long as others need it.
    original = {0: network.normalise(x)}
    rounded = dict(original)
    uses = {number + 1 - back: number for number, layer in enumerate(network.layers)
            for back in layer.inputs}
    layers: list[FloatLayer] = []
    grids: list[Grid] = []
    symbols: list[Symbols] = []
    remaining = iter(sensitivity)
    for number, layer in enumerate(network.layers):
        before = [original[number + 1 - back] for back in layer.inputs]
        now = [rounded[number + 1 - back] for back in layer.inputs]
        original[number + 1] = layer.apply(*before)
        if layer.weights is not None:
            statistics = Statistics(layer, before[0], now[0], damping, rng)
            layer, grid, chosen = round_layer(layer, statistics, pressure / next(remaining), limit)
            grids.append(grid)
            symbols.append(chosen)
        layers.append(layer)
        rounded[number + 1] = layer.apply(*now)
        for made in [made for made in original if uses.get(made, number) <= number]:
            del original[made], rounded[made]
    done = replace(network, layers=tuple(
        replace(layer, weights=old.weights) if old.weights is not None else layer
        for layer, old in zip(layers, network.layers, strict=True)))
    return Compensated(tuple(grids), tuple(symbols), done)


class Statistics:
    """What calibration inputs say of a layer's weights.

    In depthwise layers each input channel is a group, with a statistic of its own; else all are
    one.

    Attributes
    ----------
    hessian, cross : array, shape (groups, K, K)
        Mean products of inputs now, and of these with inputs before, damped.
    now, before : array, shape (groups, K)
        Mean inputs.
    unit : float
        The step of inputs of 8 bits.
    """

    def __init__(self, layer: FloatLayer, before: FloatArray, now: FloatArray, damping: float,
                 rng: np.random.Generator) -> None:
        count = now.size // prod(layer.input_shape) * prod(layer.output_shape[:2])
        kept = sample(count, MOST_ROWS, rng)
        new, old = (np.moveaxis(pixels(layer, x, kept), 1, 0) for x in (now, before))
        turned = np.swapaxes(new, 1, 2)
        count, size = new.shape[1:]
        hessian = (turned @ new).astype(np.float64) / count
        cross = (turned @ old).astype(np.float64) / count
        # Inputs that are always 0 must leave a Hessian, too.
        mean = np.trace(hessian, axis1=1, axis2=2) / size
        extra = (damping * mean + 1e-6 * mean.mean() + 1e-12)[:, None, None] * np.eye(size)
        self.hessian, self.cross = hessian + extra, cross + extra
        self.unit = float(np.ptp(new)) / 255
        self.now = new.mean(axis=1, dtype=np.float64)
        self.before = old.mean(axis=1, dtype=np.float64)


def round_layer(layer: FloatLayer, statistics: Statistics, pressure: float, limit: int
                ) -> tuple[FloatLayer, Grid, Symbols]:
    """Return the layer with rounded weights and a fitting bias, its grid and its symbols."""
    assert layer.weights is not None
    assert layer.bias is not None
    hessian = statistics.hessian
    groups = len(hessian)
    # Rows of weights; those of a group have the same inputs.
    rows = layer.weights.reshape(groups, len(layer.weights) // groups, -1).astype(np.float64)
    # What, of the inputs now, comes nearest to the outputs before.
    target = np.swapaxes(np.linalg.solve(hessian, statistics.cross @ np.swapaxes(rows, 1, 2)), 1, 2)
    ordered = [factorise(inverse) for inverse in np.linalg.inv(hessian)]
    diagonal = np.array([np.diag(factor) for _, factor in ordered])
    typical = np.exp(-2 * np.log(diagonal).mean(axis=1))
    steps = np.sqrt(pressure / (PRESSURE * typical))[:, None] * np.ones(rows.shape[1])
    # No weight may be beyond the alphabet.
    steps = np.maximum(steps, np.abs(target).max(axis=2) / limit)
    # Filters without weights would have steps of next to nothing at a high rate; but factors from
    # sums to outputs have their range, and biases, in products of both steps, have 32 bits.
    steps = np.maximum(steps, steps.max() / STEP_RANGE)
    if statistics.unit:
        steps = np.maximum(steps, np.abs(layer.bias).reshape(groups, -1)
                           / (statistics.unit * MOST_BIAS))
    costs = code_costs(count(np.clip(np.rint(target / steps[..., None]), -limit, limit), limit))
    chosen = np.zeros(target.shape, np.int64)
    for paths in PATHS:
        for group, (order, factor) in enumerate(ordered):
            round_rows(target[group][:, order], factor, steps[group], costs, pressure, paths,
                       order, chosen[group])
        costs = code_costs(count(chosen, limit))
    for _ in range(SWEEPS):
        for group in range(groups):
            slopes = (chosen[group] * steps[group][:, None] - target[group]) @ hessian[group]
            improve_rows(slopes, np.ascontiguousarray(hessian[group]), steps[group], costs,
                         pressure, chosen[group])
        costs = code_costs(count(chosen, limit))

    scales = fitted_scales(chosen, target, hessian, steps)
    restored = chosen * scales[..., None]
    lost = (np.einsum("grk,gk->gr", rows, statistics.before)
            - np.einsum("grk,gk->gr", restored, statistics.now))
    integers = chosen.reshape(layer.weights.shape)
    changed = replace(layer, weights=restored.reshape(integers.shape).astype(np.float32),
                      bias=(layer.bias + lost.ravel()).astype(np.float32))
    return (changed, Grid(zigzag(2 * limit + 1), scales.ravel()),
            np.where(integers < 0, -2 * integers - 1, 2 * integers))


def pixels(layer: FloatLayer, x: FloatArray, numbers: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return what output pixels of those numbers see: shape (pixels, groups, K)."""
    inputs = x.reshape(-1, *layer.input_shape).astype(np.float32)
    where = np.unravel_index(numbers, (len(inputs), *layer.output_shape[:2]))
    stacked = np.stack([seen[where] for _, _, seen in taps(inputs, layer, 0)], axis=1)
    if layer.operation is Operation.DEPTHWISE_CONV2D:
        return np.swapaxes(stacked, 1, 2)
    return stacked.reshape(len(stacked), 1, -1)


def count(integers: NDArray[np.generic], limit: int) -> NDArray[np.int64]:
    """Return how often -limit to limit occur."""
    return np.bincount(integers.astype(np.int64).ravel() + limit, minlength=2 * limit + 1)


@compiled
def factorise(inverse: Any) -> Any:
    """Return an order of columns, and the upper Cholesky factor of an inverse Hessian in it.

    Each time that column is next whose error those behind it can make up for the least.
    """
    factor = inverse.copy()
    count = len(factor)
    order = np.arange(count)
    for place in range(count):
        first = place + np.argmin(np.diag(factor)[place:])
        order[place], order[first] = order[first], order[place]
        for other in range(count):
            factor[place, other], factor[first, other] = factor[first, other], factor[place, other]
        for other in range(count):
            factor[other, place], factor[other, first] = factor[other, first], factor[other, place]
        factor[place, :place] = 0
        factor[place, place:] /= np.sqrt(factor[place, place])
        for row in range(place + 1, count):
            factor[row, place + 1:] -= factor[place, row] * factor[place, place + 1:]
    return order, factor


@compiled
def round_rows(rows: Any, factor: Any, steps: Any, costs: Any, pressure: float, most: int,
               order: Any, chosen: Any) -> None:
    """Choose integers column by column; errors go to the columns still to come.

    Of the choices for all columns so far, the ``most`` cheapest are followed, as in K-best sphere
    decoding (Guo and Nilsson 2006). Columns of ``rows`` are those of ``chosen`` in ``order``.
    """
    limit = len(costs) // 2
    count = rows.shape[1]
    weights, moved = np.empty((most, count)), np.empty((most, count))
    integers, origins = np.empty((count, most), np.int64), np.empty((count, most), np.int64)
    losses = np.zeros(4 * most)
    candidates, paths = np.empty(4 * most, np.int64), np.empty(4 * most, np.int64)
    for row in range(len(rows)):
        step = steps[row]
        weights[0] = rows[row]
        kept = np.zeros(1)
        for column in range(count):
            curvature = (step / factor[column, column]) ** 2
            found = 0
            for path in range(len(kept)):
                scaled = weights[path, column] / step
                nearest = min(max(int(np.rint(scaled)), -limit), limit)
                for change in range(-1, 3):
                    integer = nearest + change if change < 2 else 0
                    if abs(integer) > limit or (change == 2 and abs(nearest) < 2):
                        continue
                    losses[found] = (kept[path] + (scaled - integer) ** 2 * curvature
                                     + pressure * costs[integer + limit])
                    candidates[found], paths[found] = integer, path
                    found += 1
            best = np.argsort(losses[:found])[:most]
            kept = losses[best]
            for place, candidate in enumerate(best):
                integer, path = candidates[candidate], paths[candidate]
                integers[column, place], origins[column, place] = integer, path
                error = (weights[path, column] - integer * step) / factor[column, column]
                for later in range(column + 1, count):
                    moved[place, later] = weights[path, later] - error * factor[column, later]
            weights, moved = moved, weights
        place = 0
        for column in range(count - 1, -1, -1):
            chosen[row, order[column]] = integers[column, place]
            place = origins[column, place]


@compiled
def improve_rows(slopes: Any, hessian: Any, steps: Any, costs: Any, pressure: float, chosen: Any
                 ) -> None:
    """Change integers one by one to what is best beside all others."""
    limit = len(costs) // 2
    count = slopes.shape[1]
    for row in range(len(slopes)):
        step = steps[row]
        slope = slopes[row]
        for column in range(count):
            now = chosen[row, column]
            bend = hessian[column, column]
            ideal = now - slope[column] / (bend * step)
            nearest = int(np.rint(ideal))
            best, least = now, np.inf
            for candidate in range(nearest - 2, nearest + 4):
                integer = min(max(candidate, -limit), limit)
                if candidate == nearest + 3:
                    integer = 0
                move = (integer - now) * step
                loss = move * (bend * move + 2 * slope[column]) + pressure * costs[
                    integer + limit]
                if loss < least:
                    best, least = integer, loss
            if best != now:
                chosen[row, column] = best
                slope += (best - now) * step * hessian[column]


def fitted_scales(chosen: NDArray[np.int64], target: Array, hessian: Array, steps: Array) -> Array:
    """Return the scale of each row with which its integers come nearest to the target."""
    curved = np.einsum("grk,gkl->grl", chosen, hessian)
    energy = (curved * chosen).sum(axis=2)
    likeness = (curved * target).sum(axis=2)
    useful = (energy > 0) & (likeness > 0)
    ratio = np.where(useful, likeness / np.where(useful, energy, 1), steps)
    return np.clip(ratio, steps / 2, steps * 2)


def sensitivities(network: FloatNetwork, x: ArrayLike, *, seed: int = 0) -> list[float]:
    """Return what errors of each layer's outputs do to the network's.

    Found by changing a layer's weights by random amounts and running the layers behind.

    Parameters
    ----------
    x : array
        Inputs as the user gives them, a few dozen.

    Returns
    -------
    list of float
        For each layer that has weights, above 0: what a squared error of a pixel of its sums costs.
        That is between the relative error of the network's outputs (before a softmax at the end)
        that it leads to, and the layer's own relative error: changes of one layer alone don't show
        what those behind make up for.
    """
    rng = np.random.default_rng(seed)
    made = [network.normalise(x), *network.run(x)]
    softmax = network.layers[-1].operation is Operation.SOFTMAX
    end = len(network.layers) - softmax
    found = []
    for number, layer in enumerate(network.layers, 1):
        if layer.weights is None or layer.bias is None:
            continue
        inputs = [made[number - back] for back in layer.inputs]
        size = 0.05 * float(layer.weights.std() or 1.0)
        total = error = 0.0
        for _ in range(DIRECTIONS):
            noise = rng.normal(0, size, layer.weights.shape).astype(np.float32)
            changed = [*made[:number],
                       replace(layer, weights=layer.weights + noise).apply(*inputs)]
            for after in network.layers[number:end]:
                changed.append(after.apply(*(changed[-back] for back in after.inputs)))
            total += float(np.square(changed[end] - made[end]).sum())
            error += own_energy(layer, noise, inputs)
        harm = total / error / float(np.square(made[end]).sum()) if error else 0.0
        alike = 1 / max(own_energy(layer, layer.weights, inputs), 1e-30)
        # A layer that does nothing here must not be rounded to nothing.
        found.append(max(harm, alike * LEAST_HARM) ** OUTPUTS * alike ** (1 - OUTPUTS))
    return found


def own_energy(layer: FloatLayer, weights: NDArray[np.float32],
               inputs: Sequence[NDArray[np.float32]]) -> float:
    """Return the mean square of a pixel of a layer's sums with other weights, over its channels."""
    assert layer.bias is not None
    alone = replace(layer, weights=weights, bias=0 * layer.bias, activation=Activation.NONE)
    return float(np.square(alone.apply(*inputs)).mean(axis=(0, 1, 2)).sum())
