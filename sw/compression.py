"""From a trained network to its ROM image, with everything measured on the way."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from math import isfinite, prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .codecs import (CODECS, Codec, HuffmanCodec, RawCodec, TansCodec, codec_name, layer_bits)
from .format.sections import FormatError
from .format.target import PRESETS, Target
from .format.tables import AutomatonShape, PrefixTable, RawShape, TansShape
from .image import Decoder, Image, build_image, load_image, read_image
from .metrics import Distortion, Size, distortion, entropy
from .network import (FloatNetwork, Layer, Network, Quantisation, calibrate, calibrate_input,
                      float_network, integer_network, replace_weights)
from .quantize import (CodebookQuantiser, FloatArray, Grid, Quantiser, StepQuantiser, Symbols,
                       UniformQuantiser, correct_biases, quantise)
from .quantize.compensated import compensate
from .quantize.grid import zigzag
from .quantize.scales import Granularity
from .score import answer, score
from .zoo import (IMPORTERS, Data, load_calibration, load_data, load_labelled, load_network,
                  load_source)


__all__ = ["CODECS", "DEFAULT_BITS", "DEFAULT_CODEC", "DEFAULT_TARGET", "QUANTISERS",
           "Compression", "LayerFigures", "check_options", "compare", "compress", "fit",
           "measure_image", "size_figures", "without_infinity"]


#: What ``bits`` is by default. For digits, accuracy stays within a point even at 1.8 bits.
DEFAULT_BITS = {"step": 2.25, "uniform": 8, "codebook": 4, "compensated": 3}
QUANTISERS = tuple(DEFAULT_BITS)
#: An automaton's alphabet is too small for 8 bits.
DEFAULT_CODEC = {"step": "huffman", "uniform": "raw", "codebook": "huffman",
                 "compensated": "huffman"}
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
    target : Target, optional
        What the image is for, with the decoder that reads it.
    data : bytes
        The ROM image.
    image : Image
        What it holds.
    network : Network
        The integer network as it was put in, names included.
    accuracy_float, accuracy_int : float, optional
        Share of ``n`` held-out inputs that the network as the model file has it and the one in the
        image get right; of an autoencoder the areas under the ROC curve (`sw.score`).
    halved : bool
        Whether other inputs of the same file calibrated.
    """

    quantiser: str
    codec: str
    bits: float | None
    error: float | None
    target: Target | None
    data: bytes
    image: Image
    network: Network
    layers: tuple[LayerFigures, ...]
    size: Size
    distortion: Distortion
    entropy: float
    accuracy_float: float | None
    accuracy_int: float | None
    n: int
    halved: bool

    @property
    def name(self) -> str:
        """What reports call the network."""
        return self.network.name

    def report(self) -> dict[str, Any]:
        """Return all figures, named as in report.json; no SQNR where there is no error."""
        return {
            "model": {
                "name": self.network.name, "weights": self.network.weights,
                "macs": self.network.macs, "accuracy_float": self.accuracy_float,
                "accuracy_int": self.accuracy_int, "n": self.n},
            "compression": {
                "quantiser": self.quantiser, "codec": self.codec, **size_figures(self.size),
                "entropy_bits_per_weight": self.entropy, **without_infinity(self.distortion)},
            "layers": [{
                "name": layer.name, "weights": layer.weights,
                "bits_per_weight": layer.bits_per_weight, "layer_entropy": layer.layer_entropy,
                **without_infinity(layer.distortion)} for layer in self.layers],
        }


