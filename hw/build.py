"""Command: from a network to a bitstream, simulated on the way, and a report."""

import argparse
import hashlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.table import Table

from boards import BOARDS, Board, find_board
from sim.run import report as report_throughput
from sim.simulation import Part, count_toggles, simulate
from sim.verilator import SimulationError
from sw.compression import CODECS, QUANTISERS, compress, measure_image
from sw.format.link import BAUD
from sw.format.target import PRESETS
from sw.image import write_image
from sw.zoo import load_data

from .accelerator import Accelerator
from .link.uart import bit_cycles
from .primitives.pll import PllDividers
from .report.document import summary, write
from .report.power import estimate_power
from .report.resources import (DEVICES, blocks, count_cells, excess, hard_blocks,
                               report_resources)
from .report.saif import flip_flop_toggles
from .report.timing import report_timing
from .report.usage import Usage
from .rtl import generate
from .stages import Stages
from .toolchain import ToolError, implement, synthesise, tool_versions
from .top import ACCELERATOR


__all__ = ["ExcessError", "Site", "build", "main"]


ROOT = Path(__file__).parents[1]

# Held-out inputs that each build simulates; sim.run takes more.
SAMPLES = 4


class ExcessError(ValueError):
    """What a design needs more of than a device has.

    Parameters
    ----------
    device : str
        The device.
    rows : list of (str, int, int, int)
        Name, needed, available and the difference.
    """

    def __init__(self, device, rows):
        super().__init__(f"too big for {device}: " + ", ".join(
            f"{needed:,} {name} of {available:,}" for name, needed, available, _ in rows))
        self.rows = rows

    @property
    def table(self):
        table = Table("", "needed", "available", "too many")
        for name, *numbers in self.rows:
            table.add_row(name, *(f"{number:,}" for number in numbers))
        return table


@dataclass(frozen=True)
class Site:
    """Where an accelerator is built.

    Parameters
    ----------
    board : Board
        The board.
    device : str
        The device on it.
    clock_hz : int
        Clock of the accelerator.
    baud : int
        Rate of its serial line.

    Raises
    ------
    ValueError
        If the board isn't made with the device, or its PLL can't make the clock, or the clock the
        rate.
    """

    board: Board
    device: str
    clock_hz: int
    baud: int = BAUD

    def __post_init__(self):
        PllDividers.find(round(self.platform().default_clk_frequency), self.clock_hz)
        bit_cycles(self.clock_hz, self.baud)

    def platform(self):
        """Return a fresh platform."""
        return self.board.platform(self.device)

    @property
    def preferences(self):
        """What the board's file in constraints/ says."""
        return (ROOT / "constraints" / f"{self.board.name}.lpf").read_text()

    def elaborate(self, target, image):
        """Return the Verilog of an accelerator with ``image`` in its memory.

        Raises
        ------
        ExcessError
            If the device lacks hard blocks for it.
        """
        platform = self.platform()
        accelerator = Accelerator(target, image, clock_hz=self.clock_hz, baud=self.baud)
        verilog = generate(accelerator, name=ACCELERATOR, platform=platform)
        if over := excess(hard_blocks(verilog), DEVICES[platform.device]):
            raise ExcessError(platform.device, over)
        return verilog


    def simulate(self, compression, verilog, x, *, directory):
        """Run the inputs ``x`` through the whole accelerator, at its serial pins.

        Raises
        ------
        SimulationError
            If it fails, or an output isn't the golden model's.
        """
        part = Part(compression.data, compression.network.quantise_input(x), resident=True)
        simulation, = simulate(
            [part], target=compression.target, verilog=verilog, top=ACCELERATOR,
            bench="sim.benches.accelerator", clock_hz=self.clock_hz, baud=self.baud,
            directory=directory)
        if simulation.exact != simulation.n:
            raise SimulationError(f"only {simulation.exact} of {simulation.n} inferences are "
                                  f"bit-exact (log: {directory / 'simulation.log'})")
        return simulation

    def count_toggles(self, compression, verilog, x, *, directory):
        """Return how often flip-flops toggle while the network runs once, on input ``x``."""
        saif = directory / "inference.saif"
        count_toggles(verilog, top=ACCELERATOR, image=compression.image, target=compression.target,
                      x=compression.network.quantise_input(x), clock_hz=self.clock_hz,
                      baud=self.baud, saif=saif)
        return flip_flop_toggles(saif.read_text(), verilog, top=ACCELERATOR)


