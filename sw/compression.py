"""From a trained network to its ROM image, with everything measured on the way."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from math import isfinite, prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .choice import choose, decoders
from .codecs import CODECS, Codec, Decoder, HuffmanCodec, TansCodec, codec_name
from .format.predictors import Predicted
from .format.sections import FormatError
from .format.lanes import TansLanes
from .format.target import PRESETS, Target, alternatives, decoder_shapes, larger
from .format.tables import AutomatonShape, TansShape
from .image import Image, build_image, load_image, read_image
from .metrics import Distortion, Size, distortion, entropy
from .network import (FloatNetwork, Layer, Network, Quantisation, calibrate, calibrate_input,
                      float_network, integer_network, replace_weights)
from .order import by_spread, reorder
from .plan import NO_PREDICTOR, Plan
from .predicted import Prediction, predict_residuals, predict_weights
from .quantize import (CodebookQuantiser, FloatArray, Grid, StepQuantiser, Symbols,
                       UniformQuantiser, check_zeros, correct_biases, prune, quantise)
from .quantize.compensated import compensate
from .quantize.grid import zigzag, zigzag_symbols
from .score import answer, score
from .zoo import (IMPORTERS, Data, load_calibration, load_data, load_labelled, load_network,
                  load_source)


__all__ = ["DEFAULT_TARGET", "Compression", "LayerFigures", "compare", "compress",
           "fit", "measure_image", "sample_inputs", "size_figures", "without_infinity"]


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
    plan : Plan or None
        How it was made; None for an image that was there before.
    target : Target, optional
        What the image is for, with the decoder that reads it.
    data : bytes
        The ROM image.
    image : Image
        What it holds.
    network : Network
        The integer network as it was put in, names included. Coded with tANS its channels may lie
        in another order than the model's.
    accuracy_float, accuracy_int : float, optional
        Share of ``n`` held-out inputs that the network as the model file has it and the one in the
        image get right; of an autoencoder the areas under the ROC curve (`sw.score`).
    halved : bool
        Whether other inputs of the same file calibrated.
    notes : tuple of str
        What the plan asked for and layers didn't get, and why.
    """

    plan: Plan | None
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
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What reports call the network."""
        return self.network.name

    @property
    def quantiser(self) -> str:
        """What made symbols of weights, or predicted them; "given" for an image made before."""
        if self.plan is None:
            return "given"
        if self.plan.residual:
            return f"{self.plan.quantiser} less {self.plan.predictor}"
        return self.plan.predictor if self.plan.generates else self.plan.quantiser

    @property
    def codec(self) -> str:
        """What coded them."""
        return codec_name(self.image.table)

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
            "notes": list(self.notes),
            "plan": asdict(self.plan) if self.plan else None,
        }


def compress(model: str | Path, plan: Plan | None = None, *,
             target: Target | None = DEFAULT_TARGET, data: str | Path | None = None,
             calibration: str | Path | None = None,
             progress: Callable[[str], None] = lambda _: None, **choices: Any) -> Compression:
    """Compress a network into a ROM image.

    Parameters
    ----------
    model : str or Path
        Name of a network that ships, or a model file: npz, tflite, onnx or pt2.
    plan : Plan, optional
        How.
    target : Target, optional
        What will run the network, or the next larger one of its device where that is too small;
        None for an image without a schedule, of any network.
    data : Path, optional
        npz file of held-out inputs ``x`` and their classes ``y``, by default the one beside an npz
        model. Here and in ``calibration``, int8 inputs of an int8 model are taken as it takes them,
        others as the user's.
    calibration : Path, optional
        npz file of inputs ``x``, e.g. 100 training samples. Float models of other projects need
        them, and the compensated quantiser; others correct biases only with them. If they are those
        in ``data``, or only ``data`` are given, a seeded half of these calibrates and the other one
        judges.
    progress : function
        Told in a few words how far a predictor's fit is.
    **choices
        Fields of `Plan`, where no plan is given: ``compress("digits", bits=2)``.

    Raises
    ------
    ValueError
        If a choice is unknown or out of range, the model can't be used (`ModelError`) or has no
        weights or too large ones, the target can't run it (`ScheduleError`), or the decoder can't
        read so many symbols.
    """
    plan = plan or Plan(**choices)
    possible = decoders(plan, target)
    if plan.predictor != NO_PREDICTOR and target is not None:
        raise ValueError(f"Predictor must be none for a target, not {plan.predictor}: compress "
                         f"with --target none")
    source, trained, samples = load_all(model, plan.quantiser, data, calibration)
    weights = weights_of(trained)
    with floats_of(model):
        prediction: Prediction | None = None
        grids: tuple[Grid, ...] = ()
        symbols: list[Symbols] = []
        if plan.generates:
            prediction, network, restored = generated(plan, source, trained, samples.calibration,
                                                      progress)
        elif isinstance(source, Network) and keeps_integers(plan):
            network = source
            grids, symbols = keep(network.weighted)
            restored = weights
        elif plan.quantiser == "compensated":
            if not samples.calibration.size:
                raise ValueError(f"{model}: the compensated quantiser must have inputs: give "
                                 f"--calibrate FILE.npz")
            found = compensate(trained, samples.calibration, bits=plan.rate,
                               rate=rate_of(possible), limit=greatest_integer(possible[0]))
            grids, symbols = found.grids, list(found.symbols)
            restored = [grid.restore(chosen) for grid, chosen in zip(grids, symbols, strict=True)]
            network = quantised_network(source, trained, found.network, samples.calibration, grids,
                                        symbols)
        else:
            # Layers of models from elsewhere are scaled anyhow: errors count relative to weights.
            importance = relative(weights) if is_foreign(model) else None
            kept = prune(weights, importance, plan.prune) if plan.prune else weights
            grids = fit(kept, importance, plan, coders(possible, target),
                        target.codebooks if target else len(weights))
            symbols = quantise(kept, grids, importance)
            restored = [grid.restore(chosen) for grid, chosen in zip(grids, symbols, strict=True)]
            corrected = (correct_biases(trained, restored, samples.calibration)
                         if samples.calibration.size else trained)
            network = quantised_network(source, trained, corrected, samples.calibration, grids,
                                        symbols)
        notes: tuple[str, ...] = ()
        if plan.residual:
            prediction = predict_residuals(network, plan, progress)
            notes = prediction.notes if prediction else (
                f"{plan.predictor} would save nothing in any layer: the image has no predictor",)
        elif prediction:
            notes = prediction.notes
        layers: tuple[Predicted, ...] = prediction.layers if prediction else ()

        def build(decoder: Decoder, target: Target | None) -> tuple[bytes, Network]:
            contents = build_image(network, grids, symbols, target, decoder, layers)
            if isinstance(decoder, TansShape | TansLanes) and network is not source and not layers:
                changed, smaller = sort_channels(network, grids, symbols, target, decoder)
                if len(smaller) < len(contents):
                    return smaller, changed
            return contents, network

        chosen = choose(plan, target, build)
        image = read_image(chosen.contents, name=network.name, target=chosen.target)
        return replace(measure(plan, chosen.target, chosen.contents, image, chosen.content,
                               restored, source, samples), notes=notes)


def generated(plan: Plan, source: FloatNetwork | Network, trained: FloatNetwork,
              calibration: NDArray[Any], progress: Callable[[str], None]
              ) -> tuple[Prediction, Network, list[FloatArray]]:
    """Return how weights are predicted, the network with them, and them as floats."""
    prediction, corrected, made = predict_weights(
        trained, calibration if calibration.size else None, plan, progress)
    network = (replace_weights(source, corrected, made) if isinstance(source, Network)
               else integer_network(corrected, calibrate(trained, calibration), made))
    return prediction, network, [integers * scale[:, None, None, None]
                                 for integers, scale in made]


def load_all(model: str | Path, quantiser: str, data: str | Path | None,
             calibration: str | Path | None
             ) -> tuple[FloatNetwork | Network, FloatNetwork, Data]:
    """Return a model's network as the file has it and with float weights, and its samples.

    Raises
    ------
    ValueError
        If there are no weights, or no inputs where they are needed.
    """
    source = load_source(model)
    trained = float_network(source) if isinstance(source, Network) else source
    needed = quantiser == "compensated" or (source is trained and is_foreign(model))
    samples = load_samples(model, source, data, calibration, calibrates=needed)
    if source is trained and not samples.calibration.size:
        raise ValueError(f"{model}: a float network must be calibrated: give inputs with "
                         f"--calibrate FILE.npz")
    if source is trained and is_foreign(model):
        source = trained = calibrate_input(trained, samples.calibration)
    if not weights_of(trained):
        raise ValueError(f"{model}: network must have weights")
    return source, trained, samples


def weights_of(network: FloatNetwork) -> list[FloatArray]:
    """Return the weights of the layers that have any."""
    return [layer.weights for layer in network.weighted if layer.weights is not None]


def relative(weights: Sequence[FloatArray]) -> list[FloatArray]:
    """Return importances with which errors count relative to each layer's weights."""
    return [1 / np.maximum(np.square(layer, dtype=np.float64).mean(keepdims=True), 1e-30)
            for layer in weights]


