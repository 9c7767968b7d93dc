"""From weights alone, arrays without a network, to their ROM image, with everything measured."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .choice import choose, decoders
from .codecs import codec_name, layer_bits
from .compression import (LayerFigures, coders, fit, relative, size_figures,
                          without_infinity)
from .format.arrays import ArrayDescriptor, check_arrays
from .format.tables import WIDE_RAW_BITS
from .importers.npz import ModelError, WeightsAlone
from .metrics import Distortion, Size, distortion, entropy
from .plan import Plan, check_choice
from .quantize import FloatArray, Grid, LinearGrid, UniformQuantiser
from .weights_image import WeightsImage, build_weights_image, is_coded, read_weights_image
from .zoo import load_model


__all__ = ["WeightsCompression", "compress_weights"]


#: Quantisers that need no network.
QUANTISERS = ("step", "uniform", "codebook")

@dataclass(frozen=True, eq=False)
class WeightsCompression:
    """A ROM image of weights alone and its figures.

    Parameters
    ----------
    plan : Plan
        How it was made.
    data : bytes
        The ROM image.
    image : WeightsImage
        What it holds.
    arrays : tuple of LayerFigures
        Of each array that is coded.
    """

    plan: Plan
    data: bytes
    image: WeightsImage
    arrays: tuple[LayerFigures, ...]
    size: Size
    distortion: Distortion
    entropy: float

    @property
    def name(self) -> str:
        """What reports call the weights: the file's name."""
        return self.image.name

    @property
    def quantiser(self) -> str:
        """What made symbols of weights."""
        return self.plan.quantiser

    @property
    def codec(self) -> str:
        """What coded them."""
        return codec_name(self.image.table)

    def report(self) -> dict[str, Any]:
        """Return all figures, named as in report.json; no SQNR where there is no error."""
        return {
            "model": {"name": self.name, "weights": self.size.weights,
                      "plain_values": self.size.biases},
            "compression": {
                "quantiser": self.quantiser, "codec": self.codec, **size_figures(self.size),
                "entropy_bits_per_weight": self.entropy, **without_infinity(self.distortion)},
            "arrays": [{
                "name": array.name, "weights": array.weights,
                "bits_per_weight": array.bits_per_weight, "layer_entropy": array.layer_entropy,
                **without_infinity(array.distortion)} for array in self.arrays],
            "plan": asdict(self.plan),
        }


def compress_weights(model: str | Path | WeightsAlone, plan: Plan | None = None,
                     **choices: Any) -> WeightsCompression:
    """Compress weights alone into a ROM image, which no target runs.

    Arrays of two axes or more are quantised and coded; their first axis counts the filters. Others
    (biases, norms) are kept as they are. Errors count relative to each array's own weights.

    Parameters
    ----------
    model : str or Path or WeightsAlone
        A file of them, safetensors or npz, or they themselves.
    plan : Plan, optional
        How; the quantiser may be step, uniform, which may have 16 bits, coded raw, or codebook.
    **choices
        Fields of `Plan`, where no plan is given.

    Raises
    ------
    ValueError
        If a choice is unknown or out of range, the file can't be used or holds a network
        (`ModelError`), there are no arrays to code, or more than an image holds.
    """
    plan = plan or Plan(**choices)
    check_choice("Quantiser of weights alone", plan.quantiser, QUANTISERS)
    if plan.prune:
        raise ValueError("Weights alone must not be pruned: nothing says what that would do")
    source = model if isinstance(model, WeightsAlone) else load_model(model)
    if not isinstance(source, WeightsAlone):
        raise ModelError(f"{model}: must hold weights alone, not a network")
    names = [name for name, array in source.arrays.items() if is_coded(array)]
    if not names:
        raise ModelError(f"{source.name}: must have weights, arrays of two axes or more")
    # Before much is computed: can an image hold them?
    check_arrays([ArrayDescriptor(name, array.shape, (1.0,) if is_coded(array) else ())
                  for name, array in source.arrays.items()])
    weights: list[FloatArray] = [as_filters(source.arrays[name]) for name in names]
    # Arrays are scaled anyhow: errors count relative to weights.
    importance = relative(weights)
    try:
        with np.errstate(over="raise", invalid="raise"):
            grids = fit_arrays(weights, importance, plan)
            symbols = [grid.quantise(array, factor) for grid, array, factor in zip(
                grids, weights, importance, strict=True)]
    except FloatingPointError as complaint:
        raise ValueError(f"{source.name}: weights must be smaller: {complaint}") from None
    data = choose(plan, None, lambda decoder, _: (
        build_weights_image(source.arrays, grids, symbols, decoder), None)).contents
    return measure(plan, source, data, read_weights_image(data, name=source.name))


def as_filters(array: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return an array in the shape that quantisers take: (first axis, 1, 1, n)."""
    return array.reshape(len(array), 1, 1, -1)


def fit_arrays(weights: Sequence[FloatArray], importance: Sequence[FloatArray], plan: Plan
               ) -> Sequence[Grid | LinearGrid]:
    """Return the grid of each array; one codebook serves all of them."""
    if plan.quantiser == "uniform" and plan.bits == WIDE_RAW_BITS:
        wide = UniformQuantiser(plan.granularity or "channel")
        return wide.fit_arrays(weights, importance, WIDE_RAW_BITS)
    return fit(weights, importance, plan, coders(decoders(plan, None), None), 1)


def measure(plan: Plan, source: WeightsAlone, data: bytes, image: WeightsImage
            ) -> WeightsCompression:
    originals = [source.arrays[array.name] for array in image.coded]
    restored = [image.arrays[array.name] for array in image.coded]
    figures = tuple(
        LayerFigures(array.name, array.size, taken / array.size, entropy([chosen]),
                     distortion([original], [values]))
        for array, chosen, taken, original, values in zip(
            image.coded, image.symbols, layer_bits(image.symbols, image.table), originals,
            restored, strict=True))
    size = Size(image.weights, image.plain_values, image.bytes_image, image.bytes_weights)
    return WeightsCompression(plan, data, image, figures, size, distortion(originals, restored),
                              entropy(image.symbols))