def compress(model: str | Path, *, quantiser: str = "step", codec: str | None = None,
             bits: float | None = None, error: float | None = None,
             granularity: Granularity | None = None, target: Target | None = DEFAULT_TARGET,
             data: Path | None = None, calibration: Path | None = None) -> Compression:
    """Compress a network into a ROM image.

    Parameters
    ----------
    model : str or Path
        Name of a network that ships, or a model file: npz, tflite, onnx or pt2.
    quantiser : {"step", "uniform", "codebook", "compensated"}
        How weights become symbols. ``"uniform"`` with 8 bits keeps an int8 model as it is;
        ``"compensated"`` rounds by the effect on the network's outputs, and needs inputs.
    codec : {"huffman", "raw", "tans"}, optional
        How symbols are coded. The target's decoder is made to match. By default ``DEFAULT_CODEC``.
    bits : float, optional
        Rate of the step and the compensated quantiser, in bits per weight with the code table; bits
        of a symbol for the others, ``log2(12)`` for 12 shared weights. By default ``DEFAULT_BITS``.
    error : float, optional
        Mean squared error that the step quantiser keeps to, in place of ``bits``.
    granularity : {"tensor", "channel"}, optional
        Whether a layer's filters have one scale or one each. By default, one each with the uniform
        quantiser, one with codebooks; the step quantiser has nothing else.
    target : Target, optional
        What will run the network; None for an image without a schedule, of any network.
    data : Path, optional
        npz file of held-out inputs ``x`` and their classes ``y``, by default the one beside an npz
        model. Here and in ``calibration``, int8 inputs of an int8 model are taken as it takes them,
        others as the user's.
    calibration : Path, optional
        npz file of inputs ``x``, e.g. 100 training samples. Float models of other projects need
        them, and the compensated quantiser; others correct biases only with them. If they are those
        in ``data``, or only ``data`` are given, a seeded half of these calibrates and the other one
        judges.

    Raises
    ------
    ValueError
        If an option is unknown or out of range, the model can't be used (`ModelError`) or has no
        weights or too large ones, the target can't run it (`ScheduleError`), or the automaton can't
        decode so many symbols.
    """
    codec = check_options(quantiser, codec, error, granularity)
    source = load_source(model)
    trained = float_network(source) if isinstance(source, Network) else source
    needed = quantiser == "compensated" or (source is trained and is_foreign(model))
    samples = load_samples(model, source, data, calibration, calibrates=needed)
    if source is trained and not samples.calibration.size:
        raise ValueError(f"{model}: a float network must be calibrated: give inputs with "
                         f"--calibrate FILE.npz")
    if source is trained and is_foreign(model):
        source = trained = calibrate_input(trained, samples.calibration)
    automaton = target.decoder if target else AutomatonShape()
    shape = automaton if isinstance(automaton, AutomatonShape) else AutomatonShape()
    if target and codec == "tans":
        raise ValueError("Codec must be huffman or raw for a target, since none decodes tans yet: "
                         "compress with --target none")
    coded_for: RawShape | AutomatonShape = shape if codec == "huffman" else RawShape()
    target = target.with_decoder(coded_for) if target else None
    decoder = TansShape() if codec == "tans" else coded_for
    bits = DEFAULT_BITS[quantiser] if bits is None else bits

    weights: list[FloatArray] = [layer.weights for layer in trained.weighted
                                 if layer.weights is not None]
    if not weights:
        raise ValueError(f"{model}: network must have weights")
    with floats_of(model):
        if isinstance(source, Network) and quantiser == "uniform" and bits == 8 \
                and granularity != "tensor":
            network = source
            grids, symbols = keep(network.weighted)
            restored = weights
        elif quantiser == "compensated":
            if not samples.calibration.size:
                raise ValueError(f"{model}: the compensated quantiser must have inputs: give "
                                 f"--calibrate FILE.npz")
            found = compensate(trained, samples.calibration, bits=bits, rate=rate_of(decoder),
                               limit=greatest_integer(decoder))
            grids, symbols = found.grids, list(found.symbols)
            restored = [grid.restore(chosen) for grid, chosen in zip(grids, symbols, strict=True)]
            network = quantised_network(source, trained, found.network, samples.calibration, grids,
                                        symbols, as_tflite=target is None)
        else:
            # Layers of models from elsewhere are scaled anyhow: errors count relative to weights.
            importance = ([1 / np.maximum(np.square(layer).mean(keepdims=True), 1e-30)
                           for layer in weights] if is_foreign(model) else None)
            grids = fit(weights, importance, quantiser, bits, error, granularity, shape,
                        target.codebooks if target else len(weights))
            symbols = quantise(weights, grids, importance)
            restored = [grid.restore(chosen) for grid, chosen in zip(grids, symbols, strict=True)]
            corrected = (correct_biases(trained, restored, samples.calibration)
                         if samples.calibration.size else trained)
            network = quantised_network(source, trained, corrected, samples.calibration, grids,
                                        symbols, as_tflite=target is None)
        contents = build_image(network, grids, symbols, target, decoder)
        image = read_image(contents, name=network.name, target=target)
        return measure(quantiser, codec, bits, error, target, contents, image, network, restored,
                       source, samples)


