"""Command: from a network to a bitstream, simulated on the way, and a report."""

import argparse
import hashlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from threading import Event

from rich.console import Console

from sim.throughput import report_throughput
from sim.verilator import SimulationError
from sw.compression import compress, measure_image, sample_inputs
from sw.cost import decoder_resources
from sw.files import write_file
from sw.remedies import explain

from .options import add_accelerator_options, read_plan, read_site, read_target
from .report.document import summary, write
from .report.power import estimate_power
from .report.resources import ExcessError, blocks, count_cells, report_resources
from .report.timing import report_timing
from .report.usage import Usage
from .site import ROOT
from .stages import Stages
from .toolchain import ToolError, implement, synthesise, tool_versions
from .top import ACCELERATOR


__all__ = ["build", "main"]


# Held-out inputs that each build simulates; sim.run takes more.
SAMPLES = 4

# What stands for a build that succeeded.
PRODUCTS = ("top.bit", "top.svf", "report.json", "report.txt")


@contextmanager
def only_if_good(directory):
    """Remove what builds before left in ``directory``, and at the end what one that fails left."""
    def remove():
        for name in PRODUCTS:
            (directory / name).unlink(missing_ok=True)
    remove()
    try:
        yield
    except BaseException:
        remove()
        raise


def build(site, model, target, plan, *, data, calibration, image, seed, directory, stages):
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
    plan : Plan
        How the model is compressed.
    data, calibration : Path or None
        Inputs, as in `sw.compression.compress`; without any, seeded noise is simulated.
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
    with only_if_good(directory):
        with stages.stage("compress"):
            if image is None:
                compression = compress(model, plan, target=target, data=data,
                                       calibration=calibration)
            else:
                compression = measure_image(image, model, target=target)
            site = site.suited(compression.target)
            write_file(directory / "weights.hri", compression.data)
            x = sample_inputs(model, SAMPLES, data)
        with stages.stage("elaborate"):
            verilog = site.elaborate(compression.target, compression.data)
        nextpnr, measurement = implement_and_measure(
            site, model, target, calibration, compression, verilog, x, seed=seed,
            directory=directory, stages=stages)
        simulation, toggles, by_block, baseline = measurement

        figures = compression.report()
        throughput = report_throughput(
            simulation, [layer.name for layer in compression.network.layers])
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
            "resources": report_resources(
                nextpnr, by_block, estimate=decoder_resources(compression.target.decoder)),
            "timing": report_timing(nextpnr, clock_hz=site.clock_hz),
            "throughput": throughput | {"inferences_per_s": site.clock_hz / simulation.cycles},
            "power": estimate_power(toggles=toggles, cycles=simulation.cycles,
                                    clock_hz=site.clock_hz),
            **baseline,
        }
        write(report, directory)
    return report


def implement_and_measure(site, model, target, calibration, compression, verilog, x, *, seed,
                          directory, stages):
    """Return nextpnr's report, and simulation, toggles, blocks and baseline.

    One half runs beside the other; when either fails, the tools of both are stopped.
    """
    stop = Event()

    def place_and_route():
        with stages.stage("synthesise, place and route"):
            return implement(verilog, site.platform(), clock_hz=site.clock_hz, seed=seed,
                             memory=compression.target.memory, directory=directory,
                             preferences=site.preferences,
                             places=site.floorplan(compression.target), stop=stop)

    def measure():
        with stages.stage("simulate"):
            simulation = simulate(site, compression, verilog, x,
                                  directory=directory / "simulation")
        with stages.stage("count toggles"):
            toggles = site.count_toggles(compression, verilog, x[:1],
                                         directory=directory / "simulation")
        with stages.stage("synthesise block by block"):
            stat = synthesise(verilog, site.platform().device, directory=directory / "blocks",
                              flatten=False, stop=stop)
        with stages.stage("raw int8 instead"):
            baseline = measure_baseline(site, model, target, calibration, x[:1],
                                        directory=directory / "baseline", stop=stop)
        return simulation, toggles, blocks(stat, top=ACCELERATOR), baseline

    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(place_and_route), pool.submit(measure)]
        try:
            for job in as_completed(jobs):
                job.result()
        except BaseException:
            stop.set()
            raise
    return [job.result() for job in jobs]


def simulate(site, compression, verilog, x, *, directory):
    """Simulate as `Site.simulate`, and refuse outputs that aren't the golden model's."""
    simulation = site.simulate(compression, verilog, x, directory=directory)
    if simulation.exact != simulation.n:
        raise SimulationError(f"only {simulation.exact} of {simulation.n} inferences are "
                              f"bit-exact (log: {directory / 'simulation.log'})")
    return simulation


def measure_baseline(site, model, target, calibration, x, *, directory, stop):
    """Return what plain int8 weights cost on the same way, or why they can't go it."""
    try:
        compression = compress(model, quantiser="uniform", codec="raw", target=target,
                               calibration=calibration)
        verilog = site.elaborate(compression.target, compression.data)
    except ValueError as error:
        return {"baseline_raw": None, "baseline_raw_reason": str(error)}
    simulation = simulate(site, compression, verilog, x, directory=directory)
    stat = synthesise(verilog, site.platform().device, directory=directory, flatten=True,
                      stop=stop)
    words = len(compression.data) // 4
    return {"baseline_raw": {
        "bytes_image": compression.size.bytes_image,
        # Of the least memory, which has a power of two of words, that the image fits into.
        "memory_bits": 32 << (words - 1).bit_length(),
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
    add_accelerator_options(parser)
    parser.add_argument("--seed", type=int, default=1,
                        help="of place-and-route (default: %(default)s)")
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
        site = read_site(arguments)
        target = read_target(arguments, site)
        directory = arguments.output or Path("build", site.board.name)
        directory.mkdir(parents=True, exist_ok=True)
        with Usage() as usage, Stages(console) as stages:
            report = build(site, arguments.model, target, read_plan(arguments),
                           data=arguments.data, calibration=arguments.calibrate,
                           image=arguments.image, seed=arguments.seed, directory=directory,
                           stages=stages)
    except (ValueError, OSError, ToolError, SimulationError) as error:
        if isinstance(error, ExcessError):
            Console(stderr=True).print(error.table)
        explain(error)
        print(f"error: {error}", file=sys.stderr)
        return 1

    console.print(summary(report))
    print(f"{directory / 'top.bit'}: made in {usage.seconds:.0f} s with at most "
          f"{usage.peak_bytes / 1e9:.1f} GB of memory")
    if not report["timing"]["met"]:
        print(f"error: {report['timing']['clock_mhz']:g} MHz are not met; try --clock "
              f"{report['timing']['fmax_mhz']:.0f} or another --seed", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
