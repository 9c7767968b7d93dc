"""Benchmark of predictors beside plain codes: ``python -m bench.predictive [MODEL ...]``."""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
from rich.progress import track

from boards import find_board
from hw.predict.seeds import SeedCore
from hw.report.resources import count_cells
from hw.rtl import generate
from hw.toolchain import ToolError, synthesise
from sw.compression import Compression, compress
from sw.format.predictors import Seeds, SeedShape
from sw.plan import NO_PREDICTOR, Plan
from sw.predict import PREDICTORS

from .generators import throughput
from .report import FOLDER, Row, show, write_rows


__all__ = ["MODELS", "main", "measure"]


#: Rates of the plain code: step and tANS, of which one is shown beside each predictor.
PLAIN_BITS = (5.0, 4.5, 4.0, 3.5, 3.0, 2.5, 2.25, 2.0, 1.75, 1.5)

#: Quantisers' bits where the codec carries what a predictor misses.
RESIDUAL_BITS = 3.0

#: Inputs that calibrate, and the most that judge.
CALIBRATION, JUDGES = 300, 2000

BOARD = "ulx3s"

FORMATS = {"predictor": "", "residual": "", "bits_per_weight": ".3f", "ratio": ".4f", "mse": ".2e",
           "accuracy": ".4f", "reference_accuracy": ".4f", "lut4": "d", "dsp": "d", "ebr": "d",
           "weights_per_cycle": ".2f", "fit_s": ".0f"}


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
    with tempfile.TemporaryDirectory() as folder:
        options = inputs(MODELS[name], Path(folder))
        plain = [attempt(name, Plan(codec="tans", bits=bits), options)
                 for bits in track(PLAIN_BITS, f"{name}, plain", transient=True)]
        good = [found for found in plain if found]
        yield from (measure(name, *found, gates=False) for found in good)
        tasks = [Plan(codec="tans", predictor=predictor, residual=residual, time=arguments.time,
                      bits=RESIDUAL_BITS if residual else arguments.bits)
                 for predictor in arguments.predictors for residual in (False, True)]
        for plan in track(tasks, f"{name}, predicted", transient=True):
            found = attempt(name, plan, options)
            if found:
                yield measure(name, *found, gates=not arguments.no_gates)


def attempt(name: str, plan: Plan, options: dict[str, Any]) -> tuple[Compression, float] | None:
    """Return the network as a plan says, and the seconds it took; None, and why, if it can't be."""
    start = monotonic()
    try:
        return compress(plan=plan, target=None, **options), monotonic() - start
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


def measure(name: str, found: Compression, seconds: float, *, gates: bool) -> Row:
    """Return a row; what decodes in software alone has no figures of gates."""
    plan = found.plan
    assert plan is not None
    seeds = largest(found) if gates else None
    cells = synthesised(seeds.shape) if seeds else {}
    return {
        "model": name, "predictor": plan.predictor, "residual": plan.residual,
        "bits_per_weight": found.size.bits_per_weight, "ratio": found.size.ratio,
        "mse": found.distortion.mse, "accuracy": found.accuracy_int,
        "reference_accuracy": found.accuracy_float, "n": found.n,
        "lut4": cells.get("lut4"), "dsp": cells.get("dsp"), "ebr": cells.get("ebr"),
        "weights_per_cycle": throughput(seeds) if seeds else None,
        "fit_s": None if plan.predictor == NO_PREDICTOR else seconds, "notes": list(found.notes)}


def largest(found: Compression) -> Seeds | None:
    """Return the seeds of the layer with the most blocks, if there are any."""
    layers = [layer.predictor for layer in found.image.predicted
              if isinstance(layer.predictor, Seeds)]
    return max(layers, key=lambda seeds: seeds.seeds.size, default=None)


@cache
def synthesised(shape: SeedShape) -> dict[str, int]:
    """Return what the gateware of a shape of seeds takes, by itself.

    Raises
    ------
    ToolError
        If a tool fails.
    """
    board = find_board(BOARD)
    platform = board.platform(board.default_device)
    with tempfile.TemporaryDirectory() as folder:
        stat = synthesise(generate(SeedCore(shape), name="accelerator", platform=platform),
                          directory=Path(folder), flatten=True)
    cells = count_cells(stat["design"]["num_cells_by_type"])
    return {name: cells[name] for name in ("lut4", "dsp", "ebr")}


if __name__ == "__main__":
    main()
