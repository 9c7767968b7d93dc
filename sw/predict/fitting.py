"""The search for a network's predictors, layer by layer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from math import prod
from time import monotonic
from typing import Protocol, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..format.predictors import LayerPredictor, WeightShape
from ..network import FloatLayer, FloatNetwork
from ..quantize import UniformQuantiser
from ..quantize.compensated import Statistics
from ..quantize.scales import Granularity
from .decoders import predict


__all__ = ["OTHERS_BITS", "PREDICTORS", "FitProgress", "Fitted", "Predictor", "Task", "Unsuited",
           "fit", "fit_integers"]


Array = NDArray[np.float64]

#: Modules that fit predictors, by what users call them, and the bits that a weight may take by
#: default.
PREDICTORS = {"gpam": 0.75, "autoencoder": 3.0, "seeds": 4.49, "hypernet": 2.0}

#: Bits of a weight, before they are coded, where a predictor doesn't suit.
OTHERS_BITS = 6

#: The greatest integer of a target. A prediction may err and still be an int8.
GREATEST = 112


class Unsuited(ValueError):
    """A layer that a predictor can't serve. The message says why."""


@dataclass(frozen=True, eq=False)
class Task:
    """What a layer's predictor has to come near to.

    Parameters
    ----------
    name : str
        What the layer is called.
    shape : tuple of int
        Cout, KH, KW, Cin.
    target : array, shape (groups, rows, K)
        Weights in units of their filter's scale, -``GREATEST`` to ``GREATEST``, or int8 that are
        wanted exactly. Filters of a group have the same inputs: all of a layer, one channel's
        where it is depthwise.
    hessian : array, shape (groups, K, K)
        Mean products of inputs: an error e of a row costs e H e.
    scale : array, shape (groups, rows)
        What a unit of each row stands for.
    """

    name: str
    shape: WeightShape
    target: Array
    hessian: Array
    scale: Array

    def cost(self, rows: NDArray[np.integer]) -> float:
        """Return the share of the outputs' energy that is lost with other weights."""
        error = (self.target - rows.reshape(self.target.shape)) * self.scale[..., None]
        whole = self.target * self.scale[..., None]
        lost, energy = (float(np.einsum("grk,gkl,grl->", part, self.hessian, part, optimize=True))
                        for part in (error, whole))
        return lost / (energy or 1.0)


class Predictor(Protocol):
    """What a module of this package can do; its decoder is in `decoders`."""

    #: Whether a task's rows have one scale or one each.
    GRANULARITY: Granularity

    #: What is added to the diagonal of a Hessian, of its mean.
    DAMPING: float

    def allot(self, shapes: Sequence[WeightShape], bits: float) -> list[float]:
        """Return the bits of a weight of each layer, about ``bits`` on average.

        Raises
        ------
        ValueError
            If it has no rate as low.
        """

    def fit(self, task: Task, bits: float, seconds: float,
                 progress: Callable[[str], None]) -> LayerPredictor:
        """Return parameters that predict a layer.

        Parameters
        ----------
        bits : float
            What a weight may take.
        seconds : float
            How long it may take.
        progress : function
            Told in a few words how far it is.

        Raises
        ------
        Unsuited
            If the layer is too small or constant, or nothing useful was found.
        """


#: Called with the layer's name and how far its fit is.
FitProgress = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Fitted:
    """What was found for a layer.

    Parameters
    ----------
    predictor : LayerPredictor or None
        None where it doesn't suit the layer.
    integers : array of int8, shape (Cout, KH, KW, Cin)
    scale : array, shape (Cout,)
        What one unit of a filter's weights stands for.
    refusal : str
        Why there is none.
    """

    predictor: LayerPredictor | None
    integers: NDArray[np.int8]
    scale: Array
    refusal: str = ""


def fitter(name: str) -> Predictor:
    """Return what fits a predictor; some bring large libraries.

    Raises
    ------
    ValueError
        If one of them isn't installed.
    """
    try:
        found: Predictor = cast(Predictor, import_module(f"sw.predict.{name}"))
    except ModuleNotFoundError as error:
        extra = "predict" if error.name == "deap" else "torch"
        raise ValueError(f"Predictor {name} needs {error.name}: pip install "
                         f"'headrace[{extra}]'") from None
    return found


def fit(name: str, network: FloatNetwork, x: ArrayLike | None, *, bits: float, seconds: float,
        progress: FitProgress = lambda _: None) -> tuple[list[Fitted], FloatNetwork]:
    """Fit a predictor to each layer of a network, in order, on inputs that see the errors before.

    Layers that it doesn't suit are rounded to ``OTHERS_BITS``; they make up for the errors before,
    too, as far as a linear layer can.

    Parameters
    ----------
    name : str
        One of ``PREDICTORS``.
    x : array, optional
        Inputs as the user gives them, for the effect of errors on outputs; without, all errors
        count alike, and biases stay.
    bits : float
        What a weight may take.
    seconds : float
        How long it may take altogether.

    Returns
    -------
    list of Fitted
        For each layer that has weights.
    FloatNetwork
        ``network`` with the biases that go with them.

    Raises
    ------
    ValueError
        If none suits any layer, or the predictor isn't known or installed.
    """
    search = fitter(name)
    shapes = [layer.weights.shape for layer in network.weighted if layer.weights is not None]
    rates = iter(search.allot(shapes, bits))
    end, left = monotonic() + seconds, sum(map(prod, shapes))
    made = [] if x is None else [network.normalise(x)]
    now = list(made)
    fitted: list[Fitted] = []
    layers = []
    for number, layer in enumerate(network.layers):
        before = [made[number + 1 - back] for back in layer.inputs] if made else []
        after = [now[number + 1 - back] for back in layer.inputs] if made else []
        if made:
            made.append(layer.apply(*before))
        if layer.weights is not None:
            share = max(0.0, end - monotonic()) * layer.weights.size / left
            left -= layer.weights.size
            statistics = (Statistics(layer, before[0], after[0], search.DAMPING,
                                     np.random.default_rng(0)) if made else None)
            found, layer = fit_layer(search, layer, statistics, next(rates), share, progress)
            fitted.append(found)
        layers.append(layer)
        if made:
            now.append(layer.apply(*after))
    if all(found.predictor is None for found in fitted):
        raise ValueError(f"Predictor {name} suits no layer: {fitted[-1].refusal}")
    done = replace(network, layers=tuple(
        replace(layer, weights=old.weights) if old.weights is not None else layer
        for layer, old in zip(layers, network.layers, strict=True)))
    return fitted, done


