"""Benchmark of decoders in gates: ``python -m bench.decoders [MODEL ...]``."""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from statistics import median_low
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from boards import BOARDS, find_board
from hw.report.resources import count_cells
from hw.report.timing import report_timing
from hw.rtl import generate
from hw.toolchain import ToolError, logic_cells, place_alone, synthesise
from hw.top import ACCELERATOR
from sw.compression import compress
from sw.cost import decoder_resources
from sw.format.target import PRESETS, alternatives

from .cores import CORES, LOADERS, SMALL_CORES, Shell, Whole, simulate
from .report import FOLDER, Row, show, write_rows


__all__ = ["main", "measure", "synthesise_core"]


#: Models in the folder that HEADRACE_DATA names.
MODELS = ("kws_ref_model.tflite", "pretrainedResnet_quant.tflite")

#: How weights are quantised: about 3 bits each after coding, up to 15 values, or three.
WEIGHTS = {"step, 3 bits": ("step", 3), "uniform, 4 bits": ("uniform", 4),
           "uniform, 2 bits": ("uniform", 2)}

FORMATS = {"core": "", "lanes": "d", "model": "", "weights": "", "bits_per_weight": ".3f",
           "weights_per_cycle": ".2f", "cycles": "d", "lut4": "d", "lc": "d", "ff": "d",
           "ebr": "d", "fmax_mhz": ".0f", "fmax_nextpnr_mhz": ".0f", "mweights_s": ".0f",
           "mweights_s_klut4": ".0f"}

#: Of an accelerator's whole decoders.
WHOLE_FORMATS = {"core": "", "lanes": "d", "lut4": "d", "lut4_estimate": "d", "ebr": "d",
                 "ebr_estimate": "d", "ff": "d"}


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command with ``argv``, by default the command line's arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.decoders", description="Decoder cores without table builders: "
        "weights a cycle, simulated on coded weights of networks; LUT4 of the core alone, carries "
        "included, and an iCE40's logic cells; its clock between shift registers, and what the "
        "data sheet allows; what the accelerator's whole decoders take, and were estimated to.")
    parser.add_argument("models", metavar="MODEL", nargs="*",
                        help="network that ships, or a model file (default: keyword spotting and "
                             "image classification in $HEADRACE_DATA, or digits)")
    parser.add_argument("--board", choices=tuple(BOARDS), default="ulx3s",
                        help="board (default: %(default)s)")
    parser.add_argument("--weights", type=int, default=16_384, metavar="N",
                        help="weights that are simulated of each model (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=1, metavar="N",
                        help="seeds of place-and-route, of whose clocks the median counts "
                             "(default: %(default)s)")
    parser.add_argument("--only", default="", metavar="TEXT",
                        help="only cores whose name has this in it, e.g. automaton")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE",
                        default=FOLDER / "decoders.json", help="the rows (default: %(default)s)")
    arguments = parser.parse_args(argv)
    try:
        if arguments.weights < 1:
            raise ValueError(f"Weights must be 1 or more, not {arguments.weights}")
        if arguments.seeds < 1:
            raise ValueError(f"Seeds must be 1 or more, not {arguments.seeds}")
        every = parts_for(arguments.board)
        parts = [part for part in every if arguments.only in part.name]
        if not parts:
            raise ValueError(f"A core must be called as one of "
                             f"{'; '.join(part.name for part in every)}, not {arguments.only}")
        models = arguments.models or default_models()
        weights = {(model, part.weights): quantised(model, part.weights)
                   for part in parts if part.weights for model in models}
        with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(os.cpu_count()) as pool:
            found = pool.map(lambda part: synthesise_core(
                part, arguments.board, range(1, arguments.seeds + 1),
                Path(folder) / str(parts.index(part))), parts)
            figures = list(track(found, "Placing", len(parts), transient=True))
        rows = []
        for part, own in zip(parts, figures, strict=True):
            if isinstance(part, Whole):
                rows.append(estimated(part) | own)
                continue
            measured = measure_loader if part in LOADERS else measure
            rows += [measured(part, Path(model).stem, weights[model, part.weights],
                              arguments.weights) | own for model in models]
        rows = [{"board": arguments.board, **finished(row)} for row in rows]
        write_rows(arguments.output, rows)
    except (ValueError, OSError, ToolError) as error:
        sys.exit(f"error: {error}")
    for title, formats, whole in (
            (f"decoders on {arguments.board}, without what builds their tables", FORMATS, False),
            ("the accelerator's decoders, as estimated and synthesised", WHOLE_FORMATS, True)):
        if chosen := [row for row in rows if (row["lut4_estimate"] is not None) is whole]:
            show(title, chosen, formats)
    print(f"{arguments.output}: {len(rows)} rows; of each model's weights the first "
          f"{arguments.weights} simulated and compared")