def is_foreign(model: str | Path) -> bool:
    """Return whether a model's file is one of other projects, which say nothing of inputs."""
    return Path(model).suffix in IMPORTERS


def load_samples(model: str | Path, source: FloatNetwork | Network, data: Path | None,
                 calibration: Path | None, *, calibrates: bool) -> Data:
    """Return the data that the user names, or those that lie beside the model, or none.

    Of one file a seeded half calibrates and the other judges, where it is named for both or is the
    only one and ``calibrates`` says that inputs are needed.
    """
    nothing = np.empty((0, *source.input_shape))
    samples = (Data(nothing, np.empty(0, np.int64), nothing) if is_foreign(model) or data
               else load_data(model))
    if data is not None:
        x, y = load_labelled(data)
        samples = replace(samples, x=x, y=y)
    if calibration is not None:
        samples = replace(samples, calibration=load_calibration(calibration))
    if data is not None and (calibration == data or (calibrates and calibration is None)):
        order = np.random.default_rng(0).permutation(len(samples.y))
        half = len(order) // 2
        samples = Data(samples.x[np.sort(order[half:])], samples.y[np.sort(order[half:])],
                       samples.x[np.sort(order[:half])], halved=True)
    return replace(samples, x=users_inputs(model, source, samples.x),
                   calibration=users_inputs(model, source, samples.calibration))


def users_inputs(model: str | Path, source: FloatNetwork | Network, x: NDArray[Any]
                 ) -> NDArray[Any]:
    shape = source.input_shape
    if x.shape[1:] != shape and (len(x.shape) != 2 or x.shape[1] != prod(shape)):
        raise ValueError(f"{model}: data must have inputs of shape {shape}, not {x.shape[1:]}")
    if isinstance(source, Network) and x.dtype == np.int8:
        x = Quantisation(source.input.scale, source.input.zero_point).restore(x)
        x = x * source.input.divisor + source.input.mean
    return x.reshape(-1, *shape)


def keep(layers: Sequence[Layer]) -> tuple[tuple[Grid, ...], list[Symbols]]:
    """Return grids and symbols that stand for the layers' own integers."""
    weights = [layer.weights.astype(np.int64) for layer in layers if layer.weights is not None]
    return (tuple(Grid(zigzag(256), layer.weight_scale) for layer in layers),
            [np.where(values < 0, -2 * values - 1, 2 * values) for values in weights])


def rate_of(decoder: Decoder) -> Callable[[Sequence[Symbols]], float]:
    """Return what tells how many bits zigzag symbols take, coded for ``decoder``."""
    if isinstance(decoder, TansShape):
        tans = TansCodec(decoder)
        return lambda layers: tans.bits([(chosen >> 1) ^ -(chosen & 1) for chosen in layers])
    codec: Codec[Any] = (RawCodec() if isinstance(decoder, RawShape) else HuffmanCodec(decoder))
    return codec.bits


def greatest_integer(decoder: Decoder) -> int:
    """Return the greatest integer of a quantiser whose symbols ``decoder`` decodes."""
    return (decoder.symbols - 1) // 2 if isinstance(decoder, AutomatonShape) else 63


def quantised_network(source: FloatNetwork | Network, trained: FloatNetwork,
                      corrected: FloatNetwork, calibration: NDArray[Any], grids: Sequence[Grid],
                      symbols: Sequence[Symbols], *, as_tflite: bool) -> Network:
    """Return ``source`` with the weights that symbols stand for and the biases of ``corrected``."""
    weights = [(grid.integers(chosen), grid.scale)
               for grid, chosen in zip(grids, symbols, strict=True)]
    if isinstance(source, Network):
        return replace_weights(source, corrected, weights)
    return integer_network(corrected, calibrate(trained, calibration), weights,
                           as_tflite=as_tflite)


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
    return measure("given", codec_name(table), None, None, target, path.read_bytes(), image,
                   network, restored, trained, data)