def keeps_integers(plan: Plan) -> bool:
    """Return whether a plan leaves int8 weights as they are."""
    return (plan.quantiser == "uniform" and plan.bits == 8 and plan.granularity != "tensor"
            and not plan.prune)


def automaton_of(target: Target | None) -> AutomatonShape:
    """Return the automaton that a target may have."""
    shape = target.decoder if target else None
    return shape if isinstance(shape, AutomatonShape) else AutomatonShape()


def coders(possible: Sequence[Decoder], target: Target | None
           ) -> list[AutomatonShape | TansShape | TansLanes]:
    """Return what can tell a step what bits cost; the automaton stands for all but tANS."""
    tans = [decoder for decoder in possible if isinstance(decoder, TansShape | TansLanes)]
    others = [automaton_of(target)] if len(possible) > len(tans) else []
    # However many lanes read it, the code is the same.
    return [*tans[:1], *others]


def sort_channels(network: Network, grids: Sequence[Grid], symbols: Sequence[Symbols],
                  target: Target | None, decoder: Decoder) -> tuple[Network, bytes]:
    """Return an equal network with its channels sorted by spread, and its image.

    Filters that are alike share tables, and one in order needs no number.
    """
    orders = by_spread(network)
    changed = reorder(network, orders)
    grids = [replace(grid, scale=np.broadcast_to(grid.scale, len(order.filters))[order.filters])
             for grid, order in zip(grids, orders, strict=True)]
    symbols = [order.apply(chosen) for chosen, order in zip(symbols, orders, strict=True)]
    return changed, build_image(changed, grids, symbols, target, decoder)


