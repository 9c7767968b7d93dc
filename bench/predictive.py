"""Benchmark of predictors beside plain codes: ``python -m bench.predictive [MODEL ...]``."""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
from rich.progress import track

from boards import find_board
from hw.predict.job import Job, interpreted, job_for
from hw.report.coefficients import FLIP_FLOP_TOGGLE
from hw.report.resources import count_cells
from hw.rtl import generate
from hw.toolchain import ToolError, synthesise
from hw.top import ACCELERATOR
from sw.compression import Compression, compress
from sw.format.lanes import TansLanes
from sw.format.predictors import Expression, LayerPredictor
from sw.format.tables import TansShape
from sw.plan import NO_PREDICTOR, Plan
from sw.predict import PREDICTORS, predict

from .cores import TansCore
from .decoders import measure as measure_core
from .generators import throughput
from .report import FOLDER, Row, show, write_rows


__all__ = ["MODELS", "main", "measure"]


#: Rates of the plain code: step and tANS, of which one is shown beside each predictor.
PLAIN_BITS = (5.0, 4.5, 4.0, 3.5, 3.0, 2.5, 2.25, 2.0, 1.75, 1.5, 1.3)

#: Quantisers' bits where the codec carries what a predictor misses.
RESIDUAL_BITS = 3.0

#: Inputs that calibrate, and the most that judge.
CALIBRATION, JUDGES = 300, 2000

BOARD = "ulx3s"

#: What decodes the plain code.
TANS = TansCore(TansLanes(TansShape(8, 8), lanes=1))

#: Weights that gateware generates in simulation.
SIMULATED = 600

FORMATS = {"predictor": "", "residual": "", "decoder": "", "bits_per_weight": ".3f",
           "plain_bits_per_weight": ".3f", "ratio": ".4f", "mse": ".2e", "accuracy": ".4f",
           "reference_accuracy": ".4f", "n": "d", "lut4": "d", "dsp": "d", "ebr": "d",
           "weights_per_cycle": ".2f", "pj_per_weight": ".1f", "fit_s": ".0f"}


@dataclass(frozen=True)
class Source:
    """A network of the benchmark and its inputs.

    Parameters
    ----------
    model : str
        Name of a network that ships, or a file in the folder that HEADRACE_DATA names.
    data, x, y : str
        File there and its members; none where the inputs ship.
    """

    model: str
    data: str = ""
    x: str = "x"
    y: str = "y"


MODELS = {
    "digits": Source("digits"),
    "mnist": Source("mnist", "data/mnist_t10k.npz"),
    "keyword spotting": Source("models/kws_ref_model.tflite", "data/mlperf_tiny_inputs.npz",
                               "kws_x", "kws_y"),
    "image classification": Source("models/pretrainedResnet_quant.tflite",
                                   "data/cifar10_test.npz"),
}


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command with ``argv``, by default the command line's arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.predictive", description="Predict the weights of networks with each "
        "predictor, alone and with a residual, beside the plain code (step, tANS) that is as good.")
    parser.add_argument("models", metavar="MODEL", nargs="*",
                        help=f"of {', '.join(MODELS)} (default: all)")
    parser.add_argument("--predictors", nargs="+", choices=tuple(PREDICTORS),
                        default=tuple(PREDICTORS), help="only these (default: all)")
    parser.add_argument("--bits", type=float, metavar="BITS",
                        help="what the predictors' weights take (default: what each does)")
    parser.add_argument("--time", type=float, default=Plan.time, metavar="SECONDS",
                        help="how long a fit may take (default: %(default)g)")
    parser.add_argument("--no-gates", action="store_true", help="synthesise nothing")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE",
                        default=FOLDER / "predictive.json", help="the rows (default: %(default)s)")
    arguments = parser.parse_args(argv)
    rows: list[Row] = []
    try:
        for name in arguments.models or MODELS:
            if name not in MODELS:
                raise ValueError(f"Model must be one of {', '.join(MODELS)}, not {name}")
            rows += compare(name, arguments)
            # What there is stays if a later model fails.
            write_rows(arguments.output, rows)
            show(name, [row for row in rows if row["model"] == name], FORMATS)
    except (ValueError, OSError, ToolError) as error:
        sys.exit(f"error: {error}")
    print(f"{arguments.output}: {len(rows)} rows; bits per weight count all that exists because of "
          f"the weights")


def compare(name: str, arguments: argparse.Namespace) -> Iterator[Row]:
    """Yield the rows of a network: each predictor's, and the plain code that is as accurate."""
    gates = not arguments.no_gates
    with tempfile.TemporaryDirectory() as folder:
        options = inputs(MODELS[name], Path(folder))
        plain = [attempt(name, Plan(codec="tans", bits=bits), options)
                 for bits in track(PLAIN_BITS, f"{name}, plain", transient=True)]
        good = [row for found in plain if found for row in measure(name, *found, gates=gates)]
        yield from good
        tasks = [Plan(codec="tans", predictor=predictor, residual=residual, time=arguments.time,
                      bits=RESIDUAL_BITS if residual else arguments.bits)
                 for predictor in arguments.predictors for residual in (False, True)]
        for plan in track(tasks, f"{name}, predicted", transient=True):
            if found := attempt(name, plan, options):
                for row in measure(name, *found, gates=gates):
                    yield {**row, "plain_bits_per_weight": as_accurate(good, row)}


