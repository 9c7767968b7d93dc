"""Site: the board, device and clock that an accelerator is made for."""

from dataclasses import dataclass, replace
from pathlib import Path

from boards import Board
from sim.simulation import Part, count_toggles, simulate
from sw.format.link import BAUD
from sw.format.target import Memory

from .accelerator import Accelerator
from .floorplan import floorplan
from .link.uart import bit_cycles
from .primitives.pll import find_pll
from .report.resources import fit, hard_blocks
from .report.saif import flip_flop_toggles
from .rtl import generate
from .top import ACCELERATOR


__all__ = ["CLOCK_HZ", "ROOT", "SPREAD_CLOCK_HZ", "Site"]


ROOT = Path(__file__).parents[1]

#: Clocks that accelerators reach unless another is asked for: any, and those whose array is spread.
CLOCK_HZ = 80_000_000
SPREAD_CLOCK_HZ = 50_000_000


@dataclass(frozen=True)
class Site:
    """Where an accelerator is built.

    Parameters
    ----------
    board : Board
        The board.
    device : str
        The device on it.
    clock_hz : int or None
        Clock of the accelerator; None for that which suits its target, as `suited` chooses it.
    baud : int
        Rate of its serial line.

    Raises
    ------
    ValueError
        If the board isn't made with the device, or its PLL can't make the clock, or the clock the
        rate.
    """

    board: Board
    device: str
    clock_hz: int | None
    baud: int = BAUD

    def __post_init__(self):
        platform = self.platform()
        clock_hz = self.clock_hz or CLOCK_HZ
        find_pll(platform.device).find_dividers(round(platform.default_clk_frequency), clock_hz)
        bit_cycles(clock_hz, self.baud)

    def suited(self, target):
        """Return the site with the clock that suits ``target``, unless it has one.

        Raises
        ------
        ValueError
            If that clock can't make the rate of the serial line.
        """
        if self.clock_hz is not None:
            return self
        return replace(self, clock_hz=SPREAD_CLOCK_HZ if target.spread else CLOCK_HZ)

    def platform(self):
        """Return a fresh platform."""
        return self.board.platform(self.device)

    @property
    def preferences(self):
        """What the board's file in constraints/ says; nothing if it has none."""
        file = ROOT / "constraints" / f"{self.board.name}.lpf"
        return file.read_text() if file.exists() else ""

    def floorplan(self, target):
        """Return the places of an accelerator's cells on the device; see `hw.floorplan`."""
        return floorplan(target, self.platform().device)

    def elaborate(self, target, image):
        """Return the Verilog of an accelerator with ``image`` in its block RAM, if it is there.

        Raises
        ------
        ExcessError
            If the device lacks hard blocks for it.
        """
        platform = self.platform()
        if target.memory is not Memory.BLOCK_RAM:
            image = b""
        accelerator = Accelerator(target, image, clock_hz=self.clock_hz, baud=self.baud)
        verilog = generate(accelerator, name=ACCELERATOR, platform=platform)
        fit(hard_blocks(verilog), platform.device)
        return verilog

    def simulate(self, compression, verilog, x, *, directory):
        """Run the inputs ``x`` through the whole accelerator, at its serial pins.

        Raises
        ------
        SimulationError
            If it fails; outputs that aren't the golden model's are no failure.
        """
        part = Part(compression.data, compression.network.quantise_input(x), resident=True)
        simulation, = simulate(
            [part], target=compression.target, verilog=verilog, top=ACCELERATOR,
            bench="sim.benches.accelerator", clock_hz=self.clock_hz, baud=self.baud,
            directory=directory)
        return simulation

    def count_toggles(self, compression, verilog, x, *, directory, resident=True):
        """Return how often flip-flops toggle while the network runs once, on input ``x``.

        Where the image isn't ``resident`` in the memory at power-on, it is written first.

        Raises
        ------
        SimulationError
            If it fails.
        """
        saif = directory / "inference.saif"
        count_toggles(verilog, top=ACCELERATOR, image=compression.image,
                      flash=compression.data, target=compression.target,
                      x=compression.network.quantise_input(x), clock_hz=self.clock_hz,
                      baud=self.baud, saif=saif, contents=None if resident else compression.data)
        return flip_flop_toggles(saif.read_text(), verilog, top=ACCELERATOR)