def is_foreign(model: str | Path) -> bool:
    """Return whether a model's file is one of other projects, which say nothing of inputs."""
    return Path(model).suffix in IMPORTERS


def load_samples(model: str | Path, source: FloatNetwork | Network, data: str | Path | None,
                 calibration: str | Path | None, *, calibrates: bool) -> Data:
    """Return the data that the user names, or those that lie beside the model, or none.

    Of one file a seeded half calibrates and the other judges, where it is named for both or is the
    only one and ``calibrates`` says that inputs are needed.
    """
    nothing = np.empty((0, *source.input_shape))
    samples = (Data(nothing, np.empty(0, np.int64), nothing) if is_foreign(model) or data
               else load_data(model))
    data, calibration = (None if path is None else Path(path) for path in (data, calibration))
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


def sample_inputs(model: str | Path, count: int, data: Path | None = None) -> NDArray[Any]:
    """Return inputs of a network as the user gives them: held-out ones, else seeded noise.

    Parameters
    ----------
    count : int
        The most inputs.
    data : Path, optional
        npz file of inputs ``x`` and classes ``y``, by default the one beside an npz model.
    """
    source = load_source(model)
    x = load_samples(model, source, data, None, calibrates=False).x[:count]
    if not len(x):
        noise = np.random.default_rng(0).integers(-128, 128, (count, *source.input_shape), np.int8)
        x = Quantisation(source.input.scale, source.input.zero_point).restore(noise)
        x = x * source.input.divisor + source.input.mean
    return x


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
    return (tuple(Grid(zigzag(256), layer.weight_scale) for layer in layers),
            [zigzag_symbols(layer.weights) for layer in layers if layer.weights is not None])


def rate_of(possible: Sequence[Decoder]) -> Callable[[Sequence[Symbols]], float]:
    """Return what tells how many bits zigzag symbols take, coded for the best of the decoders."""
    # However many lanes read it, the code of tANS is the same.
    unlike = list({getattr(one, "code", one): one for one in possible}.values())

    def rate(layers: Sequence[Symbols]) -> float:
        found: list[int] = []
        refusals: list[ValueError] = []
        for decoder in unlike:
            try:
                found.append(coded_bits(decoder, layers))
            except ValueError as error:
                refusals.append(error)
        if not found:
            raise refusals[0]
        return min(found)
    return rate


def coded_bits(decoder: Decoder, layers: Sequence[Symbols]) -> int:
    if isinstance(decoder, TansShape | TansLanes):
        tans = TansCodec(decoder, deltas=isinstance(decoder, TansShape))
        return tans.bits([(chosen >> 1) ^ -(chosen & 1) for chosen in layers])
    codec: Codec[Any] = (HuffmanCodec(decoder) if isinstance(decoder, AutomatonShape)
                         else CODECS[decoder.name])
    return codec.bits(layers)