def check_network(network: Network, trained: FloatNetwork) -> None:
    if network.input != trained.input:
        raise ValueError(f"input must be {trained.input}, not {network.input}")
    if len(network.layers) != len(trained.layers):
        raise ValueError(f"it must have {len(trained.layers)} layers, not {len(network.layers)}")
    for layer, wanted in zip(network.layers, trained.layers, strict=True):
        stored = layer.descriptor
        inputs = [(stored.input_scale, stored.input_zero_point)]
        inputs += [stored.addend] if stored.addend else []
        expected = wanted.describe([Quantisation(*given) for given in inputs],
                                   Quantisation(stored.output_scale, stored.output_zero_point))
        for name, value in vars(replace(expected, codebook=stored.codebook)).items():
            if getattr(stored, name) != value:
                raise ValueError(f"{name.replace('_', ' ')} of {wanted.name} must be {value!r}, "
                                 f"not {getattr(stored, name)!r}")


def measure(quantiser: str, codec: str, bits: float | None, error: float | None,
            target: Target | None,
            contents: bytes, image: Image, network: Network, restored: Sequence[FloatArray],
            source: FloatNetwork | Network, data: Data) -> Compression:
    trained = float_network(source) if isinstance(source, Network) else source
    weights = [layer.weights for layer in trained.weighted if layer.weights is not None]
    layers = tuple(
        LayerFigures(layer.name, original.size, bits_taken / original.size, entropy([chosen]),
                     distortion([original], [values]))
        for layer, original, chosen, bits_taken, values in zip(
            network.weighted, weights, image.symbols, layer_bits(image.symbols, image.table),
            restored, strict=True))
    return Compression(
        quantiser, codec, bits, error, target, contents, image, network, layers,
        Size(network.weights, sum(len(layer.bias) for layer in network.weighted),
             image.bytes_image, image.bytes_weights),
        distortion(weights, restored), entropy(image.symbols),
        accuracy(source, data), accuracy(network, data), len(data.y), data.halved)


def accuracy(network: FloatNetwork | Network, data: Data) -> float | None:
    return score(answer(network, data.x), data.y) if len(data.y) else None


def without_infinity(distortion: Distortion) -> dict[str, float | None]:
    return {name: figure if isfinite(figure) else None
            for name, figure in asdict(distortion).items()}


def size_figures(size: Size) -> dict[str, float]:
    """Return the figures of a size, named as in report.json."""
    return {name: getattr(size, name) for name in (
        "bytes_float32", "bytes_int8", "bytes_image", "bytes_weights", "bytes_network", "ratio",
        "factor", "factor_int8", "bits_per_weight")}


def check_options(quantiser: str, codec: str | None, error: float | None,
                  granularity: Granularity | None) -> str:
    """Return the codec, by default the quantiser's, or refuse options that don't go together."""
    check_choice("Quantiser", quantiser, QUANTISERS)
    codec = DEFAULT_CODEC[quantiser] if codec is None else codec
    check_choice("Codec", codec, tuple(CODECS))
    if error is not None and quantiser != "step":
        raise ValueError(f"Only the step quantiser keeps to an error, not {quantiser}")
    if granularity == "channel" and quantiser == "step":
        raise ValueError("Granularity must be tensor for the step quantiser, not channel")
    return codec


def check_choice(label: str, choice: str, choices: Sequence[str]) -> None:
    if choice not in choices:
        raise ValueError(f"{label} must be one of {', '.join(choices)}, not {choice}")


def fit(weights: Sequence[FloatArray], importance: Sequence[FloatArray] | None, quantiser: str,
        bits: float, error: float | None, granularity: Granularity | None, shape: AutomatonShape,
        codebooks: int) -> tuple[Grid, ...]:
    if error is not None:
        return StepQuantiser(shape).fit_error(weights, importance, error)
    quantisers: dict[str, Quantiser] = {
        "step": StepQuantiser(shape), "uniform": UniformQuantiser(granularity or "channel"),
        "codebook": CodebookQuantiser(codebooks, granularity=granularity or "tensor")}
    return quantisers[quantiser].fit(weights, importance, bits)


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