def as_accurate(plain: Sequence[Row], row: Row) -> float | None:
    """Return the lowest rate of the plain code that is as accurate as a row's, None if none is."""
    return min((other["bits_per_weight"] for other in plain
                if other["accuracy"] >= row["accuracy"]), default=None)


def attempt(name: str, plan: Plan, options: dict[str, Any]) -> tuple[Compression, float] | None:
    """Return the network as a plan says, and the seconds of its fit; None, and why, if none is."""
    start = last = monotonic()

    def progress(_: str) -> None:
        nonlocal last
        last = monotonic()

    try:
        return compress(plan=plan, target=None, progress=progress, **options), last - start
    except ValueError as error:
        print(f"{name}, {plan.predictor}, {plan.describe()}: {error}", file=sys.stderr)
        return None


def inputs(source: Source, folder: Path) -> dict[str, Any]:
    """Return what `compress` is told of a network, its inputs in files of ``folder``.

    Raises
    ------
    ValueError
        If HEADRACE_DATA isn't set, or doesn't hold them.
    """
    if not source.data:
        return {"model": source.model}
    home = os.environ.get("HEADRACE_DATA")
    if home is None or not (Path(home) / source.data).is_file():
        raise ValueError(f"{source.model} needs {source.data} in the folder HEADRACE_DATA")
    with np.load(Path(home) / source.data) as data:
        x, y = data[source.x], data[source.y]
    if source.model == "mnist":
        x = x[..., None]
    # Every fifth is what the zoo's network wasn't trained on. A few inputs do for both.
    held = np.arange(len(y)) % 5 == 0 if len(y) > JUDGES else np.ones(len(y), bool)
    others = x[~held] if not held.all() else x
    chosen = np.linspace(0, len(others) - 1, min(CALIBRATION, len(others))).astype(int)
    np.savez(folder / "data.npz", x=x[held][:JUDGES], y=y[held][:JUDGES])
    np.savez(folder / "calibration.npz", x=others[chosen])
    model = Path(home) / source.model
    return {"model": source.model if source.model == "mnist" else str(model),
            "data": folder / "data.npz", "calibration": folder / "calibration.npz"}


def measure(name: str, found: Compression, seconds: float, *, gates: bool) -> Iterator[Row]:
    """Yield a row for each way to decode an image."""
    plan = found.plan
    assert plan is not None
    row = {
        "model": name, "predictor": plan.predictor, "residual": plan.residual,
        "bits_per_weight": found.size.bits_per_weight, "plain_bits_per_weight": None,
        "ratio": found.size.ratio, "mse": found.distortion.mse, "accuracy": found.accuracy_int,
        "reference_accuracy": found.accuracy_float, "n": found.n,
        "fit_s": None if plan.predictor == NO_PREDICTOR else seconds, "notes": list(found.notes)}
    if not gates:
        yield {**row, "decoder": "", **figures(None)}
    elif not any(layer.predictor for layer in found.image.predicted):
        layers = [layer.weights for layer in found.image.network.weighted
                  if layer.weights is not None]
        rate = measure_core(TANS, name, layers, SIMULATED)["weights_per_cycle"]
        yield {**row, "decoder": "tans", **figures(TANS.component(), rate)}
    else:
        for decoder, job, weights in decoders(found):
            expected = weights.transpose(job.order).ravel()[:SIMULATED].tolist()
            yield {**row, "decoder": decoder,
                   **figures(job.core, throughput(job, expected))}


def decoders(found: Compression) -> Iterator[tuple[str, Job, np.ndarray]]:
    """Yield name, core and weights of each decoder of the layer that has the most weights."""
    layers = [(layer.predictor, weighted.weights.shape) for layer, weighted in zip(
        found.image.predicted, found.image.network.weighted, strict=True)
        if layer.predictor and weighted.weights is not None]
    predictor, shape = max(layers, key=lambda layer: prod(layer[1]))
    # A residual is added behind the gateware.
    weights = predict(predictor, shape)
    if isinstance(predictor, Expression):
        yield "interpreter", interpreted(predictor, shape), weights
    yield kind_of(predictor), job_for(predictor, shape), weights


def kind_of(predictor: LayerPredictor) -> str:
    return "built" if isinstance(predictor, Expression) else predictor.kind.name.lower()


def figures(core: Any, rate: float | None = None) -> dict[str, Any]:
    """Return what a core takes by itself, weights a cycle, and the most energy of its registers.

    That is an estimate: all flip-flops toggle in each cycle, at what one takes with clock and wires
    (`hw.report.coefficients`); for LUTs, block RAM and multipliers there is no source.

    Raises
    ------
    ToolError
        If a tool fails.
    """
    names = ("lut4", "ff", "dsp", "ebr")
    if core is None or rate is None:
        return dict.fromkeys((*names, "weights_per_cycle", "pj_per_weight"))
    platform = find_board(BOARD).platform(find_board(BOARD).default_device)
    verilog = generate(core, name=ACCELERATOR, platform=platform)
    if verilog not in SYNTHESISED:
        with tempfile.TemporaryDirectory() as folder:
            stat = synthesise(verilog, platform.device, directory=Path(folder), flatten=True)
        SYNTHESISED[verilog] = count_cells(stat["design"]["num_cells_by_type"])
    cells = SYNTHESISED[verilog]
    return {name: cells[name] for name in names} | {
        "weights_per_cycle": rate, "pj_per_weight": cells["ff"] * FLIP_FLOP_TOGGLE.value / rate}


#: Cells by Verilog: what was synthesised before.
SYNTHESISED: dict[str, dict[str, int]] = {}


if __name__ == "__main__":
    main()