def build(site, model, target, *, quantiser, codec, image, seed, directory, stages):
    """Make the bitstream of an accelerator that runs ``model``, and its report.

    Everything is written into ``directory``: top.bit, weights.hri, report.json, report.txt and the
    tools' logs.

    Parameters
    ----------
    site : Site
        Board, device and clock.
    model : str or Path
        Name of a network that ships, or a model file with its data beside it.
    target : Target
        Sizes of the accelerator; its decoder is made to match the codec.
    quantiser, codec : str
        How the model is compressed; the codec may be None, for the quantiser's usual one.
    image : Path or None
        An image of the model that exists, to be taken instead.
    seed : int
        Of place-and-route.
    directory : Path
        Where everything goes.
    stages : Stages
        Shows what is under way.

    Returns
    -------
    dict
        The report.

    Raises
    ------
    ValueError
        If the model can't be used, compressed, or run by the target; `ExcessError` if it is too
        big for the device.
    ToolError, SimulationError
        If a tool fails, or the simulation isn't bit-exact.
    """
    with stages.stage("compress"):
        if image is None:
            compression = compress(model, quantiser=quantiser, codec=codec, target=target)
        else:
            compression = measure_image(image, model, target=target)
        write_image(directory / "weights.hri", compression.data)
        x = load_data(model).x[:SAMPLES]
    with stages.stage("elaborate"):
        verilog = site.elaborate(compression.target, compression.data)

    def place_and_route():
        with stages.stage("synthesise, place and route"):
            return implement(verilog, site.platform(), clock_hz=site.clock_hz, seed=seed,
                             directory=directory, preferences=site.preferences)

    def measure():
        with stages.stage("simulate"):
            simulation = site.simulate(compression, verilog, x, directory=directory / "simulation")
        with stages.stage("count toggles"):
            toggles = site.count_toggles(compression, verilog, x[:1],
                                         directory=directory / "simulation")
        with stages.stage("synthesise block by block"):
            stat = synthesise(verilog, directory=directory / "blocks", flatten=False)
        with stages.stage("raw int8 instead"):
            baseline = measure_baseline(site, model, target, x[:1],
                                        directory=directory / "baseline")
        return simulation, toggles, blocks(stat, top=ACCELERATOR), baseline

    with ThreadPoolExecutor(2) as pool:
        implementation, measurement = pool.submit(place_and_route), pool.submit(measure)
        nextpnr = implementation.result()
        simulation, toggles, by_block, baseline = measurement.result()

    figures = compression.report()
    throughput = report_throughput(simulation, [layer.name for layer in compression.network.layers])
    report = {
        "headrace_version": version("headrace"),
        "commit": source_version(),
        "board": site.board.name,
        "device": site.device,
        "tools": tool_versions(),
        "seed": seed,
        "image_sha256": hashlib.sha256(compression.data).hexdigest(),
        "rtl_sha256": hashlib.sha256(verilog.encode()).hexdigest(),
        "model": figures["model"],
        "compression": figures["compression"],
        "resources": report_resources(nextpnr, by_block),
        "timing": report_timing(nextpnr, clock_hz=site.clock_hz),
        "throughput": throughput | {"inferences_per_s": site.clock_hz / simulation.cycles},
        "power": estimate_power(toggles=toggles, cycles=simulation.cycles, clock_hz=site.clock_hz),
        **baseline,
    }
    write(report, directory)
    return report


