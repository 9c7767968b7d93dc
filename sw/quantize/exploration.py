"""How many bits each layer needs: a search that retrains nothing."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import ceil, log2
from typing import Any, Protocol

from ..metrics import entropy
from .codebook import CodebookQuantiser
from .grid import FloatArray, Grid, Quantiser, Symbols, quantise, zigzag


__all__ = ["CANDIDATES", "Exploration", "Score", "explore"]


#: Bits that are tried by default, the most first: of 128 to 2 centroids.
CANDIDATES = tuple(log2(count) for count in (128, 96, 64, 48, 32, 24, 16, 12, 8, 6, 5, 4,
                                             3, 2))

#: Bits of a centroid.
CENTROID_BITS = 8

Score = Callable[[Sequence[FloatArray]], float]


class Map(Protocol):
    """What applies a function to each of several things, in order, like the built-in ``map``."""

    def __call__(self, function: Callable[[Any], Any], things: Iterable[Any], /) -> Iterable[Any]:
        """Return what the function makes of each."""


@dataclass(frozen=True, eq=False)
class Exploration:
    """What `explore` found.

    Parameters
    ----------
    bits : tuple of float
        Of each layer's symbols, as its quantiser was told.
    grids : tuple of Grid
        Of each layer; codebooks are numbered.
    symbols : tuple of array
        Indices of each layer.
    baseline, score : float
        What the original weights and the shared ones score.
    evaluations : int
        How many sets of weights were scored, the original ones included.
    alone : tuple of dict of float to float
        For each layer and each number of bits that was tried, the score with only this layer
        quantised.
    """

    bits: tuple[float, ...]
    grids: tuple[Grid, ...]
    symbols: tuple[Symbols, ...]
    baseline: float
    score: float
    evaluations: int
    alone: tuple[dict[float, float], ...]

    @property
    def bits_indices(self) -> int:
        """Bits of indices of whole bits each, and of all codebooks."""
        return sum(map(index_bits, self.grids, self.symbols))

    @property
    def bits_coded(self) -> int:
        """Bits of indices of which each layer's take their entropy, and of all codebooks."""
        return sum(map(coded_bits, self.grids, self.symbols))


@dataclass(frozen=True, eq=False)
class Choice:
    """One layer with a number of bits a symbol: what it takes and what it costs alone."""

    layer: int
    rate: float
    grid: Grid
    symbols: Symbols
    restored: FloatArray
    bits: int
    loss: float = 0.0


class Search:
    """Scores sets of weights, and counts how many.

    Parameters
    ----------
    layers, score, each
        As `explore` was told.
    """

    def __init__(self, layers: Sequence[FloatArray], score: Score, each: Map) -> None:
        self.layers = layers
        self.score = score
        self.each = each
        self.evaluations = 0

    def scores(self, trials: Sequence[Sequence[Choice]]) -> list[float]:
        """Return the score of each of several sets of choices; other layers are the original."""
        self.evaluations += len(trials)
        return [float(score) for score in self.each(self.score, [
            self.weights(trial) for trial in trials])]

    def weights(self, choices: Sequence[Choice]) -> list[FloatArray]:
        replaced = list(self.layers)
        for choice in choices:
            replaced[choice.layer] = choice.restored
        return replaced


