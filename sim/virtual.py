"""A virtual board: the accelerator in Verilator behind a pseudo-terminal."""

import hashlib
import os
import subprocess
import tempfile
import tty
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from hw.link.uart import bit_cycles
from hw.site import ROOT, Site
from hw.top import ACCELERATOR
from sim.chips import flash_options, with_chips
from sim.verilator import BUILD, SimulationError, compile_board
from sw.compression import compress
from sw.format.target import Target
from sw.plan import Plan
from sw.zoo import find


__all__ = ["Build", "VirtualBoard"]


@dataclass(frozen=True)
class Build:
    """What a virtual board is: the accelerator that `hw.build` makes with the same choices.

    Parameters
    ----------
    site : Site
        Board, device, clock and rate of the serial line.
    target : Target
        Sizes of the accelerator; its decoder is made to match the codec.
    model : str
        Network that ships, or a model file: the image at power-on.
    plan : Plan
        How the model is compressed.
    calibration : Path, optional
        Inputs, as in `sw.compression.compress`.
    """

    site: Site
    target: Target
    model: str = "digits"
    plan: Plan = field(default_factory=Plan)
    calibration: Path | None = None

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

        compression = self.compress()
        verilog, top = with_chips(self.site.elaborate(compression.target, compression.data),
                                  top=ACCELERATOR, target=compression.target)
        folder = compile_board(verilog, top=top)
        # Others may be at the same.
        link = known.with_suffix(f".{os.getpid()}")
        link.symlink_to(folder)
        link.replace(known)
        return folder

    def compress(self):
        """Return the compressed model."""
        return compress(self.model, self.plan, target=self.target, calibration=self.calibration)

    def digest(self):
        """Return a name for all that the accelerator is made from."""
        site = self.site
        choices = (site.board.name, site.device, site.clock_hz, site.baud, self.target, self.plan)
        versions = [version(package) for package in ("amaranth", "verilator")]
        digest = hashlib.sha256(repr((choices, versions)).encode())
        model = find(self.model)
        sources = [path for folder in ("boards", "hw", "sim", "sw")
                   for suffix in ("*.py", "*.v", "*.cpp") for path in (ROOT / folder).rglob(suffix)]
        data = (model.with_name(f"{model.stem}_data.npz"), *filter(None, [self.calibration]))
        for path in (*sorted(sources), model, *data):
            digest.update(path.read_bytes() if path.exists() else b"")
        return digest.hexdigest()[:16]


class VirtualBoard:
    """A board in simulation, with a pseudo-terminal for its serial port; a context manager.

    Clients may come and go. Time stands still while there is nothing to do.

    Parameters
    ----------
    build : Build
        What it is.
    flash : bytes, optional
        The image in its flash, if the target's is there; by default that of the build's model.
    faults : sequence of str
        Options of the models in sim/models, as ``"+flash_absent"``.

    Raises
    ------
    ValueError, SimulationError
        If it can't be built.

    Attributes
    ----------
    port : str
        The serial port's name.
    """

    def __init__(self, build, *, flash=None, faults=()):
        self.build = build
        self.flash = flash
        self.faults = faults
        if build.target.memory.has_flash and flash is None:
            self.flash = build.compress().data
        self.cycles = bit_cycles(build.site.clock_hz, build.site.baud)
        self.folder = build.compile()

    def __enter__(self):
        master, self.line = os.openpty()
        tty.setraw(self.line)
        # A board doesn't wait for a host that doesn't listen.
        os.set_blocking(master, False)
        self.port = os.ttyname(self.line)
        self.work = tempfile.TemporaryDirectory()
        options = []
        if self.flash is not None:
            options = flash_options(self.flash, Path(self.work.name) / "flash.bin")
        self.process = subprocess.Popen(
            [self.folder / "board", str(self.cycles), str(self.build.site.clock_hz), *options,
             *self.faults],
            stdin=master, stdout=master, start_new_session=True)
        os.close(master)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        os.close(self.line)
        self.work.cleanup()

    def wait(self):
        """Wait until the simulation ends by itself, which it shouldn't.

        Raises
        ------
        SimulationError
            Then.
        """
        raise SimulationError(f"{self.folder / 'board'} ended with status {self.process.wait()}")