def fit_layer(search: Predictor, layer: FloatLayer, statistics: Statistics | None,
              bits: float, seconds: float, progress: FitProgress) -> tuple[Fitted, FloatLayer]:
    """Return what was found for a layer, and the layer with it and a fitting bias."""
    assert layer.weights is not None
    assert layer.bias is not None
    shape = layer.weights.shape
    groups = len(statistics.hessian) if statistics else 1
    rows = layer.weights.reshape(groups, shape[0] // groups, -1).astype(np.float64)
    if statistics:
        # Means don't matter: the bias makes up for them.
        now, before = statistics.now, statistics.before
        hessian = statistics.hessian - np.einsum("gk,gl->gkl", now, now)
        cross = statistics.cross - np.einsum("gk,gl->gkl", now, before)
        target = np.swapaxes(np.linalg.solve(hessian, cross @ np.swapaxes(rows, 1, 2)), 1, 2)
    else:
        hessian, target = np.eye(rows.shape[2])[None], rows
    greatest = np.abs(target).max(axis=2)
    if search.GRANULARITY == "tensor":
        greatest = np.full_like(greatest, greatest.max())
    scale = np.where(greatest > 0, greatest, 1.0) / GREATEST
    task = Task(layer.name, shape, target / scale[..., None], hessian, scale)
    try:
        predictor, chosen = predicted(search, task, bits, seconds, progress)
        scales = nearest_scales(chosen, target, hessian, scale)
        found = Fitted(predictor, chosen.reshape(shape).astype(np.int8), scales.ravel())
    except Unsuited as refusal:
        wanted = target.reshape(shape)
        grid, = UniformQuantiser("channel").fit([wanted], None, OTHERS_BITS)
        found = Fitted(None, grid.integers(grid.quantise(wanted)), grid.scale, str(refusal))
    restored = found.integers * found.scale[:, None, None, None]
    bias = layer.bias
    if statistics:
        lost = (np.einsum("grk,gk->gr", rows, statistics.before)
                - np.einsum("grk,gk->gr", restored.reshape(rows.shape), statistics.now))
        bias = (bias + lost.ravel()).astype(np.float32)
    return found, replace(layer, weights=restored.astype(np.float32), bias=bias)


def nearest_scales(chosen: NDArray[np.int64], target: Array, hessian: Array, scale: Array
                   ) -> Array:
    """Return the scale of each row with which its integers come nearest to the target."""
    curved = np.einsum("grk,gkl->grl", chosen, hessian, optimize=True)
    energy, likeness = (curved * chosen).sum(axis=2), (curved * target).sum(axis=2)
    useful = (energy > 0) & (likeness > 0)
    return np.where(useful, likeness / np.where(useful, energy, 1), scale)


def predicted(search: Predictor, task: Task, bits: float, seconds: float, progress: FitProgress
              ) -> tuple[LayerPredictor, NDArray[np.int64]]:
    """Return a layer's predictor and what it predicts, in the task's shape.

    Raises
    ------
    Unsuited
        If there is none.
    """
    if not np.ptp(task.target):
        raise Unsuited(f"{task.name} is constant")
    found = search.fit(task, bits, seconds, lambda news: progress(f"{task.name}: {news}"))
    return found, predict(found, task.shape).astype(np.int64).reshape(task.target.shape)


def fit_integers(name: str, names: Sequence[str], layers: Sequence[NDArray[np.int8]], *,
                 bits: float, seconds: float, progress: FitProgress = lambda _: None
                 ) -> list[LayerPredictor | None]:
    """Fit a predictor to integers that must be kept: the codec carries what it misses.

    Parameters
    ----------
    names : sequence of str
        Of the layers.
    layers : sequence of array of int8, shape (Cout, KH, KW, Cin)
    bits, seconds : float
        As in `fit`.

    Returns
    -------
    list of LayerPredictor or None
        None where it doesn't suit.
    """
    search = fitter(name)
    end, left = monotonic() + seconds, sum(layer.size for layer in layers)
    found: list[LayerPredictor | None] = []
    rates = search.allot([layer.shape for layer in layers], bits)
    for label, layer, rate in zip(names, layers, rates, strict=True):
        rows = layer.reshape(1, len(layer), -1).astype(np.float64)
        task = Task(label, layer.shape, rows, np.eye(rows.shape[2])[None],
                    np.ones(rows.shape[:2]))
        share = max(0.0, end - monotonic()) * layer.size / left
        left -= layer.size
        try:
            found.append(predicted(search, task, rate, share, progress)[0])
        except Unsuited:
            found.append(None)
    return found
