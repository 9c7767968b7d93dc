"""From a trained network to its ROM image, with everything measured on the way."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from . import golden
from .codecs import codeword_bits
from .format.sections import FormatError
from .format.target import PRESETS, Target
from .format.tables import AutomatonShape, PrefixTable, RawShape
from .image import Image, build_image, load_image, read_image
from .metrics import Distortion, Size, distortion, entropy
from .network import FloatNetwork, Network, Quantisation, calibrate, integer_network
from .quantize import (CodebookQuantiser, FloatArray, Grid, Quantiser, StepQuantiser,
                       UniformQuantiser, correct_biases, quantise)
from .zoo import Data, load_data, load_network


__all__ = ["CODECS", "DEFAULT_BITS", "DEFAULT_CODEC", "DEFAULT_TARGET", "QUANTISERS",
           "Compression", "LayerFigures", "compare", "compress", "measure_image"]


#: What ``bits`` is by default. For digits, accuracy stays within a point even at 1.8 bits.
DEFAULT_BITS = {"step": 2.25, "uniform": 8, "codebook": 4}
QUANTISERS = tuple(DEFAULT_BITS)
CODECS = ("huffman", "raw")
#: An automaton's alphabet is too small for 8 bits.
DEFAULT_CODEC = {"step": "huffman", "uniform": "raw", "codebook": "huffman"}
DEFAULT_TARGET = PRESETS["ulx3s", "85F"]


@dataclass(frozen=True)
class LayerFigures:
    """Figures of one layer.

    Parameters
    ----------
    bits_per_weight : float
        Of its codewords alone; tables and padding count in the total.
    layer_entropy : float
        Order-0 entropy of its own symbols, in bits.
    """

    name: str
    weights: int
    bits_per_weight: float
    layer_entropy: float
    distortion: Distortion


@dataclass(frozen=True, eq=False)
class Compression:
    """A ROM image and its figures.

    Parameters
    ----------
    quantiser, codec, bits, error
        As `compress` was told.
    target : Target
        What the image is for, with the decoder that reads it.
    data : bytes
        The ROM image.
    image : Image
        What it holds.
    network : Network
        The integer network as it was put in, names included.
    accuracy_float, accuracy_int : float
        Share of ``n`` held-out inputs that the trained and the integer network get right.
    """

    quantiser: str
    codec: str
    bits: float | None
    error: float | None
    target: Target
    data: bytes
    image: Image
    network: Network
    layers: tuple[LayerFigures, ...]
    size: Size
    distortion: Distortion
    entropy: float
    accuracy_float: float
    accuracy_int: float
    n: int

    def report(self) -> dict[str, Any]:
        """Return all figures, named as in report.json; no SQNR where there is no error."""
        sizes = {name: getattr(self.size, name) for name in (
            "bytes_float32", "bytes_int8", "bytes_image", "bytes_weights", "bytes_network", "ratio",
            "factor", "factor_int8", "bits_per_weight")}
        return {
            "model": {
                "name": self.network.name, "weights": self.network.weights,
                "macs": self.network.macs, "accuracy_float": self.accuracy_float,
                "accuracy_int": self.accuracy_int, "n": self.n},
            "compression": {
                "quantiser": self.quantiser, "codec": self.codec, **sizes,
                "entropy_bits_per_weight": self.entropy, **without_infinity(self.distortion)},
            "layers": [{
                "name": layer.name, "weights": layer.weights,
                "bits_per_weight": layer.bits_per_weight, "layer_entropy": layer.layer_entropy,
                **without_infinity(layer.distortion)} for layer in self.layers],
        }


def compress(model: str | Path, *, quantiser: str = "step", codec: str | None = None,
             bits: float | None = None, error: float | None = None,
             target: Target = DEFAULT_TARGET) -> Compression:
    """Compress a network into a ROM image.

    Parameters
    ----------
    model : str or Path
        Name of a network that ships, or a model file with its data beside it.
    quantiser : {"step", "uniform", "codebook"}
        How weights become symbols.
    codec : {"huffman", "raw"}, optional
        How symbols are coded. The target's decoder is made to match. By default ``DEFAULT_CODEC``.
    bits : float, optional
        Rate of the step quantiser, in bits per weight with the code table; bits of a symbol for the
        others. By default ``DEFAULT_BITS``.
    error : float, optional
        Mean squared error that the step quantiser keeps to, in place of ``bits``.
    target : Target
        What will run the network.

    Raises
    ------
    ValueError
        If an option is unknown or out of range, the model can't be used (`ModelError`) or has no
        weights or too large ones, the target can't run it (`ScheduleError`), or the automaton can't
        decode so many symbols.
    """
    check_choice("Quantiser", quantiser, QUANTISERS)
    codec = DEFAULT_CODEC[quantiser] if codec is None else codec
    check_choice("Codec", codec, CODECS)
    if error is not None and quantiser != "step":
        raise ValueError(f"Only the step quantiser keeps to an error, not {quantiser}")
    trained, data = load_network(model), load_data(model)
    if trained.input_shape != data.x.shape[1:]:
        raise ValueError(f"{model}: data must have inputs of shape {trained.input_shape}, "
                         f"not {data.x.shape[1:]}")
    shape = target.decoder if isinstance(target.decoder, AutomatonShape) else AutomatonShape()
    target = target.with_decoder(shape if codec == "huffman" else RawShape())
    bits = DEFAULT_BITS[quantiser] if bits is None else bits

    weights = [layer.weights for layer in trained.weighted if layer.weights is not None]
    if not weights:
        raise ValueError(f"{model}: network must have weights")
    with floats_of(model):
        grids = fit(weights, quantiser, bits, error, shape, target)
        symbols = quantise(weights, grids)
        restored = [grid.restore(chosen) for grid, chosen in zip(grids, symbols, strict=True)]
        network = integer_network(
            correct_biases(trained, restored, data.calibration),
            calibrate(trained, data.calibration),
            [(grid.integers(chosen), grid.scale)
             for grid, chosen in zip(grids, symbols, strict=True)])
        contents = build_image(network, grids, symbols, target)
        image = read_image(contents, name=network.name, target=target)
        return measure(quantiser, codec, bits, error, target, contents, image, network, restored,
                       trained, data)


@contextmanager
def floats_of(model: str | Path) -> Iterator[None]:
    """Refuse weights with which a computation leaves the range of its floats."""
    try:
        with np.errstate(over="raise", invalid="raise"):
            yield
    except FloatingPointError as error:
        raise ValueError(f"{model}: weights and biases must be smaller: {error}") from None


def measure_image(path: Path, model: str | Path, *, target: Target = DEFAULT_TARGET
                  ) -> Compression:
    """Return an image that was made before, measured as an image of ``model``.

    Its quantiser is called "given".

    Raises
    ------
    ValueError
        If the image breaks the format (`FormatError`), is for another target, or has another input
        or other layers than the model.
    """
    trained, data = load_network(model), load_data(model)
    try:
        table = load_image(path).table
        target = target.with_decoder(table.shape if isinstance(table, PrefixTable) else RawShape())
        image = load_image(path, target=target)
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from error
    try:
        check_network(image.network, trained)
    except ValueError as error:
        raise ValueError(f"{path}: image must be one of {model}: {error}") from None
    network = replace(image.network, name=trained.name, layers=tuple(
        replace(stored, name=layer.name)
        for stored, layer in zip(image.network.layers, trained.layers, strict=True)))
    restored = [layer.weights * layer.weight_scale[:, None, None, None]
                for layer in network.weighted if layer.weights is not None]
    codec = "huffman" if isinstance(table, PrefixTable) else "raw"
    return measure("given", codec, None, None, target, path.read_bytes(), image, network, restored,
                   trained, data)


def check_network(network: Network, trained: FloatNetwork) -> None:
    if network.input != trained.input:
        raise ValueError(f"input must be {trained.input}, not {network.input}")
    if len(network.layers) != len(trained.layers):
        raise ValueError(f"it must have {len(trained.layers)} layers, not {len(network.layers)}")
    for layer, wanted in zip(network.layers, trained.layers, strict=True):
        stored = layer.descriptor
        expected = wanted.describe(Quantisation(stored.input_scale, stored.input_zero_point),
                                   Quantisation(stored.output_scale, stored.output_zero_point))
        for name, value in vars(expected).items():
            if getattr(stored, name) != value:
                raise ValueError(f"{name.replace('_', ' ')} of {wanted.name} must be {value!r}, "
                                 f"not {getattr(stored, name)!r}")


def measure(quantiser: str, codec: str, bits: float | None, error: float | None, target: Target,
            contents: bytes, image: Image, network: Network, restored: Sequence[FloatArray],
            trained: FloatNetwork, data: Data) -> Compression:
    weights = [layer.weights for layer in trained.weighted if layer.weights is not None]
    layers = tuple(
        LayerFigures(layer.name, original.size,
                     codeword_bits(chosen.ravel(), image.table) / original.size, entropy([chosen]),
                     distortion([original], [values]))
        for layer, original, chosen, values in zip(network.weighted, weights, image.symbols,
                                                   restored, strict=True))
    return Compression(
        quantiser, codec, bits, error, target, contents, image, network, layers,
        Size(network.weights, sum(len(layer.bias) for layer in network.weighted),
             image.bytes_image, image.bytes_weights),
        distortion(weights, restored), entropy(image.symbols),
        float(np.mean(trained.classify(data.x) == data.y)),
        float(np.mean(golden.classify(network, data.x) == data.y)), len(data.y))


def without_infinity(distortion: Distortion) -> dict[str, float | None]:
    return {name: figure if isfinite(figure) else None
            for name, figure in asdict(distortion).items()}


def check_choice(label: str, choice: str, choices: Sequence[str]) -> None:
    if choice not in choices:
        raise ValueError(f"{label} must be one of {', '.join(choices)}, not {choice}")


def fit(weights: Sequence[FloatArray], quantiser: str, bits: float, error: float | None,
        shape: AutomatonShape, target: Target) -> tuple[Grid, ...]:
    if error is not None:
        return StepQuantiser(shape).fit_error(weights, None, error)
    quantisers: dict[str, Quantiser] = {
        "step": StepQuantiser(shape), "uniform": UniformQuantiser(),
        "codebook": CodebookQuantiser(target.codebooks)}
    return quantisers[quantiser].fit(weights, None, bits)


def compare(model: str | Path, *, target: Target = DEFAULT_TARGET) -> tuple[Compression, ...]:
    """Compress a network in the ways worth comparing.

    Returns
    -------
    tuple of Compression
        int8 as it is, 16 shared weights, a step with the same error, and the default.
    """
    shared = compress(model, quantiser="codebook", bits=4, target=target)
    return (compress(model, quantiser="uniform", codec="raw", target=target), shared,
            compress(model, error=shared.distortion.mse, target=target),
            compress(model, target=target))
