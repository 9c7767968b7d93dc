"""Benchmark of MLPerf Tiny's networks on the accelerator: ``python -m bench.mlperf_tiny``."""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from boards import find_board
from hw.engine.engine import Engine
from hw.report.power import estimate_power
from hw.report.resources import ExcessError, blocks, report_resources
from hw.report.timing import report_timing
from hw.rtl import generate
from hw.site import Site
from hw.toolchain import ToolError, implement, synthesise
from hw.top import ACCELERATOR
from sim.simulation import Part, simulate
from sim.verilator import SimulationError
from sw.compression import Compression, compress, users_inputs
from sw.cost import decoder_resources
from sw.cycles import predict
from sw.format.target import PRESETS, Target
from sw.network import Network
from sw.plan import Plan
from sw.score import agreement, answer, score
from sw.zoo import load_labelled, load_source

from .report import FOLDER, Row, show, write_rows


__all__ = ["MODELS", "main", "measure"]


@dataclass(frozen=True)
class Model:
    """A network of the benchmark.

    Parameters
    ----------
    file : str
        In the folder ``models`` of HEADRACE_DATA.
    key : str
        Of its inputs and labels in ``data/mlperf_tiny_inputs.npz``.
    plan : Plan
        How its weights are compressed.
    """

    name: str
    file: str
    key: str
    plan: Plan


#: Lanes of tANS with which one accelerator runs all of them.
LANES = 8

MODELS = (
    Model("keyword spotting", "kws_ref_model.tflite", "kws",
          Plan("compensated", "tans", bits=3, lanes=LANES)),
    Model("image classification", "pretrainedResnet_quant.tflite", "ic",
          Plan("compensated", "tans", bits=3.5, lanes=LANES)),
    Model("visual wake words", "vww_96_int8.tflite", "vww",
          Plan("uniform", "tans", lanes=LANES)),
    Model("anomaly detection", "ad01_int8.tflite", "ad",
          Plan("compensated", "tans", bits=3.3, lanes=LANES)),
)

#: Clock that place-and-route aims at, and the highest rate of a serial line at that.
CLOCK_HZ = 100_000_000
BAUD = CLOCK_HZ // 8

FORMATS = {"model": "", "quantiser": "", "image_bytes": ",", "bits_per_weight": ".2f",
           "accuracy": ".3f", "reference_accuracy": ".3f", "cycles": ",", "latency_ms": ".3f",
           "energy_uj": ".0f", "bit_exact": ""}

#: What rows have besides.
OTHERS = ("codec", "agreement", "n", "predicted_cycles", "fmax_mhz", "lut4", "lc", "ff", "ebr",
          "spram", "dsp", "decoder_lut4", "note")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command with ``argv``, by default the command line's arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.mlperf_tiny", description="Run MLPerf Tiny's int8 networks, "
        "compressed and as they are, on the simulated accelerator of a board, and build it once.")
    parser.add_argument("--board", default="ulx3s",
                        choices=tuple(dict.fromkeys(board for board, _ in PRESETS)))
    parser.add_argument("--model", choices=[model.key for model in MODELS],
                        help="one network alone (default: all)")
    parser.add_argument("--data", type=Path, metavar="FILE",
                        help="npz of inputs x, as the model takes them or int8, and classes y of "
                             "that network (default: the real inputs at hand)")
    parser.add_argument("--samples", type=int, default=4, metavar="N",
                        help="inputs of each network that are simulated (default: %(default)s)")
    parser.add_argument("--no-build", action="store_true",
                        help="leave out synthesis, place and route: no latency, no resources, no "
                             "energy")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE",
                        default=FOLDER / "mlperf_tiny.json",
                        help="the rows (default: %(default)s)")
    arguments = parser.parse_args(argv)
    try:
        if arguments.data and not arguments.model:
            raise ValueError("Data must be of one network: --model says which")
        folder = Path(os.environ.get("HEADRACE_DATA", "../shared"))
        models = [model for model in MODELS if arguments.model in (None, model.key)]
        rows = list(measure(folder, arguments.board, arguments.samples, not arguments.no_build,
                            models=models, data=arguments.data))
        write_rows(arguments.output, rows)
    except (ValueError, OSError, ToolError, SimulationError) as error:
        sys.exit(f"error: {error}")
    inputs = arguments.data or "the real inputs at hand"
    show(f"MLPerf Tiny on {arguments.board}: accuracy, or AUC, on half of {inputs}", rows, FORMATS)
    for row in rows:
        if row["note"]:
            print(f"{row['model']}, {row['quantiser']}: {row['note']}")
    built = next((row for row in rows if row["fmax_mhz"]), None)
    if built:
        print(f"{built['lut4']:,} LUT4, {built['decoder_lut4']:,} of them the decoder (synthesised "
              f"by itself), {built['ff']:,} flip-flops, {built['ebr']} block RAMs, "
              f"{built['dsp']} multipliers, Fmax {built['fmax_mhz']:.1f} MHz (nextpnr, seed 1); "
              f"the weights alone are exchanged from network to network")
    print(f"{arguments.output}: {len(rows)} rows")


