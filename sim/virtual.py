"""A virtual board: the accelerator in Verilator behind a pseudo-terminal."""

import hashlib
import os
import subprocess
import tty
from dataclasses import astuple, dataclass
from importlib.metadata import version
from pathlib import Path

from boards import find_board
from hw.link.uart import bit_cycles
from hw.site import Site
from hw.top import ACCELERATOR
from sim.verilator import BUILD, SimulationError, compile_board
from sw.compression import compress
from sw.format.link import BAUD
from sw.format.target import PRESETS
from sw.zoo import find


__all__ = ["Build", "VirtualBoard"]


ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Build:
    """What a virtual board is: the accelerator that `hw.build` makes with the same choices.

    Parameters
    ----------
    board : str
        Name of the board.
    device : str or None
        Device on it; None for its usual one.
    model : str
        Network that ships, or a model file: the image at power-on.
    clock_hz, baud : int
        Clock, and rate of the serial line.
    quantiser : str
        How weights become symbols.
    codec : str or None
        How symbols are coded; None for what suits the quantiser.
    """

    board: str = "ulx3s"
    device: str | None = None
    model: str = "digits"
    clock_hz: int = 80_000_000
    baud: int = BAUD
    quantiser: str = "step"
    codec: str | None = None

    def compile(self):
        """Return the folder of the compiled accelerator; nothing is made again.

        Raises
        ------
        ValueError
            If it can't be built.
        SimulationError
            If it doesn't compile.
        """
        known = BUILD / f"board-{self.digest()}"
        if known.exists():
            os.utime(known)
            return known.resolve()

        board = find_board(self.board)
        device = self.device or board.default_device
        site = Site(board, device, self.clock_hz, self.baud)
        compression = compress(self.model, quantiser=self.quantiser, codec=self.codec,
                               target=PRESETS[board.name, device])
        folder = compile_board(site.elaborate(compression.target, compression.data),
                               top=ACCELERATOR)
        known.unlink(missing_ok=True)
        known.symlink_to(folder)
        return folder

    def digest(self):
        """Return a name for all that the accelerator is made from."""
        digest = hashlib.sha256(repr((astuple(self), version("amaranth"))).encode())
        model = find(self.model)
        sources = [path for folder in ("boards", "hw", "sim", "sw")
                   for suffix in ("*.py", "*.v", "*.cpp") for path in (ROOT / folder).rglob(suffix)]
        for path in [*sorted(sources), model, model.with_name(f"{model.stem}_data.npz")]:
            digest.update(path.read_bytes() if path.exists() else b"")
        return digest.hexdigest()[:16]


class VirtualBoard:
    """A board in simulation, with a pseudo-terminal for its serial port; a context manager.

    Clients may come and go. Time stands still while there is nothing to do.

    Parameters
    ----------
    build : Build
        What it is.

    Raises
    ------
    ValueError, SimulationError
        If it can't be built.

    Attributes
    ----------
    port : str
        The serial port's name.
    """

    def __init__(self, build):
        self.build = build
        self.cycles = bit_cycles(build.clock_hz, build.baud)
        self.folder = build.compile()

    def __enter__(self):
        master, self.line = os.openpty()
        tty.setraw(self.line)
        # A board doesn't wait for a host that doesn't listen.
        os.set_blocking(master, False)
        self.port = os.ttyname(self.line)
        self.process = subprocess.Popen([self.folder / "board", str(self.cycles)], stdin=master,
                                        stdout=master, start_new_session=True)
        os.close(master)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        os.close(self.line)

    def wait(self):
        """Return once the simulation has ended by itself, which it shouldn't.

        Raises
        ------
        SimulationError
            In any case.
        """
        raise SimulationError(f"{self.folder / 'board'} ended with status {self.process.wait()}")
