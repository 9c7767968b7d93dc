"""Command: a virtual board, for any client."""

import argparse
import signal
import sys

from rich.console import Console

from boards import BOARDS, find_board
from sim.verilator import SimulationError
from sim.virtual import Build, VirtualBoard
from sw.compression import CODECS, QUANTISERS
from sw.format.link import BAUD
from sw.host.ports import offer


__all__ = ["main"]


def interrupt(*_):
    raise KeyboardInterrupt


def main(argv=None):
    parser = argparse.ArgumentParser(
        prog="python -m sim.board", formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        description="Simulate a board and offer its serial port as a pseudo-terminal.")
    parser.add_argument("--board", default="ulx3s", help=f"one of {', '.join(BOARDS)}")
    parser.add_argument("--device", default=argparse.SUPPRESS,
                        help="device on the board (default: the board's usual one)")
    parser.add_argument("--model", default="digits", metavar="NAME|FILE",
                        help="network that ships, or a model file")
    parser.add_argument("--clock", type=float, default=80, metavar="MHZ", help="clock in MHz")
    parser.add_argument("--baud", type=int, default=BAUD, metavar="RATE",
                        help="bits a second of the serial line")
    parser.add_argument("--quantiser", choices=QUANTISERS, default="step",
                        help="how weights become symbols")
    parser.add_argument("--codec", choices=CODECS, default=argparse.SUPPRESS,
                        help="how symbols are coded (default: raw for uniform, else huffman)")
    arguments = vars(parser.parse_args(argv))
    build = Build(clock_hz=round(arguments.pop("clock") * 1_000_000), **arguments)
    console = Console(highlight=False, soft_wrap=True)
    signal.signal(signal.SIGTERM, interrupt)
    try:
        with console.status("compiling the accelerator"):
            virtual = VirtualBoard(build)
        with virtual, offer(virtual.port, build.board):
            console.print(f"{find_board(build.board).title} with {build.model}: {virtual.port}, "
                          f"{build.baud} baud; Ctrl-C ends it")
            virtual.wait()
    except KeyboardInterrupt:
        console.print("ended")
        return 0
    except (ValueError, OSError, SimulationError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