def measure_baseline(site, model, target, x, *, directory):
    """Return what plain int8 weights cost on the same way, or why they can't go it."""
    try:
        compression = compress(model, quantiser="uniform", codec="raw", target=target)
        verilog = site.elaborate(compression.target, compression.data)
    except ValueError as error:
        return {"baseline_raw": None, "baseline_raw_reason": str(error)}
    simulation = site.simulate(compression, verilog, x, directory=directory)
    stat = synthesise(verilog, directory=directory, flatten=True)
    return {"baseline_raw": {
        "bytes_image": compression.size.bytes_image,
        "memory_bits": compression.target.memory_words * 32,
        "cycles_per_inference": simulation.cycles,
        "lut4": count_cells(stat["design"]["num_cells_by_type"])["lut4"],
    }}


def source_version():
    """Return which commit of the checkout this is; None outside of one."""
    try:
        return subprocess.run(["git", "describe", "--always", "--dirty", "--abbrev=40"], cwd=ROOT,
                              capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def parse(argv):
    parser = argparse.ArgumentParser(
        prog="python -m hw.build",
        description="Compress a network and build the accelerator that runs it: bitstream, "
                    "simulation and report.")
    parser.add_argument("--board", default="ulx3s",
                        help=f"one of {', '.join(BOARDS)} (default: %(default)s)")
    parser.add_argument("--model", default="digits", metavar="NAME|FILE",
                        help="network that ships, or a model file (default: %(default)s)")
    parser.add_argument("--device", help="device on the board (default: the board's usual one)")
    parser.add_argument("--clock", type=float, default=80, metavar="MHZ",
                        help="clock in MHz (default: %(default)g)")
    parser.add_argument("--baud", type=int, default=BAUD, metavar="RATE",
                        help="bits a second of the serial line (default: %(default)s)")
    parser.add_argument("--rows", type=int, metavar="R",
                        help="rows of the MAC array (default: what suits the device)")
    parser.add_argument("--columns", type=int, metavar="C",
                        help="columns of the MAC array, 4 or 8 (default: what suits the device)")
    parser.add_argument("--seed", type=int, default=1,
                        help="of place-and-route (default: %(default)s)")
    parser.add_argument("--quantiser", choices=QUANTISERS, default="step",
                        help="how weights become symbols (default: %(default)s)")
    parser.add_argument("--codec", choices=CODECS,
                        help="how symbols are coded (default: raw for uniform, else huffman)")
    parser.add_argument("--image", type=Path, metavar="FILE",
                        help="image of the model, made by sw.compress for the same target, to take "
                             "as it is")
    parser.add_argument("-o", "--output", type=Path, metavar="FOLDER",
                        help="where everything goes (default: build/BOARD)")
    return parser.parse_args(argv)


def main(argv=None):
    arguments = parse(argv)
    console = Console(width=None if sys.stdout.isatty() else 120)
    try:
        board = find_board(arguments.board)
        site = Site(board, arguments.device or board.default_device,
                    round(arguments.clock * 1_000_000), arguments.baud)
        sizes = {name: getattr(arguments, name) for name in ("rows", "columns")
                 if getattr(arguments, name) is not None}
        target = replace(PRESETS[board.name, site.device], **sizes)
        directory = arguments.output or Path("build", board.name)
        directory.mkdir(parents=True, exist_ok=True)
        with Usage() as usage, Stages(console) as stages:
            report = build(site, arguments.model, target, quantiser=arguments.quantiser,
                           codec=arguments.codec, image=arguments.image, seed=arguments.seed,
                           directory=directory, stages=stages)
    except (ValueError, OSError, ToolError, SimulationError) as error:
        if isinstance(error, ExcessError):
            Console(stderr=True).print(error.table)
        print(f"hw.build: {error}", file=sys.stderr)
        return 1

    console.print(summary(report))
    print(f"{directory / 'top.bit'}: made in {usage.seconds:.0f} s with at most "
          f"{usage.peak_bytes / 1e9:.1f} GB of memory")
    if not report["timing"]["met"]:
        print(f"hw.build: {arguments.clock:g} MHz are not met; try --clock "
              f"{report['timing']['fmax_mhz']:.0f} or another --seed", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