def greatest_integer(decoder: Decoder) -> int:
    """Return the greatest integer of a quantiser whose symbols ``decoder`` decodes."""
    return (decoder.symbols - 1) // 2 if isinstance(decoder, AutomatonShape) else 63


def quantised_network(source: FloatNetwork | Network, trained: FloatNetwork,
                      corrected: FloatNetwork, calibration: NDArray[Any], grids: Sequence[Grid],
                      symbols: Sequence[Symbols]) -> Network:
    """Return ``source`` with the weights that symbols stand for and the biases of ``corrected``."""
    weights = [(grid.integers(chosen), grid.scale)
               for grid, chosen in zip(grids, symbols, strict=True)]
    if isinstance(source, Network):
        return replace_weights(source, corrected, weights)
    return integer_network(corrected, calibrate(trained, calibration), weights)


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
        image = load_image(path)
        own = decoder_shapes(target).get(codec_name(image.table), target.decoder)
        possible = [candidate for size in (target, larger(target)) if size
                    for candidate in alternatives(size)]
        target = next((candidate for candidate in possible
                       if candidate.hash == image.target_hash), target.with_decoder(own))
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
    return measure(None, target, path.read_bytes(), image, network, restored, trained, data)


def check_network(network: Network, trained: FloatNetwork) -> None:
    source = replace(trained.input, scale=float(np.float32(trained.input.scale)))
    if network.input != source:
        raise ValueError(f"input must be {source}, not {network.input}")
    if len(network.layers) != len(trained.layers):
        raise ValueError(f"it must have {len(trained.layers)} layers, not {len(network.layers)}")
    for layer, wanted in zip(network.layers, trained.layers, strict=True):
        stored = layer.descriptor
        inputs = [(stored.input_scale, stored.input_zero_point)]
        inputs += [stored.addend] if stored.addend else []
        expected = wanted.describe([Quantisation(*given) for given in inputs],
                                   Quantisation(stored.output_scale, stored.output_zero_point))
        for name, value in vars(replace(
                expected, rounding=stored.rounding, codebook=stored.codebook)).items():
            if getattr(stored, name) != value:
                raise ValueError(f"{name.replace('_', ' ')} of {wanted.name} must be {value!r}, "
                                 f"not {getattr(stored, name)!r}")


def measure(plan: Plan | None, target: Target | None, contents: bytes, image: Image,
            network: Network, restored: Sequence[FloatArray], source: FloatNetwork | Network,
            data: Data) -> Compression:
    trained = float_network(source) if isinstance(source, Network) else source
    weights = weights_of(trained)
    layers = tuple(
        LayerFigures(layer.name, original.size, bits_taken / original.size, entropy(chosen),
                     distortion([original], [values]))
        for layer, original, chosen, bits_taken, values in zip(
            network.weighted, weights, image.layer_symbols, image.layer_bits, restored,
            strict=True))
    return Compression(
        plan, target, contents, image, network, layers,
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


def fit(weights: Sequence[FloatArray], importance: Sequence[FloatArray] | None, plan: Plan,
        shapes: Sequence[AutomatonShape | TansShape | TansLanes], codebooks: int
        ) -> tuple[Grid, ...]:
    """Return the grid of each layer, with at most ``codebooks`` codebooks.

    A step keeps to its rate with the first of the decoders' ``shapes`` that reaches it.

    Raises
    ------
    ValueError
        If the plan has bits for another number of layers, bits that the quantiser hasn't, or pruned
        weights wouldn't be zero.
    """
    if isinstance(plan.bits, tuple) and len(plan.bits) != len(weights):
        raise ValueError(f"Plan must have bits of {len(weights)} layers with weights, "
                         f"not {len(plan.bits)}")
    if plan.error is not None:
        return StepQuantiser(shapes[0]).fit_error(weights, importance, plan.error)
    if plan.quantiser == "step":
        for shape in shapes[:-1]:
            with suppress(ValueError):
                return StepQuantiser(shape).fit(weights, importance, plan.rate)
        return StepQuantiser(shapes[-1]).fit(weights, importance, plan.rate)
    rates = plan.bits if isinstance(plan.bits, tuple) else (plan.rate,) * len(weights)
    if plan.quantiser == "uniform":
        uniform = UniformQuantiser(plan.granularity or "channel")
        grids = uniform.fit_each(weights, importance, rates)
    else:
        codebook = CodebookQuantiser(codebooks, granularity=plan.granularity or "tensor",
                                     zero=plan.prune > 0)
        grids = codebook.fit_each(weights, importance, rates)
    if plan.prune:
        check_zeros(grids)
    return grids


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
