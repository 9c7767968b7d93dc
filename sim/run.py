"""Command: simulate the accelerator on real inputs, bit for bit, and count its cycles."""

import argparse
import json
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from boards import BOARDS, find_board
from hw.accelerator import Accelerator
from hw.rtl import generate
from hw.top import ACCELERATOR
from sim.simulation import Part, simulate
from sim.verilator import SimulationError
from sw.compression import CODECS, QUANTISERS, compress
from sw.cycles import predict
from sw.format.link import BAUD
from sw.format.target import PRESETS
from sw.zoo import load_data


__all__ = ["main", "report"]


def report(simulation, names):
    """Return what a simulation says of throughput, as report.json has it."""
    prediction = predict(simulation.image, simulation.target)
    return {
        "cycles_per_inference": simulation.cycles,
        "predicted_cycles": prediction.cycles,
        "weights_per_cycle": simulation.weights_per_cycle,
        "decoder_stall_cycles": simulation.waiting,
        "predicted_stall_cycles": prediction.waiting,
        "mac_utilisation": simulation.mac_utilisation,
        "layers": [
            {"name": name, "cycles": cycles, "predicted": layer.cycles, "binds": layer.binds,
             "mac_utilisation": utilisation}
            for name, cycles, layer, utilisation in zip(
                names, simulation.layer_cycles, prediction.layers, simulation.layer_utilisation,
                strict=True)],
        "simulated_rtl_sha256": simulation.rtl_sha256,
    }


def show(console, throughput):
    table = Table(title="Cycles")
    for heading in ("layer", "cycles", "predicted", "bound by", "MAC utilisation"):
        table.add_column(heading, justify="left" if heading in ("layer", "bound by") else "right")
    for layer in throughput["layers"]:
        utilisation = layer["mac_utilisation"]
        table.add_row(layer["name"], f"{layer['cycles']:,}", f"{layer['predicted']:,}",
                      layer["binds"], "" if utilisation is None else f"{utilisation:.1%}")
    table.add_section()
    table.add_row("inference", f"{throughput['cycles_per_inference']:,}",
                  f"{throughput['predicted_cycles']:,}", "",
                  f"{throughput['mac_utilisation']:.1%}")
    console.print(table)
    console.print(f"Decoder: {throughput['weights_per_cycle']:.2f} weights per cycle; the array "
                  f"waited {throughput['decoder_stall_cycles']:,} cycles for weights "
                  f"({throughput['predicted_stall_cycles']:,} predicted).")


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m sim.run", description=__doc__,
                                     formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--model", default="digits", metavar="NAME|FILE",
                        help="network that ships, or a model file")
    parser.add_argument("--board", default="ulx3s", help=f"one of {', '.join(BOARDS)}")
    parser.add_argument("--device", help="device on the board (default: the board's usual one)")
    parser.add_argument("--clock", type=float, default=80, metavar="MHZ", help="clock in MHz")
    parser.add_argument("--quantiser", choices=QUANTISERS, default="step",
                        help="how weights become symbols")
    parser.add_argument("--codec", choices=CODECS, default=argparse.SUPPRESS,
                        help="how symbols are coded (default: raw for uniform, else huffman)")
    parser.add_argument("--samples", type=int, default=20, metavar="N",
                        help="held-out inputs to simulate")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("-o", "--output", type=Path, default=Path("build/simulation"),
                        metavar="FOLDER", help="where the simulation's log goes")
    arguments = parser.parse_args(argv)
    console = Console(stderr=arguments.json)
    try:
        throughput, exact, n, compression = run(arguments, console)
    except (ValueError, SimulationError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1

    if arguments.json:
        print(json.dumps({"exact": exact, "n": n, "throughput": throughput}, indent=2))
    console.print(f"{exact} of {n} inferences bit-exact; the golden model gets "
                  f"{compression.accuracy_int:.2%} of {compression.n} held-out inputs right "
                  f"(float: {compression.accuracy_float:.2%}).")
    return 0 if exact == n else 1


def run(arguments, console):
    if arguments.samples < 1:
        raise ValueError(f"Samples must be 1 or more, not {arguments.samples}")
    board = find_board(arguments.board)
    device = arguments.device or board.default_device
    platform = board.platform(device)
    clock_hz = round(arguments.clock * 1_000_000)

    with console.status("compressing"):
        compression = compress(
            arguments.model, quantiser=arguments.quantiser,
            codec=getattr(arguments, "codec", None), target=PRESETS[board.name, device])
    with console.status("compiling the accelerator, then simulating it"):
        accelerator = Accelerator(compression.target, compression.data, clock_hz=clock_hz,
                                  baud=BAUD)
        verilog = generate(accelerator, name=ACCELERATOR, platform=platform)
        x = load_data(arguments.model).x[:arguments.samples]
        part = Part(compression.data, compression.network.quantise_input(x), resident=True)
        simulation, = simulate(
            [part], target=compression.target, verilog=verilog, top=ACCELERATOR,
            bench="sim.benches.accelerator", clock_hz=clock_hz, baud=BAUD,
            directory=arguments.output)
    throughput = report(simulation, [layer.name for layer in compression.network.layers])
    if not arguments.json:
        show(console, throughput)
    return throughput, simulation.exact, simulation.n, compression


if __name__ == "__main__":
    sys.exit(main())