def parts_for(board: str) -> list[Any]:
    """Return cores, and what loads their tables, that the board's device can have."""
    found = find_board(board)
    if found.platform(found.default_device).device.startswith("iCE40"):
        return list(SMALL_CORES)
    return [*CORES, *LOADERS, *wholes(board)]


def wholes(board: str) -> list[Whole]:
    """Return the decoders that the accelerator of a board's usual device may have."""
    target = PRESETS.get((board, find_board(board).default_device))
    return [Whole(one) for one in alternatives(target)] if target else []


def default_models() -> list[str]:
    folder = os.environ.get("HEADRACE_DATA")
    if folder is None:
        print("HEADRACE_DATA isn't set: no models of MLPerf Tiny", file=sys.stderr)
        return ["digits"]
    return [str(Path(folder) / "models" / name) for name in MODELS]


@cache
def quantised(model: str, weights: str) -> list[NDArray[np.int8]]:
    """Return the weights of each layer of a network, quantised as ``weights`` names it."""
    quantiser, bits = WEIGHTS[weights]
    # With no more values than an automaton has symbols, so that all cores decode the same.
    network = compress(model, quantiser=quantiser, bits=bits, codec="huffman",
                       target=None).image.network
    return [layer.weights for layer in network.weighted if layer.weights is not None]


def synthesise_core(core: Any, board: str, seeds: Sequence[int], folder: Path
                    ) -> dict[str, Any]:
    """Return what a core takes, and its clock; of an accelerator's whole decoder without that.

    Raises
    ------
    ToolError
        If a tool fails.
    """
    device = find_board(board).default_device

    platform = find_board(board).platform(device)

    def verilog(component: Any) -> Any:
        return generate(component, name=ACCELERATOR, platform=find_board(board).platform(device))

    alone = verilog(core.component())
    stat = synthesise(alone, platform.device, directory=folder / "alone", flatten=True)
    cells = count_cells(stat["design"]["num_cells_by_type"])
    taken = {name: cells[name] for name in ("lut4", "ff", "ebr")}
    if isinstance(core, Whole):
        return taken
    packed = logic_cells(alone, platform, directory=folder / "packed")
    reports = place_alone(verilog(Shell(core.component())), platform, seeds=seeds,
                          directory=folder / "placed")
    timings = [report_timing(report, clock_hz=1) for report in reports]
    reached = median_low(timing["fmax_nextpnr_mhz"] for timing in timings)
    timing = next(one for one in timings if one["fmax_nextpnr_mhz"] == reached)
    return {**taken, "lc": packed} | {
        name: timing[name] for name in ("fmax_mhz", "fmax_nextpnr_mhz", "fmax_limit",
                                        "critical_path")}


def measure(core: Any, model: str, layers: list[NDArray[np.int8]], count: int) -> dict[str, Any]:
    """Return the row of a core and a model, without what synthesis tells.

    Raises
    ------
    ValueError
        If the core can't code the weights, or gives others.
    """
    sample = core.sample(core.symbols(layers))
    size = sum(layer.size for layer in layers)
    weights, cycles, stalls = simulate(core, sample, min(count, size))
    return {"core": core.name, "lanes": core.lanes, "model": model, "weights": core.weights,
            "weights_per_cycle": weights / cycles, "stall_cycles": stalls, "cycles": None,
            "bits_per_weight": sample.bits / size,
            "entropy_bits_per_weight": core.entropy(layers) / size}


def measure_loader(loader: Any, model: str, layers: list[NDArray[np.int8]],
                   count: int) -> dict[str, Any]:
    """Return the row of a loader of tables, which gives no weights: of any ``count``."""
    return {"core": loader.name, "lanes": None, "model": model, "weights": loader.weights,
            "weights_per_cycle": None, "stall_cycles": None, "bits_per_weight": None,
            "entropy_bits_per_weight": None, "cycles": loader.cycles(layers)}


def estimated(whole: Whole) -> dict[str, Any]:
    """Return the row of an accelerator's decoder with what was estimated of it."""
    lut4, ebr = decoder_resources(whole.target.decoder)
    return {"core": whole.name, "lanes": whole.lanes, "lut4_estimate": lut4, "ebr_estimate": ebr}


def finished(row: Row) -> Row:
    row = {**dict.fromkeys((*FORMATS, *WHOLE_FORMATS, "stall_cycles", "entropy_bits_per_weight",
                            "fmax_limit", "critical_path")), **row}
    if row["weights_per_cycle"] is None:
        return {**row, "mweights_s": None, "mweights_s_klut4": None}
    speed = row["weights_per_cycle"] * row["fmax_mhz"]
    return {**row, "mweights_s": speed, "mweights_s_klut4": speed / row["lut4"] * 1000}


if __name__ == "__main__":
    main()