def explore(layers: Sequence[FloatArray], score: Score, *, drop: float,
            quantiser: Quantiser | None = None, candidates: Sequence[float] = CANDIDATES,
            importance: Sequence[FloatArray] | None = None, coded: bool = True,
            each: Map = map) -> Exploration:
    """Choose the bits of each layer's symbols such that the score drops by at most ``drop``.

    Dupuis, Novo, O'Connor and Bosio (ASP-DAC 2022), who choose how many weights each layer shares,
    split the search, exponential in the number of layers, in two: layers by themselves, then
    combinations of what is left of them. So does this:

    1. Each layer alone is quantised to ever fewer bits, until its score drops by more than the
       whole network's may. Fewer are then never tried. With indices of whole bits, only the number
       with the least loss remains of those that need equally many.
    2. Losses of layers alone are taken to add up. From the most bits everywhere, steps to
       fewer are ordered by loss per bit saved, each layer's own along the lower convex hull of its
       losses. By halving, the most steps are found with which the whole network still keeps to the
       drop. From there layers give up further bits one by one, the greatest saving first; one
       that drops too far is left as it is.

    It differs from the authors' program in that its k-means is exact, where theirs is Lloyd's from
    equal distances; that centroids are int8, not float32; that a layer's search ends with the first
    number that drops too far, where they try all from 2 to 255; and in step 2, where they fit a
    linear regression of the loss to samples and search its Pareto front with NSGA-II. What is found
    here keeps to the drop as scored, but needn't be the optimum. There is no randomness.

    Parameters
    ----------
    layers : sequence of array, shape (Cout, ...)
        Trained weights.
    score : function
        Of weights of all layers, the greater the better, e.g. accuracy. Must be deterministic.
    drop : float
        How much less than the original weights' the score may be, 0 or more.
    quantiser : Quantiser, optional
        What quantises each layer, by itself; by default `CodebookQuantiser`.
    candidates : sequence of float
        Bits to try, falling.
    importance : sequence of array, or None
        What a squared error of each weight counts when its layer is quantised.
    coded : bool
        Whether bits are counted as the entropy of a layer's indices, as an entropy coder takes, or
        as whole bits for each index.
    each : function
        Applies ``score`` to sets of weights, in order, e.g. the ``map`` of an executor.

    Raises
    ------
    ValueError
        If there are no layers, ``drop`` is negative or no number, candidates don't fall or are out
        of range, or no candidate keeps to the drop.
    """
    if not layers:
        raise ValueError("Exploration must have one layer or more, not 0")
    if not drop >= 0:
        raise ValueError(f"Drop of the score must be 0 or more, not {drop:g}")
    if not candidates or any(one <= other for one, other in pairwise(candidates)):
        raise ValueError(f"Candidates must be falling bits, "
                         f"not {', '.join(format(one, 'g') for one in candidates) or 'none'}")
    chosen_quantiser = quantiser or CodebookQuantiser(1)
    search = Search(layers, score, each)
    baseline, = search.scores([()])
    floor = baseline - drop

    def choose(layer: int, rate: float) -> Choice:
        weighting = None if importance is None else [importance[layer]]
        grid, = chosen_quantiser.fit([layers[layer]], weighting, rate)
        symbols, = quantise([layers[layer]], [grid], weighting)
        bits = coded_bits(grid, symbols) if coded else index_bits(grid, symbols)
        return Choice(layer, rate, replace(grid, codebook=layer), symbols,
                      grid.restore(symbols), bits)

    kept, alone = share_alone(search, len(layers), candidates, choose, baseline, floor)
    if not coded:
        kept = [thin(choices) for choices in kept]
    chosen, found = combine(search, kept, floor)
    return Exploration(
        tuple(choice.rate for choice in chosen), tuple(choice.grid for choice in chosen),
        tuple(choice.symbols for choice in chosen), baseline, found, search.evaluations, alone)


def share_alone(search: Search, layers: int, candidates: Sequence[float],
                choose: Callable[[int, float], Choice], baseline: float, floor: float
                ) -> tuple[list[list[Choice]], tuple[dict[float, float], ...]]:
    """Return what each layer alone may be, the most bits first, and all scores of it."""
    kept: list[list[Choice]] = [[] for _ in range(layers)]
    alone: tuple[dict[float, float], ...] = tuple({} for _ in range(layers))
    left = list(range(layers))
    for rate in candidates:
        trials = [choose(layer, rate) for layer in left]
        scores = search.scores([(trial,) for trial in trials])
        left = []
        for trial, found in zip(trials, scores, strict=True):
            alone[trial.layer][rate] = found
            if found >= floor:
                left.append(trial.layer)
                kept[trial.layer].append(replace(trial, loss=max(0.0, baseline - found)))
            elif not kept[trial.layer]:
                raise ValueError(f"Score must be allowed to drop to {found:g} or less, not "
                                 f"{floor:g}, for layer {trial.layer} to have {rate:g} bits")
    return kept, alone


