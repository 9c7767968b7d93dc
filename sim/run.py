"""Command: simulate the accelerator on real inputs, bit for bit, and count its cycles."""

import argparse
import json
import sys
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from hw.options import add_accelerator_options, read_plan, read_site, read_target
from sim.throughput import report_throughput
from sim.verilator import SimulationError
from sw.compression import compress, sample_inputs
from sw.score import metric


__all__ = ["main"]


def show(console, throughput):
    table = Table(title="Cycles", box=SIMPLE_HEAD)
    for heading in ("layer", "cycles", "predicted", "stalls", "predicted", "bound by",
                    "MAC utilisation"):
        table.add_column(heading, justify="left" if heading in ("layer", "bound by") else "right")
    for layer in throughput["layers"]:
        utilisation = layer["mac_utilisation"]
        table.add_row(layer["name"], f"{layer['cycles']:,}", f"{layer['predicted']:,}",
                      f"{layer['stall_cycles']:,}", f"{layer['predicted_stall_cycles']:,}",
                      layer["binds"], "" if utilisation is None else f"{utilisation:.1%}")
    table.add_section()
    table.add_row("inference", f"{throughput['cycles_per_inference']:,}",
                  f"{throughput['predicted_cycles']:,}",
                  f"{throughput['decoder_stall_cycles']:,}",
                  f"{throughput['predicted_stall_cycles']:,}", "",
                  f"{throughput['mac_utilisation']:.1%}")
    console.print(table)
    console.print(f"Decoder: {throughput['weights_per_cycle']:.2f} weights per cycle; the array "
                  "stalls where it waits for them.")
    memory = throughput["memory"]
    console.print(f"Memory ({memory['kind']}): coded data take {memory['roofline_cycles']:,} "
                  f"cycles at its peak, {memory['busy_share']:.1%} of an inference.")


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m sim.run", description=__doc__)
    add_accelerator_options(parser)
    parser.add_argument("--samples", type=int, default=20, metavar="N",
                        help="held-out inputs to simulate (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("-o", "--output", type=Path, default=Path("build/simulation"),
                        metavar="FOLDER", help="where the log goes (default: %(default)s)")
    arguments = parser.parse_args(argv)
    console = Console(stderr=arguments.json, width=None if sys.stdout.isatty() else 120)
    try:
        compression, simulation = run(arguments, console)
    except (ValueError, SimulationError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1

    throughput = report_throughput(simulation, [layer.name for layer in compression.network.layers])
    if arguments.json:
        print(json.dumps({"exact": simulation.exact, "n": simulation.n, "throughput": throughput},
                         indent=2))
    else:
        show(console, throughput)
    console.print(f"{simulation.exact} of {simulation.n} inferences bit-exact"
                  f"{judged(compression)}.")
    return 0 if simulation.exact == simulation.n else 1


def judged(compression):
    if compression.accuracy_int is None:
        return ", on seeded noise"
    if metric(compression.network) == "auc":
        return (f"; the golden model's AUC is {compression.accuracy_int:.4f} on {compression.n} "
                f"held-out inputs (before: {compression.accuracy_float:.4f})")
    return (f"; the golden model gets {compression.accuracy_int:.2%} of {compression.n} held-out "
            f"inputs right (before: {compression.accuracy_float:.2%})")


def run(arguments, console):
    if arguments.samples < 1:
        raise ValueError(f"Samples must be 1 or more, not {arguments.samples}")
    site = read_site(arguments)
    target = read_target(arguments, site)
    with console.status("compressing"):
        compression = compress(arguments.model, read_plan(arguments), target=target,
                               data=arguments.data, calibration=arguments.calibrate)
        x = sample_inputs(arguments.model, arguments.samples, arguments.data)
    with console.status("compiling the accelerator, then simulating it"):
        site = site.suited(compression.target)
        verilog = site.elaborate(compression.target, compression.data)
        return compression, site.simulate(compression, verilog, x, directory=arguments.output)


if __name__ == "__main__":
    sys.exit(main())
