"""Analysis of a network's parameters: their values, their entropy, and what compression can win."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import log2, log10
from typing import Any

import ckwrap
import numpy as np
from numpy.typing import NDArray

from .codecs import CODECS
from .importers.npz import ModelError, WeightsAlone
from .information import (
    CONTEXTS,
    Dependence,
    corrected_entropy,
    count,
    dependence,
    plain_entropy,
    run_entropy,
)
from .network import FloatNetwork, Network
from .quantize.grid import zigzag
from .quantize.step import levels


__all__ = ["CENTROIDS", "CLASSES", "QUALITY_DB", "SAMPLE", "UNIFORM_BITS", "Codebook", "CodecRate",
           "Coding", "Curve", "DeadZone", "LayerProfile", "Parameters", "Point", "Profile",
           "Structure", "Uniform", "Values", "analyse", "parameters"]


FloatArray = NDArray[np.float32] | NDArray[np.float64]
Integers = NDArray[np.int64]

UNIFORM_BITS = (8, 6, 5, 4, 3, 2)
CENTROIDS = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)

#: Steps of the distortion curve, in units of a layer's root mean square.
STEPS = tuple(float(step) for step in np.geomspace(2, 0.02, 15))

#: Signal over noise at which lossy integers are coded and alternatives compared.
QUALITY_DB = 20.0

#: Alphabets of the lossy integers, the smallest that does being taken: those of the step quantiser,
#: whose greater magnitudes lie ever further apart, and all of int8.
ALPHABETS = (levels(31), levels(63), zigzag(255))

#: What the entropy may exceed that of unlimited integers for a smaller alphabet.
TOLERANCE = 1.03

#: Thresholds, in steps, below which weights become 0. One half is plain rounding.
DEAD_ZONES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)

#: The most weights that estimates and codecs look at; more are sampled.
SAMPLE = 1 << 20

#: Weights of a filter, or of neighbouring ones, that a sample takes together.
BLOCK = 1 << 14

#: Classes of filters that could have a code table of their own, and a table's bits for a symbol.
CLASSES, TABLE_BITS = 4, 4

#: Points that k-means is solved exactly on, for a layer and for the network.
LAYER_CELLS, NETWORK_CELLS = 1024, 8192

BINS = 61


@dataclass(frozen=True, eq=False)
class Parameters:
    """The weights of a layer.

    Parameters
    ----------
    operation : str
        What the layer computes; ``weights`` if the file doesn't say.
    weights : array of float, shape (Cout, KH, KW, Cin)
        What they stand for: scales of int8 weights are undone.
    integers : array of int8, of that shape, or None
        As an int8 model holds them.
    """

    name: str
    operation: str
    weights: FloatArray
    integers: NDArray[np.int8] | None = None

    @cached_property
    def rms(self) -> float:
        """Root mean square, or 1 if all weights are 0."""
        return float(np.sqrt(np.square(self.weights, dtype=np.float64).mean())) or 1.0

    @cached_property
    def relative(self) -> NDArray[np.float64]:
        """The weights over their root mean square."""
        return self.weights / np.float64(self.rms)


@dataclass(frozen=True)
class Values:
    """Distribution of weights.

    Parameters
    ----------
    zeros : float
        Share of weights that are 0.
    kurtosis : float
        Excess kurtosis: 0 for Gaussian, 3 for Laplacian, -1.2 for uniform weights.
    edges : tuple of float
        Bounds of the histogram's bins, one more than ``counts``.
    """

    minimum: float
    maximum: float
    mean: float
    std: float
    rms: float
    zeros: float
    kurtosis: float
    edges: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True)
class Structure:
    """What filters and channels look like.

    Parameters
    ----------
    zero_filters, zero_inputs : int
        Filters, and input channels of all filters, whose weights are all 0.
    spread : float
        Octaves from the 5th to the 95th percentile of the filters' root mean squares, those of
        zero filters left out.
    """

    filters: int
    inputs: int
    zero_filters: int
    zero_inputs: int
    spread: float


@dataclass(frozen=True)
class Uniform:
    """Symmetric uniform quantisation by the greatest weight.

    Parameters
    ----------
    per_layer_entropy, per_layer_sqnr_db : float
        With one step a layer: bits for each weight, decibels.
    per_filter_entropy, per_filter_sqnr_db : float
        With one step a filter.
    """

    bits: int
    per_layer_entropy: float
    per_layer_sqnr_db: float
    per_filter_entropy: float
    per_filter_sqnr_db: float


@dataclass(frozen=True)
class Point:
    """A point of a distortion curve.

    Parameters
    ----------
    parameter : float
        Step in units of a layer's root mean square, centroids, or bits.
    fixed_bits : float
        Bits of each weight if all symbols take as many: log2 of the number that occurs.
    entropy : float
        Bits of each weight if they are entropy-coded; tables and centroids aren't counted.
    relative_mse : float
        Mean squared error over mean square, of each layer.
    sqnr_db : float
        The same in decibels.
    """

    parameter: float
    fixed_bits: float
    entropy: float
    relative_mse: float
    sqnr_db: float


@dataclass(frozen=True)
class Curve:
    """Distortion against rate, for steps, centroids, and fixed-width integers of each filter."""

    step: tuple[Point, ...]
    centroids: tuple[Point, ...]
    fixed: tuple[Point, ...]


@dataclass(frozen=True)
class CodecRate:
    """What a codec of the project makes of integers.

    Parameters
    ----------
    bits_per_weight : float or None
        Coded data and tables, fitted to all layers together. None if the codec can't carry them.
    own_tables : float or None
        The same, fitted to each layer by itself.
    refused : str or None
        Why it can't carry them.
    """

    codec: str
    bits_per_weight: float | None
    own_tables: float | None
    refused: str | None = None


@dataclass(frozen=True)
class Coding:
    """What coding of integers can reach, in bits for each weight.

    Parameters
    ----------
    symbols : int
        Integers that occur.
    zeros : float
        Share of zeros.
    entropy : float
        Order 0, of all layers together.
    layer_entropy : float
        Order 0, each layer by itself.
    previous : Dependence
        Given the weight before in canonical order, in the same layer.
    filter_before : Dependence
        Given the weight at the same place of the filter before; no gain in layers of one filter.
    runs : float
        With zeros coded as runs; compare with ``layer_entropy``.
    classes : float
        With ``CLASSES`` tables a layer, the filters sorted by their mean square: tables and the
        choices of class counted, less what one table a layer takes; compare with
        ``layer_entropy``.
    codecs : tuple of CodecRate
    """

    symbols: int
    zeros: float
    entropy: float
    layer_entropy: float
    previous: Dependence
    filter_before: Dependence
    runs: float
    classes: float
    codecs: tuple[CodecRate, ...]


@dataclass(frozen=True)
class Codebook:
    """The fewest centroids, shared by all layers, that reach ``QUALITY_DB``, and their indices.

    Parameters
    ----------
    sqnr_db : float
        What they reach.
    entropy : float
        Order-0 entropy of the indices, in bits for each weight.
    codecs : tuple of CodecRate
        Of the indices; centroids aren't counted.
    """

    centroids: int
    sqnr_db: float
    entropy: float
    codecs: tuple[CodecRate, ...]


@dataclass(frozen=True)
class DeadZone:
    """Step quantisation with ``QUALITY_DB``, weights below ``threshold`` steps made 0."""

    threshold: float
    step: float
    entropy: float
    zeros: float


@dataclass(frozen=True)
class LayerProfile:
    """Figures of a layer; ``lossless`` is None if its weights aren't integers."""

    name: str
    operation: str
    shape: tuple[int, ...]
    weights: int
    values: Values
    structure: Structure
    uniform: tuple[Uniform, ...]
    curve: Curve
    lossless: Coding | None
    lossy: Coding