def combine(search: Search, kept: Sequence[Sequence[Choice]], floor: float
            ) -> tuple[list[Choice], float]:
    """Return a choice for each layer with which the whole network keeps to ``floor``."""
    start = [choices[0] for choices in kept]
    steps = sorted((step for choices in kept for step in hull(choices)),
                   key=lambda step: (step[0], step[1].layer))

    def take(count: int) -> list[Choice]:
        chosen = list(start)
        for _, choice in steps[:count]:
            chosen[choice.layer] = choice
        return chosen

    best, (found,) = start, search.scores([start])
    if found < floor:
        raise ValueError(f"Score must be allowed to drop to {found:g} or less, not {floor:g}, for "
                         f"all layers to have {', '.join(f'{one.rate:g}' for one in start)} bits")
    low, high = 0, len(steps) + 1
    while high - low > 1:
        middle = (low + high) // 2
        trial = take(middle)
        score, = search.scores([trial])
        if score >= floor:
            low, best, found = middle, trial, score
        else:
            high = middle
    return descend(search, kept, best, found, floor)


def descend(search: Search, kept: Sequence[Sequence[Choice]], chosen: list[Choice], found: float,
            floor: float) -> tuple[list[Choice], float]:
    """Take further steps of single layers while the network keeps to ``floor``."""
    left = set(range(len(kept)))
    while left:
        further = [next((choice for choice in kept[layer] if choice.bits < chosen[layer].bits
                         and choice.rate < chosen[layer].rate), None) for layer in sorted(left)]
        steps = [choice for choice in further if choice is not None]
        left = {choice.layer for choice in steps}
        if not steps:
            break
        step = max(steps, key=lambda choice: (chosen[choice.layer].bits - choice.bits,
                                              -choice.layer))
        trial = [step if choice.layer == step.layer else choice for choice in chosen]
        score, = search.scores([trial])
        if score >= floor:
            chosen, found = trial, score
        else:
            left.discard(step.layer)
            kept = [choices if layer != step.layer else [chosen[layer]]
                    for layer, choices in enumerate(kept)]
    return chosen, found


def hull(choices: Sequence[Choice]) -> list[tuple[float, Choice]]:
    """Return loss per bit saved, rising, and the choice that each step of a layer leads to."""
    steps: list[tuple[float, Choice]] = []
    current = choices[0]
    while True:
        slopes = [((choice.loss - current.loss) / (current.bits - choice.bits), choice)
                  for choice in choices if choice.bits < current.bits]
        if not slopes:
            return steps
        # Of equal ones the one that saves most, so that no later step is steeper than an earlier.
        slope, current = min(slopes, key=lambda step: (step[0], step[1].bits))
        steps.append((slope, current))


def thin(choices: Sequence[Choice]) -> list[Choice]:
    """Return the one of least loss of those with indices of the same width."""
    best: dict[int, Choice] = {}
    for choice in choices:
        width = index_width(choice.grid)
        if width not in best or choice.loss <= best[width].loss:
            best[width] = choice
    return list(best.values())


def index_width(grid: Grid) -> int:
    return ceil(log2(len(grid.centroids)))


def index_bits(grid: Grid, symbols: Symbols) -> int:
    """Return the bits of indices of whole bits, and of their codebook."""
    return index_width(grid) * symbols.size + codebook_bits(grid)


def coded_bits(grid: Grid, symbols: Symbols) -> int:
    """Return the bits that an ideal entropy coder takes for indices, and of their codebook."""
    return ceil(entropy([symbols]) * symbols.size) + codebook_bits(grid)


def codebook_bits(grid: Grid) -> int:
    """Return the bits of a layer's centroids; integers without a gap need none."""
    plain = grid.centroids == zigzag(len(grid.centroids))
    return 0 if plain else CENTROID_BITS * len(grid.centroids)
