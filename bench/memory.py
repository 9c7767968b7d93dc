"""Benchmark of weight memories, raw against compressed: ``python -m bench.memory``."""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from boards import find_board
from hw.options import frequency
from hw.site import Site
from hw.top import ACCELERATOR
from sim.simulation import Part, simulate_resident
from sim.verilator import SimulationError
from sw.compression import Compression, compress
from sw.cycles import predict
from sw.format.layers import InputDescription, Operation
from sw.format.status import Counter
from sw.format.target import PRESETS, Memory
from sw.format.timing import memory_timing
from sw.network import Activation, FloatLayer, FloatNetwork
from sw.plan import Plan
from sw.schedule import ScheduleError

from .report import FOLDER, Row, show, write_rows
from .speed import save


__all__ = ["ENERGY", "MODELS", "made_network", "main", "measure"]


ANOMALIES = "anomaly detection"
MADE = "made"
MODELS = (ANOMALIES, MADE)

#: How weights are compressed, by codec.
PLANS = {"raw": Plan("uniform", "raw"), "tans": Plan("step", "tans", bits=3),
         "huffman": Plan("step", "huffman", bits=3)}

FORMATS = {"model": "", "memory": "", "codec": "", "factor": ".3f", "cycles": ",",
           "speedup": ".3f", "reached": ".1%", "bandwidth_share": ".2%", "energy_uj": ".0f",
           "binds": "", "bit_exact": ""}

#: What rows have besides.
OTHERS = ("board", "weights", "coded_bytes", "predicted_cycles", "note")


@dataclass(frozen=True)
class Current:
    """What a memory takes while it is read without a pause.

    Parameters
    ----------
    amperes, volts : float
        Its supply.
    source : str
        Where that is from: a data sheet, quoted from memory.
    """

    amperes: float
    volts: float
    source: str


