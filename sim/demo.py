"""Command: a virtual board reads a handwritten digit."""

import argparse
import sys

from rich.console import Console

from boards.ulx3s import ULX3S
from hw.site import Site
from sim.verilator import SimulationError
from sim.virtual import Build, VirtualBoard
from sw.format.target import PRESETS
from sw.host.accelerator import Accelerator
from sw.host.client import LinkError
from sw.host.scores import show
from sw.zoo import load_data


__all__ = ["draw", "main"]


DIGITS = Build(Site(ULX3S, ULX3S.default_device, 80_000_000),
               PRESETS[ULX3S.name, ULX3S.default_device])

SHADES = " ░▒▓█"


def draw(picture):
    """Return a grey picture, shape (H, W, 1), as lines of blocks."""
    levels = picture[..., 0] * (len(SHADES) - 1) / max(1, picture.max())
    return "\n".join("".join(2 * SHADES[round(level)] for level in row) for row in levels)


def main(argv=None):
    parser = argparse.ArgumentParser(
        prog="python -m sim.demo", description="Start a virtual board with the network digits, and "
        "let it read a digit that was held out from training.")
    data = load_data("digits")
    parser.add_argument("--digit", type=int, default=0, metavar="N", choices=range(len(data.x)),
                        help=f"which, 0 to {len(data.x) - 1} (default: %(default)s)")
    number = parser.parse_args(argv).digit
    console = Console(highlight=False, soft_wrap=True)
    try:
        with console.status("compiling the accelerator, once: half a minute"):
            virtual = VirtualBoard(DIGITS)
        with virtual, Accelerator(virtual.port) as accelerator:
            console.print(f"digit {number}, which is a {data.y[number]}:")
            console.print(draw(data.x[number]))
            show(console, accelerator.infer(data.x[number]))
    except (ValueError, OSError, LinkError, SimulationError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