def measure(folder: Path, board: str, samples: int, built: bool, *,
            models: Sequence[Model] = MODELS, data: Path | None = None) -> Iterator[Row]:
    """Yield a row for each network, compressed and raw.

    Parameters
    ----------
    folder : Path
        Where the models and their inputs are.
    samples : int
        Inputs that are simulated. A half of those at hand, seeded, calibrates; the golden model
        judges on the others.
    built : bool
        Whether the accelerators are synthesised, placed and routed, too.
    models : sequence of Model
        The networks.
    data : Path, optional
        npz file of inputs ``x`` and classes ``y``, in place of those at hand.

    Raises
    ------
    ValueError
        If the data can't be used.
    """
    found = find_board(board)
    site = Site(found, found.default_device, CLOCK_HZ, BAUD)
    resources: dict[Target, Row] = {}
    for model in models:
        path = folder / "models" / model.file
        given, y = load_inputs(folder, model, data)
        if len(y) < 2:
            raise ValueError(f"{data}: data must be 2 inputs or more, not {len(y)}: a half "
                             f"calibrates")
        source = load_source(path)
        assert isinstance(source, Network)
        x = users_inputs(path, source, given)
        order = np.random.default_rng(0).permutation(len(y))
        calibrating, judging = np.sort(order[:len(y) // 2]), np.sort(order[len(y) // 2:])
        for plan in (model.plan, Plan("uniform", "raw")):
            row: dict[str, Any] = {
                "board": board, "model": model.name, "quantiser": plan.describe(),
                **dict.fromkeys((*list(FORMATS)[2:], *OTHERS))}
            try:
                with tempfile.TemporaryDirectory() as directory:
                    calibration = Path(directory) / "x.npz"
                    np.savez(calibration, x=x[calibrating])
                    made = compress(path, plan, target=PRESETS[board, site.device],
                                    calibration=calibration)
            except ValueError as error:
                yield row | {"codec": plan.codec, "note": f"does not fit: {error}"}
                continue
            assert made.target is not None
            row |= judge(made, source, x[judging], y[judging])
            row |= simulated(site, made, made.target, x[judging][:samples])
            if built:
                if made.target not in resources:
                    resources[made.target] = build(site, made.target)
                row |= resources[made.target]
                if row["fmax_mhz"]:
                    row["latency_ms"] = row["cycles"] / row["fmax_mhz"] / 1e3
                    row["energy_uj"] = energy(site, made, x[judging][:1], row)
            yield row


def load_inputs(folder: Path, model: Model, data: Path | None
                ) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return a network's inputs and their classes, from the user's file or those at hand."""
    if data is not None:
        return load_labelled(data)
    with np.load(folder / "data" / "mlperf_tiny_inputs.npz") as inputs:
        return inputs[f"{model.key}_x"], inputs[f"{model.key}_y"]


def judge(made: Compression, source: Network, x: NDArray[Any], y: NDArray[Any]) -> Row:
    """Return what a compressed network is worth: accuracy, or the area under the ROC curve."""
    before, after = answer(source, x), answer(made.image.network, x)
    return {"codec": made.codec, "image_bytes": made.size.bytes_image,
            "bits_per_weight": made.size.bits_per_weight, "accuracy": score(after, y),
            "reference_accuracy": score(before, y), "agreement": agreement(after, before),
            "n": len(y)}


def simulated(site: Site, made: Compression, target: Target, x: NDArray[Any]) -> Row:
    """Return what the simulated accelerator says of a network, run on ``x``."""
    verilog = generate(Engine(target), name="engine", platform=site.platform())
    with tempfile.TemporaryDirectory() as directory:
        simulation, = simulate(
            [Part(made.data, made.network.quantise_input(x))], target=target, verilog=verilog,
            top="engine", bench="sim.benches.engine", clock_hz=CLOCK_HZ, baud=0,
            directory=Path(directory))
    return {"cycles": simulation.cycles,
            "predicted_cycles": predict(simulation.image, target).cycles,
            "bit_exact": simulation.exact == simulation.n}


def energy(site: Site, made: Compression, x: NDArray[Any], row: Row) -> float:
    """Return an estimate of the energy of an inference, in microjoules, the idle board's included.

    From the toggles of all flip-flops in simulation, at the built clock; `hw.report.power` says
    what that leaves out.
    """
    verilog = site.elaborate(made.target, b"")
    with tempfile.TemporaryDirectory() as directory:
        toggles = site.count_toggles(made, verilog, x, directory=Path(directory), resident=False)
    estimate = estimate_power(toggles=toggles, cycles=row["cycles"],
                              clock_hz=row["fmax_mhz"] * 1e6)
    return float(estimate["energy_uj_per_inference"])


def build(site: Site, target: Target) -> Row:
    """Return what the accelerator takes on the device, and its clock."""
    try:
        verilog = site.elaborate(target, b"")
        with tempfile.TemporaryDirectory() as directory:
            stat = synthesise(verilog, site.platform().device,
                              directory=Path(directory) / "blocks", flatten=False)
            nextpnr = implement(verilog, site.platform(), clock_hz=CLOCK_HZ, seed=1,
                                directory=Path(directory), preferences=site.preferences,
                                places=site.floorplan(target))
    except ExcessError as error:
        return {"note": f"not built: {error}"}
    resources = report_resources(nextpnr, blocks(stat, top=ACCELERATOR),
                                 estimate=decoder_resources(target.decoder))
    return {**{name: resources[name]["used"] for name in ("lut4", "ff", "ebr", "spram", "dsp")},
            "decoder_lut4": resources["decoder_lut4"],
            "fmax_mhz": report_timing(nextpnr, clock_hz=CLOCK_HZ)["fmax_mhz"]}


if __name__ == "__main__":
    main()