#: By memory; what block RAM takes is not known apart from the rest of the device.
ENERGY = {
    Memory.FLASH: Current(15e-3, 3.3, "W25Q128JV, maximum while it is read at 50 MHz"),
    Memory.SDRAM: Current(135e-3, 3.3, "MT48LC16M16A2-75, maximum IDD4, of bursts at 133 MHz"),
}


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command with ``argv``, by default the command line's arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.memory", description="Run networks with raw and with compressed "
        "weights from each weight memory of a board, in simulation.")
    parser.add_argument("models", nargs="*", metavar="MODEL", default=MODELS,
                        help=f"any of {', '.join(map(repr, MODELS))} (default: all)")
    parser.add_argument("--memory", type=Memory, nargs="+", choices=list(Memory),
                        default=list(Memory), help="weight memories (default: all)")
    parser.add_argument("--codec", nargs="+", choices=list(PLANS), default=list(PLANS),
                        help="codecs; raw is always run (default: all)")
    parser.add_argument("--clock", type=frequency, default="80", metavar="MHZ", dest="clock_hz",
                        help="clock in MHz (default: %(default)s)")
    parser.add_argument("--weights", type=int, default=2_100_000, metavar="N",
                        help="weights of the made network, about (default: %(default)s)")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", default=FOLDER / "memory.json",
                        help="the rows (default: %(default)s)")
    arguments = parser.parse_args(argv)
    try:
        board = find_board("ulx3s")
        site = Site(board, board.default_device, arguments.clock_hz, arguments.clock_hz // 8)
        codecs = list(dict.fromkeys(["raw", *arguments.codec]))
        with tempfile.TemporaryDirectory() as folder:
            rows = [row for model in arguments.models
                    for path in [find_model(model, Path(folder), arguments.weights)]
                    for memory in arguments.memory
                    for row in measure(site, model, path, memory, codecs, Path(folder))]
        write_rows(arguments.output, rows)
    except (ValueError, OSError, SimulationError) as error:
        sys.exit(f"error: {error}")
    show(f"Weight memories of the {board.title}, {arguments.clock_hz / 1e6:g} MHz", rows, FORMATS)
    for row in rows:
        if row["note"]:
            print(f"{row['model']}, {row['memory']}, {row['codec']}: {row['note']}")
    print("Energy of the memory chip alone, estimated from its data sheet, which is quoted from "
          "memory: " + "; ".join(
              f"{memory} {energy_per_byte(memory, site) * 1e9:.2f} nJ a byte ({current.source})"
              for memory, current in ENERGY.items()))
    print(f"{arguments.output}: {len(rows)} rows")


def find_model(name: str, folder: Path, weights: int) -> Path:
    """Return the file of a model; the made one is made in ``folder``.

    Raises
    ------
    ValueError
        If there is none of that name, or it can't be made.
    """
    if name == MADE:
        return save(made_network(weights), folder)
    if name != ANOMALIES:
        raise ValueError(f"Model must be one of {', '.join(MODELS)}, not {name}")
    return Path(os.environ.get("HEADRACE_DATA", "../shared")) / "models" / "ad01_int8.tflite"


def made_network(weights: int) -> FloatNetwork:
    """Return an untrained network of about ``weights`` weights, each used once: Laplacian ones.

    Raises
    ------
    ValueError
        If its layers would be too narrow, or too wide for the tile store.
    """
    if not 5_000 <= weights <= 8_000_000:
        raise ValueError(f"Network must have 5000 to 8000000 weights, not {weights}")
    rng = np.random.default_rng(0)
    width = round((weights / 2) ** 0.5 / 8) * 8

    def dense(name: str, inputs: int, outputs: int, activation: Activation) -> FloatLayer:
        spread = rng.uniform(0.5, 2, (outputs, 1, 1, 1)) / inputs ** 0.5
        return FloatLayer(
            name, Operation.FULLY_CONNECTED, (1, 1, inputs), (1, 1, outputs), (1, 1), (1, 1),
            (0, 0), activation,
            rng.laplace(0, spread, (outputs, 1, 1, inputs)).astype(np.float32),
            rng.normal(0, 0.1, outputs).astype(np.float32))

    return FloatNetwork(MADE, InputDescription(1 / 128, 0, 128.0, 128.0), (1, 1, width), (
        dense("dense1", width, width, Activation.RELU),
        dense("dense2", width, width, Activation.RELU),
        dense("dense3", width, 16, Activation.NONE)))


def measure(site: Site, model: str, path: Path, memory: Memory, codecs: Sequence[str],
            folder: Path) -> Iterator[Row]:
    """Yield a row for each codec, raw first.

    Parameters
    ----------
    site : Site
        Where the accelerator is.
    model, path : str, Path
        What rows call the model, and its file.
    memory : Memory
        Where the weights are.
    codecs : sequence of str
        Keys of `PLANS`.
    folder : Path
        For files of the simulation.

    Raises
    ------
    ValueError, OSError
        If the model can't be read.
    SimulationError
        If a simulation fails.
    """
    raw_cycles = None
    for codec in codecs:
        row: dict[str, Any] = {
            **dict.fromkeys((*FORMATS, *OTHERS)), "board": site.board.name, "model": model,
            "memory": str(memory), "codec": codec}
        try:
            made = compress(path, PLANS[codec],
                            target=PRESETS[site.board.name, site.device].with_memory(memory))
        except ScheduleError as error:
            yield row | {"note": f"does not fit: {error}"}
            continue
        row |= run(site, made, memory, folder)
        if codec == "raw":
            raw_cycles = row["cycles"]
        if raw_cycles:
            row["speedup"] = raw_cycles / row["cycles"]
            row["reached"] = row["speedup"] / row["factor"]
        yield row


def run(site: Site, made: Compression, memory: Memory, folder: Path) -> Row:
    """Return what an inference takes, simulated from the pins of the memory's chips to the host."""
    assert made.target is not None
    verilog = site.elaborate(made.target, made.data)
    x = np.random.default_rng(2).integers(
        -128, 128, (1, *made.image.network.input_shape)).astype(np.int8)
    simulation = simulate_resident(
        Part(made.data, x, resident=True), target=made.target, verilog=verilog, top=ACCELERATOR,
        clock_hz=site.clock_hz, baud=site.baud, directory=folder)
    prediction = predict(simulation.image, made.target)
    words = simulation.counter(Counter.CODED_WORDS)
    energy = energy_per_byte(memory, site) * 4 * words * 1e6 if memory in ENERGY else None
    return {
        "weights": made.network.weights, "coded_bytes": 4 * words,
        "factor": made.network.weights / (4 * words), "cycles": simulation.cycles,
        "predicted_cycles": prediction.cycles, "energy_uj": energy,
        "bandwidth_share": words * memory_timing(memory).peak_cycles / simulation.cycles,
        "binds": ", ".join(dict.fromkeys(layer.binds for layer in prediction.layers)),
        "bit_exact": simulation.exact == simulation.n}


def energy_per_byte(memory: Memory, site: Site) -> float:
    """Return an estimate of the energy of a byte in joules, read at the memory's peak."""
    current = ENERGY[memory]
    seconds = memory_timing(memory).peak_cycles / 4 / site.clock_hz
    return float(current.amperes * current.volts * seconds)


if __name__ == "__main__":
    main()