@dataclass(frozen=True)
class Profile:
    """Figures of a network.

    Parameters
    ----------
    kind : str
        ``int8``, ``float`` or ``weights alone``.
    weights, biases : int
        How many there are.
    sampled : tuple of str
        What was estimated from a sample, in words; empty if nothing was.
    values : Values
        Of all weights, each in units of its layer's root mean square.
    lossless : Coding or None
        Of the integers of an int8 model.
    lossy : Coding
        Of the integers of one step a layer, at ``QUALITY_DB``.
    lossy_sqnr_db : float
        What these reach.
    codebook : Codebook or None
        None if 64 centroids don't reach ``QUALITY_DB``.
    dead_zones : tuple of DeadZone
    """

    name: str
    kind: str
    weights: int
    biases: int
    sampled: tuple[str, ...]
    values: Values
    structure: Structure
    uniform: tuple[Uniform, ...]
    curve: Curve
    lossless: Coding | None
    lossy: Coding
    lossy_sqnr_db: float
    codebook: Codebook | None
    dead_zones: tuple[DeadZone, ...]
    layers: tuple[LayerProfile, ...] = field(repr=False)


def parameters(model: FloatNetwork | Network | WeightsAlone) -> tuple[list[Parameters], int]:
    """Return the weights of each layer that has any, and the number of biases.

    Of weights alone, the first axis counts the filters and the last the input channels; arrays of
    fewer than two axes, and empty ones, are biases.

    Raises
    ------
    ModelError
        If there are no weights.
    """
    found = []
    if isinstance(model, WeightsAlone):
        biases = 0
        for name, array in model.arrays.items():
            if array.ndim > 1 and array.size:
                shaped = array if array.ndim == 4 else array.reshape(
                    len(array), 1, -1, array.shape[-1])
                found.append(Parameters(name, "weights", shaped))
            else:
                biases += array.size
    elif isinstance(model, Network):
        biases = sum(layer.bias.size for layer in model.layers)
        for layer in model.weighted:
            assert layer.weights is not None
            found.append(Parameters(
                layer.name, layer.descriptor.operation.name.lower(),
                layer.weights * layer.weight_scale.reshape(-1, 1, 1, 1), layer.weights))
    else:
        biases = sum(layer.bias.size for layer in model.layers if layer.bias is not None)
        found = [Parameters(layer.name, layer.operation.name.lower(), layer.weights)
                 for layer in model.weighted if layer.weights is not None]
    if not found:
        raise ModelError(f"{model.name}: must have weights, arrays of two axes or more")
    return found, biases


