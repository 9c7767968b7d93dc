"""Command: a virtual board, for any client."""

import argparse
import signal
import sys
from pathlib import Path

from rich.console import Console

from hw.options import add_accelerator_options, read_plan, read_site, read_target
from sim.verilator import SimulationError
from sim.virtual import Build, VirtualBoard
from sw.host.ports import offer


__all__ = ["main"]


def interrupt(*_):
    raise KeyboardInterrupt


def read_flash(arguments, target):
    """Return the image that is asked for; None for the model's.

    Raises
    ------
    ValueError
        If there is no flash for it.
    OSError
        If it can't be read.
    """
    if arguments.image is None:
        return None
    if not target.memory.has_flash:
        raise ValueError("--image needs --memory flash or sdram; sw.infer --image writes others")
    return arguments.image.read_bytes()


def main(argv=None):
    parser = argparse.ArgumentParser(
        prog="python -m sim.board",
        description="Simulate a board and offer its serial port as a pseudo-terminal.")
    add_accelerator_options(parser)
    parser.add_argument("--image", type=Path, metavar="FILE",
                        help="image in its flash, with --memory flash or sdram (default: the "
                             "model's)")
    arguments = parser.parse_args(argv)
    console = Console(highlight=False, soft_wrap=True)
    try:
        site = read_site(arguments)
        target = read_target(arguments, site)
        site = site.suited(target)
        build = Build(site, target, arguments.model, read_plan(arguments), arguments.calibrate)
        with console.status("compiling the accelerator"):
            virtual = VirtualBoard(build, flash=read_flash(arguments, build.target))
        # A shell's job in the background ignores Ctrl-C unless it says otherwise.
        for end in (signal.SIGINT, signal.SIGTERM):
            signal.signal(end, interrupt)
        with virtual, offer(virtual.port, site.board.name):
            console.print(f"{site.board.title} with {build.model}: {virtual.port}, {site.baud} "
                          f"baud; Ctrl-C ends it")
            virtual.wait()
    except KeyboardInterrupt:
        console.print("ended")
        return 0
    except (ValueError, OSError, SimulationError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
