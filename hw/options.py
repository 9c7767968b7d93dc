"""Options of the commands that make an accelerator."""

from argparse import ArgumentTypeError
from math import inf
from pathlib import Path

from boards import BOARDS, find_board
from sw.format.link import BAUD
from sw.format.target import PRESETS, Memory
from sw.options import add_compression_options, add_size_options, resize
from sw.plan import Plan

from .site import CLOCK_HZ, SPREAD_CLOCK_HZ, Site


__all__ = ["add_accelerator_options", "read_plan", "read_site", "read_target"]


def add_accelerator_options(parser):
    """Add what says which accelerator is made, for which network."""
    parser.add_argument("--board", default="ulx3s",
                        help=f"one of {', '.join(BOARDS)} (default: %(default)s)")
    parser.add_argument("--device", help="device on the board (default: the board's usual one)")
    parser.add_argument("--clock", type=frequency, metavar="MHZ", dest="clock_hz",
                        help=f"clock in MHz (default: {CLOCK_HZ / 1e6:g}; for more than 32 "
                             f"multipliers {SPREAD_CLOCK_HZ / 1e6:g})")
    parser.add_argument("--baud", type=int, default=BAUD, metavar="RATE",
                        help="bits a second of the serial line (default: %(default)s)")
    parser.add_argument("--memory", type=Memory, choices=list(Memory),
                        help="where the image is: block RAM; the board's flash, from which "
                             "coded data are read anew in each run; or SDRAM, filled from flash; "
                             "a UP5K's large RAM likewise (default: the target's own)")
    add_size_options(parser)
    parser.add_argument("--model", default="digits", metavar="NAME|FILE",
                        help="network that ships, or a model file (default: %(default)s)")
    add_compression_options(parser)
    parser.add_argument("--bits", type=float, metavar="BITS",
                        help="bits per weight, or of a symbol, as in sw.compress")
    parser.add_argument("--data", type=Path, metavar="FILE",
                        help="npz of held-out inputs x and classes y (default: NAME_data.npz "
                             "beside an npz model; else seeded noise is run)")
    parser.add_argument("--calibrate", type=Path, metavar="FILE",
                        help="npz of inputs x to calibrate on, as in sw.compress")


def frequency(mhz):
    """Return in Hz what a command line says in MHz."""
    hz = float(mhz) * 1e6
    if not 1 <= hz < inf:
        raise ArgumentTypeError(f"must be a frequency in MHz, not {mhz}")
    return round(hz)


def read_site(arguments):
    """Return the site that was asked for.

    Raises
    ------
    ValueError
        If there is none, or no accelerator for its device.
    """
    board = find_board(arguments.board)
    device = arguments.device or board.default_device
    board.platform(device)
    # Before the clock, which needn't be one that suits other devices.
    if (board.name, device) not in PRESETS:
        known = ", ".join(f"{board} {device}" for board, device in PRESETS)
        raise ValueError(f"Accelerator must be for one of {known}, not {board.name} {device}")
    return Site(board, device, arguments.clock_hz, arguments.baud)


def read_plan(arguments):
    """Return how the network is compressed.

    Raises
    ------
    ValueError
        If choices don't go together.
    """
    return Plan(arguments.quantiser, arguments.codec, arguments.bits, lanes=arguments.lanes)


def read_target(arguments, site):
    """Return the site's target, with the rows and columns that were asked for.

    Raises
    ------
    ValueError
        If they can't be built.
    """
    preset = PRESETS[site.board.name, site.device]
    memory = arguments.memory or preset.memory
    if memory in (Memory.FLASH, Memory.SDRAM) and not site.board.resources:
        raise ValueError(f"Memory {memory} must be on a board with its pins, ulx3s, "
                         f"not {site.board.name}")
    return resize(preset.with_memory(memory), arguments)