def analyse(model: FloatNetwork | Network | WeightsAlone, seed: int = 0) -> Profile:
    """Return the profile of ``model``.

    Parameters
    ----------
    seed : int
        Of samples and shuffles.

    Raises
    ------
    ModelError
        If it has no weights.
    """
    layers, biases = parameters(model)
    rng = np.random.default_rng(seed)
    total = sum(layer.weights.size for layer in layers)
    share = min(1.0, SAMPLE / total)
    note = (f"codecs, context gains, runs, dead zones and codebook: about {SAMPLE:,} of {total:,} "
            f"weights in blocks of {BLOCK:,}, seed {seed}")
    relative = [sample(layer.relative, share, rng) for layer in layers]

    dead_zones = tuple(dead_zone(relative, threshold) for threshold in DEAD_ZONES)
    alphabet, step = choose_alphabet(relative, dead_zones[0])
    ordered = np.array(sorted(alphabet))
    lossy = [ordered[nearest(layer.relative, ordered * step)] for layer in layers]
    lost = sum(float(np.square(layer.relative - chosen * step).sum())
               for layer, chosen in zip(layers, lossy, strict=True))

    curves, whole = distortion_curves(layers)
    uniforms, uniform = uniform_figures(layers)
    lossy_codings, lossy_coding = codings(lossy, alphabet, share, seed)
    exact = [layer.integers for layer in layers if layer.integers is not None]
    lossless_codings: Sequence[Coding | None] = [None] * len(layers)
    lossless_coding: Coding | None = None
    if len(exact) == len(layers):
        lossless_codings, lossless_coding = codings(exact, occurring(exact), share, seed)

    profiles = tuple(
        LayerProfile(layer.name, layer.operation, layer.weights.shape, layer.weights.size,
                     values(layer.weights), structure(layer), rows, curve, exactly, roughly)
        for layer, rows, curve, exactly, roughly in zip(
            layers, uniforms, curves, lossless_codings, lossy_codings, strict=True))
    kind = ("weights alone" if isinstance(model, WeightsAlone)
            else "int8" if lossless_coding else "float")
    return Profile(
        model.name, kind, total, biases, () if share == 1 else (note,),
        values(np.concatenate([layer.relative.ravel() for layer in layers])),
        total_structure(profiles), uniform, whole, lossless_coding, lossy_coding,
        decibels(lost / signal(layers)),
        find_codebook(relative), dead_zones, profiles)


def signal(layers: Sequence[Parameters]) -> float:
    """Return the sum of squares of all weights in units of their layer's root mean square."""
    return float(sum(layer.weights.size for layer in layers if layer.weights.any())) or 1.0


