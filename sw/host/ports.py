"""Serial ports at which an accelerator may be: of boards that are plugged in, and virtual ones."""

import argparse
import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from serial.tools import list_ports

from sw.format.link import BAUD

from .client import LinkError


__all__ = ["BOARDS", "add_port_options", "find_port", "list_boards", "offer"]


#: What a board's USB serial port says it is: vendor and product.
BOARDS = {(0x0403, 0x6015): "ULX3S"}

#: Files of the virtual boards that run, each locked by its board and with the name of its port.
VIRTUAL = Path("build/virtual")


@contextlib.contextmanager
def offer(port: str, name: str) -> Iterator[None]:
    """Let `list_boards` find ``port`` meanwhile, as that of a virtual board called ``name``."""
    VIRTUAL.mkdir(parents=True, exist_ok=True)
    path = VIRTUAL / f"{name}-{os.getpid()}"
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(port)
        file.flush()
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def list_boards() -> dict[str, str]:
    """Return the ports of boards, and what is there."""
    found = {info.device: f"{BOARDS[info.vid, info.pid]}, {info.description}"
             for info in list_ports.comports() if (info.vid, info.pid) in BOARDS}
    for path in sorted(VIRTUAL.glob("*")):
        # A board may end meanwhile.
        with contextlib.suppress(FileNotFoundError), path.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                found[file.read()] = f"virtual board {path.name}"
    return found


def find_port() -> str:
    """Return the only port of a board.

    Raises
    ------
    LinkError
        If there is none, or more than one; the message lists them.
    """
    found = list_boards()
    if not found:
        raise LinkError("no board found: plug one in, start python -m sim.board, or name its port "
                        "with --port")
    if len(found) > 1:
        ports = "; ".join(f"{port} ({board})" for port, board in found.items())
        raise LinkError(f"more than one board found, choose with --port: {ports}")
    return next(iter(found))


def add_port_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where the board is."""
    parser.add_argument("--port", help="serial port (default: that of the only board)")
    parser.add_argument("--baud", type=int, default=BAUD, metavar="RATE",
                        help="bits a second that the accelerator was built for "
                             "(default: %(default)s)")