def decibels(relative: float) -> float:
    """Return the SQNR of a relative squared error; at most 200 dB, so that it stays a number."""
    return -10 * log10(max(relative, 1e-20))


def sample(array: NDArray[Any], share: float, rng: np.random.Generator) -> NDArray[Any]:
    """Return ``share`` of a layer's weights, in order: blocks of neighbours at random places."""
    flat = array.ravel()
    if share == 1 or flat.size <= BLOCK:
        return flat
    blocks = -(-flat.size // BLOCK)
    chosen = np.sort(rng.choice(blocks, max(1, round(share * blocks)), replace=False))
    return np.concatenate([flat[block * BLOCK:(block + 1) * BLOCK] for block in chosen])


def values(weights: FloatArray) -> Values:
    """Return the distribution of ``weights``."""
    flat = weights.ravel().astype(np.float64)
    mean, std = float(flat.mean()), float(flat.std())
    counts, edges = np.histogram(flat, BINS)
    kurtosis = float((((flat - mean) / std) ** 4).mean()) - 3 if std else 0.0
    return Values(float(flat.min()), float(flat.max()), mean, std,
                  float(np.sqrt(np.square(flat).mean())), float((flat == 0).mean()), kurtosis,
                  tuple(edges.tolist()), tuple(counts.tolist()))


def structure(layer: Parameters) -> Structure:
    """Return what the filters and channels of ``layer`` look like."""
    used = layer.weights != 0
    energy = np.square(layer.weights, dtype=np.float64).mean(axis=(1, 2, 3))
    energy = energy[energy > 0]
    spread = 0.0
    if energy.size:
        low, high = np.quantile(energy, (0.05, 0.95))
        spread = log2(high / low) / 2
    filters, inputs = layer.weights.shape[0], layer.weights.shape[3]
    return Structure(filters, inputs, int((~used.any(axis=(1, 2, 3))).sum()),
                     int((~used.any(axis=(0, 1, 2))).sum()), spread)


def total_structure(layers: Sequence[LayerProfile]) -> Structure:
    parts = [layer.structure for layer in layers]
    weights = sum(layer.weights for layer in layers)
    return Structure(
        sum(part.filters for part in parts), sum(part.inputs for part in parts),
        sum(part.zero_filters for part in parts), sum(part.zero_inputs for part in parts),
        sum(layer.structure.spread * layer.weights for layer in layers) / weights)


class Pool:
    """Occurrences of integers and squared errors, of layers and of all of them.

    Parameters
    ----------
    reach : int
        The greatest magnitude of an integer.
    """

    def __init__(self, reach: int) -> None:
        self.reach = reach
        self.counts = np.zeros(2 * reach + 1, np.int64)
        self.error = 0.0

    def add(self, integers: NDArray[np.floating], error: float) -> tuple[float, int]:
        """Count a layer; return its entropy and how many integers occur in it."""
        counts = np.bincount(integers.astype(np.int64).ravel() + self.reach,
                             minlength=len(self.counts))
        self.counts += counts
        self.error += error
        return plain_entropy(counts), int(np.count_nonzero(counts))


def point(parameter: float, symbols: int, entropy: float, error: float, energy: float) -> Point:
    relative = error / energy
    return Point(parameter, log2(max(1, symbols)), entropy, relative, decibels(relative))


def distortion_curves(layers: Sequence[Parameters]) -> tuple[list[Curve], Curve]:
    """Return the curves of each layer, and of the network with one table or codebook for all."""
    energy = signal(layers)
    steps: list[list[Point]] = [[] for _ in layers]
    whole_steps = []
    greatest = max(float(np.abs(layer.relative).max()) for layer in layers)
    for step in STEPS:
        pool = Pool(int(greatest / step) + 1)
        for layer, points in zip(layers, steps, strict=True):
            integers = np.rint(layer.relative / step)
            error = float(np.square(layer.relative - integers * step).sum())
            entropy, used = pool.add(integers, error)
            points.append(point(step, used, entropy, error, signal([layer])))
        whole_steps.append(point(step, int(np.count_nonzero(pool.counts)),
                                 plain_entropy(pool.counts), pool.error, energy))

    fixed: list[list[Point]] = [[] for _ in layers]
    whole_fixed = []
    for bits in sorted(UNIFORM_BITS):
        pool = Pool((1 << bits - 1) - 1)
        for layer, points in zip(layers, fixed, strict=True):
            integers, error = uniform_integers(layer, bits, per_filter=True)
            entropy, _ = pool.add(integers, error)
            points.append(point(bits, 1 << bits, entropy, error, signal([layer])))
        whole_fixed.append(point(bits, 1 << bits, plain_entropy(pool.counts), pool.error, energy))

    curves = [
        Curve(tuple(step), centroid_curve(layer.relative.ravel(), signal([layer]), LAYER_CELLS),
              tuple(width))
        for layer, step, width in zip(layers, steps, fixed, strict=True)]
    together = np.concatenate([layer.relative.ravel() for layer in layers])
    return curves, Curve(tuple(whole_steps), centroid_curve(together, energy, NETWORK_CELLS),
                         tuple(whole_fixed))


def centroid_curve(x: NDArray[np.float64], energy: float, cells: int) -> tuple[Point, ...]:
    """Return the curve of 2 to 64 centroids: one-dimensional k-means (Wang and Song 2011).

    It is exact if ``x`` has no more than ``cells`` values. Else they are gathered in as many cells
    first, narrow ones near 0 and wider ones further out; errors within cells count.
    """
    counts, means, within = gather(x, cells)
    points = []
    for centroids in CENTROIDS:
        if centroids > len(means):
            break
        found = ckwrap.ckmeans(means, centroids, weights=counts.astype(np.float64))
        error = within + float(
            (counts * np.square(means - found.centers[found.labels])).sum())
        entropy = plain_entropy(np.bincount(found.labels, counts).astype(np.int64))
        points.append(point(centroids, centroids, entropy, error, energy))
    return tuple(points)


def find_codebook(relative: Sequence[NDArray[np.float64]]) -> Codebook | None:
    """Return the smallest codebook that reaches ``QUALITY_DB`` on ``relative`` weights."""
    x = np.concatenate(relative)
    counts, means, within = gather(x, NETWORK_CELLS)
    energy = float(np.square(x).sum()) or 1.0
    low, high, best = 1, min(CENTROIDS[-1], len(means)), None
    while low <= high:
        middle = (low + high) // 2
        found = ckwrap.ckmeans(means, middle, weights=counts.astype(np.float64))
        error = within + float((counts * np.square(means - found.centers[found.labels])).sum())
        if decibels(error / energy) < QUALITY_DB:
            low = middle + 1
        else:
            high, best = middle - 1, (found.centers, decibels(error / energy))
    if best is None:
        return None
    centers, reached = best
    indices = [nearest(layer, centers) for layer in relative]
    occurrences = np.bincount(np.concatenate(indices), minlength=len(centers))
    ranks = np.argsort(np.argsort(-occurrences, kind="stable"))
    rates = codec_rates([ranks[layer].reshape(1, 1, 1, -1) for layer in indices])
    return Codebook(len(centers), reached, plain_entropy(occurrences), tuple(
        CodecRate(codec, rate, None, refused) for codec, rate, refused in rates))


def gather(x: NDArray[np.float64], cells: int
           ) -> tuple[NDArray[np.intp], NDArray[np.float64], float]:
    """Return how many of ``x`` each cell holds, their means, and the squared errors therein."""
    bent = np.arcsinh(8 * x)
    low, high = float(bent.min()), float(bent.max())
    if len(head := np.unique(x[:cells * 4])) <= cells and (
            x.size <= cells * 4 or np.isin(x, head).all()):
        means, counts = np.unique(x, return_counts=True)
        return counts, means, 0.0
    places = np.minimum(((bent - low) * (cells / (high - low))).astype(np.intp), cells - 1)
    counts = np.bincount(places, minlength=cells)
    used = counts > 0
    sums = np.bincount(places, x, cells)[used]
    squares = np.bincount(places, np.square(x), cells)[used]
    means = sums / counts[used]
    within = float(np.maximum(0, squares - sums * means).sum())
    return counts[used], means, within


def uniform_integers(layer: Parameters, bits: int, *, per_filter: bool
                     ) -> tuple[NDArray[np.float64], float]:
    """Return integers by the greatest weight, of the layer or each filter, and their error."""
    axes = (1, 2, 3) if per_filter else None
    greatest = np.abs(layer.relative).max(axis=axes, keepdims=True)
    step = np.where(greatest > 0, greatest, 1.0) / ((1 << bits - 1) - 1)
    integers = np.rint(layer.relative / step)
    return integers, float(np.square(layer.relative - integers * step).sum())


def uniform_figures(layers: Sequence[Parameters]
                    ) -> tuple[list[tuple[Uniform, ...]], tuple[Uniform, ...]]:
    """Return what uniform quantisation makes of each layer and of the network."""
    rows: list[list[Uniform]] = [[] for _ in layers]
    whole = []
    for bits in UNIFORM_BITS:
        pools = Pool((1 << bits - 1) - 1), Pool((1 << bits - 1) - 1)
        for layer, row in zip(layers, rows, strict=True):
            found: list[float] = []
            for per_filter, pool in enumerate(pools):
                integers, error = uniform_integers(layer, bits, per_filter=bool(per_filter))
                entropy, _ = pool.add(integers, error)
                found += entropy, decibels(error / signal([layer]))
            row.append(Uniform(bits, *found))
        whole.append(Uniform(bits, *(figure for pool in pools for figure in (
            plain_entropy(pool.counts), decibels(pool.error / signal(layers))))))
    return [tuple(row) for row in rows], tuple(whole)


def nearest(x: NDArray[np.float64], grid: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the number of the value of ``grid``, in ascending order, next to each of ``x``."""
    return np.searchsorted((grid[1:] + grid[:-1]) / 2, x)


def dead_zone(relative: Sequence[NDArray[np.float64]], threshold: float) -> DeadZone:
    """Return the greatest step with an SQNR of ``QUALITY_DB``, and what it takes."""
    x = np.concatenate(relative)
    energy = float(np.square(x).sum()) or 1.0
    allowed = energy * 10 ** (-QUALITY_DB / 10)

    def quantise(step: float) -> NDArray[np.float64]:
        return np.where(np.abs(x) < threshold * step, 0, np.rint(x / step))

    low, high = 1e-3, 4.0
    for _ in range(20):
        middle = (low * high) ** 0.5
        if float(np.square(x - quantise(middle) * middle).sum()) > allowed:
            high = middle
        else:
            low = middle
    integers = quantise(low).astype(np.int64)
    return DeadZone(threshold, low, plain_entropy(count(integers)),
                    float((integers == 0).mean()))


def choose_alphabet(relative: Sequence[NDArray[np.float64]], plain: DeadZone
                    ) -> tuple[tuple[int, ...], float]:
    """Return the integers of ``QUALITY_DB``, symbol 0 first, and their step."""
    x = np.concatenate(relative)
    allowed = (float(np.square(x).sum()) or 1.0) * 10 ** (-QUALITY_DB / 10)
    for alphabet in ALPHABETS[:-1]:
        ordered = np.array(sorted(alphabet))
        # A smaller step costs entropy, and at some point the alphabet's reach.
        for step in plain.step * np.geomspace(1, 0.85, 6):
            integers = ordered[nearest(x, ordered * step)]
            if float(np.square(x - integers * step).sum()) <= allowed:
                if plain_entropy(count(integers)) <= TOLERANCE * plain.entropy:
                    return alphabet, float(step)
                break
    reach = float(np.abs(x).max()) / max(ALPHABETS[-1])
    return ALPHABETS[-1], max(plain.step, reach)


def codings(layers: Sequence[NDArray[Any]], alphabet: Sequence[int], share: float, seed: int
            ) -> tuple[list[Coding], Coding]:
    """Return what coding can reach on the integers of each layer and of the network.

    Parameters
    ----------
    layers : sequence of array of integers, shape (Cout, KH, KW, Cin)
    alphabet : sequence of int
        What symbol 0, 1, 2, ... stands for: all integers of the layers, 0 first.
    """
    rng = np.random.default_rng(seed)
    kept = [sample(layer, share, rng).reshape(1, 1, 1, -1) if share < 1 else layer
            for layer in layers]
    symbols = [to_symbols(layer, alphabet) for layer in kept]
    singles = [codec_rates([layer]) for layer in symbols]
    found = []
    for layer, rates in zip(layers, singles, strict=True):
        flat = layer.ravel()
        counts = count(flat)
        order0 = plain_entropy(counts)
        filters = layer.reshape(len(layer), -1)
        upper, lower = filters[1:].ravel(), filters[:-1].ravel()
        found.append(Coding(
            int(np.count_nonzero(counts)), float((flat == 0).mean()), order0, order0,
            context(order0, flat[1:], flat[:-1], seed), context(order0, upper, lower, seed),
            run_entropy(sample(flat, share, rng)), class_entropy(filters),
            tuple(CodecRate(codec, rate, rate, refused)
                  for codec, rate, refused in rates)))

    sizes = np.array([layer.size for layer in layers], np.float64)
    weighting = sizes / sizes.sum()

    def mean(figures: Sequence[float]) -> float:
        return float(weighting @ np.array(figures))

    def joined(parts: Sequence[Dependence]) -> Dependence:
        return Dependence(mean([part.entropy for part in parts]),
                          mean([part.gain for part in parts]),
                          float(np.sqrt(np.square(
                              weighting * np.array([part.noise for part in parts])).sum())))

    own = [None if None in rates else mean([rate for rate in rates if rate is not None])
           for rates in zip(*([rate for _, rate, _ in single] for single in singles), strict=True)]
    everything = np.concatenate([layer.ravel() for layer in layers])
    counts = count(everything)
    return found, Coding(
        int(np.count_nonzero(counts)), float((everything == 0).mean()), plain_entropy(counts),
        mean([part.entropy for part in found]), joined([part.previous for part in found]),
        joined([part.filter_before for part in found]), mean([part.runs for part in found]),
        mean([part.classes for part in found]),
        tuple(CodecRate(codec, rate, each, refused) for (codec, rate, refused), each in zip(
            codec_rates(symbols), own, strict=True)))


def context(order0: float, flat: NDArray[Any], before: NDArray[Any], seed: int) -> Dependence:
    """Return the dependence on a context, of up to ``SAMPLE`` weights wherever they lie."""
    if flat.size <= CONTEXTS:
        return Dependence(order0, 0.0, 0.0)
    if flat.size > SAMPLE:
        chosen = np.random.default_rng(seed).choice(flat.size, SAMPLE, replace=False)
        flat, before = flat[chosen], before[chosen]
    found = dependence(flat, before, seed)
    return Dependence(max(0.0, order0 - found.gain), found.gain, found.noise)


def class_entropy(filters: NDArray[Any]) -> float:
    """Return the bits for each weight with a table for each of ``CLASSES`` classes of filters.

    The entropies are corrected for few samples. What is counted beside them: for each table but
    one ``TABLE_BITS`` bits for each integer that occurs, and each filter's choice.
    """
    energy = np.square(filters.astype(np.float64)).sum(axis=1)
    classes = [part for part in np.array_split(np.argsort(energy, kind="stable"), CLASSES)
               if part.size]
    order0 = plain_entropy(count(filters))
    counts = [count(filters[part]) for part in classes]
    bits = sum(corrected_entropy(part) * float(part.sum()) for part in counts)
    bits += TABLE_BITS * float(sum(np.count_nonzero(part) for part in counts)
                               - np.count_nonzero(count(filters)))
    bits += log2(CLASSES) * len(filters)
    # Corrected as the parts are, so that the correction itself is no loss.
    bias = corrected_entropy(count(filters)) - order0
    return bits / filters.size - bias


def occurring(layers: Sequence[NDArray[np.int8]]) -> list[int]:
    """Return the integers of all ``layers``, and 0, in the order 0, -1, 1, -2, 2, ..."""
    found = {0}.union(*(np.unique(layer).tolist() for layer in layers))
    return [integer for integer in zigzag(256) if integer in found]


def to_symbols(integers: NDArray[Any], alphabet: Sequence[int]) -> Integers:
    """Return the place of each integer, an int8, in ``alphabet``."""
    places = np.zeros(256, np.int64)
    places[np.array(alphabet)] = np.arange(len(alphabet))
    return places[integers.astype(np.int64)]


def codec_rates(symbols: Sequence[Integers]) -> list[tuple[str, float | None, str | None]]:
    """Return each codec's name, bits for each weight with one table, and why it can't."""
    weights = sum(layer.size for layer in symbols)
    found: list[tuple[str, float | None, str | None]] = []
    for name, codec in CODECS.items():
        try:
            found.append((name, codec.bits(symbols) / weights, None))
        except ValueError as error:
            found.append((name, None, str(error)))
    return found
