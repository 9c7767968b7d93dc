"""The accelerator on a board: clock, reset and pins."""

from amaranth import *
from amaranth.lib import io
from amaranth.lib.cdc import ResetSynchronizer

from sw.format.target import Memory

from .primitives.pll import find_pll
from .primitives.usrmclk import USRMCLK


__all__ = ["ACCELERATOR", "Top"]


#: Name of the Verilog module that the top instantiates.
ACCELERATOR = "accelerator"

LEDS = 8


class Top(Elaboratable):
    """Connects module `ACCELERATOR` to the board's oscillator, serial port and LEDs, up to eight.

    The module is Verilog, added to the platform as a file: the very text that is simulated. It is
    held in reset until the clock can be relied on.

    Parameters
    ----------
    clock_hz : int
        Clock of the accelerator.
    memory : Memory
        Where its image is: what else is at its pins.
    """

    def __init__(self, *, clock_hz, memory=Memory.BLOCK_RAM):
        self.clock_hz = clock_hz
        self.memory = memory

    def flash(self, m, platform):
        """Add the pins of the flash; return the accelerator's ports."""
        # Where it is one of ours, its clock is a pin that only a block of the device reaches.
        ours = ("flash", 0) in platform.resources
        pins = platform.request("flash" if ours else "spi_flash_4x", 0, dir="-")
        clk, cs_n = Signal(), Signal()
        o, oe, i = Signal(4), Signal(4), Signal(4)
        m.submodules.flash_clk = clock = USRMCLK() if ours else io.Buffer("o", pins.clk)
        m.submodules.flash_cs = select = io.Buffer("o", pins.cs)
        m.d.comb += [(clock.clk if ours else clock.o).eq(clk), select.o.eq(~cs_n)]
        for number in range(4):
            m.submodules[f"flash_dq{number}"] = data = io.Buffer("io", pins.dq[number])
            m.d.comb += [data.o.eq(o[number]), data.oe.eq(oe[number]), i[number].eq(data.i)]
        return {"o_flash__clk": clk, "o_flash__cs_n": cs_n, "o_flash__o": o, "o_flash__oe": oe,
                "i_flash__i": i}

    def sdram(self, m, platform):
        """Add the pins of the SDRAM, each with a register; return the accelerator's ports."""
        pins = platform.request("sdram", 0, dir="-")
        # The inverse of the clock.
        m.submodules.sdram_clk = clock = io.DDRBuffer("o", pins.clk)
        m.d.comb += [clock.o[0].eq(0), clock.o[1].eq(1)]
        for name, level in (("clk_en", 1), ("cs", 1), ("dqm", 0)):
            m.submodules[f"sdram_{name}"] = buffer = io.Buffer("o", getattr(pins, name))
            m.d.comb += buffer.o.eq(level)

        ports = {}
        for name, pin in (("ras_n", "ras"), ("cas_n", "cas"), ("we_n", "we"), ("ba", "ba"),
                          ("a", "a")):
            port = getattr(pins, pin)
            m.submodules[f"sdram_{pin}"] = buffer = io.FFBuffer("o", port)
            ports[f"o_sdram__{name}"] = level = Signal(len(port), name=f"sdram_{name}")
            m.d.comb += buffer.o.eq(~level if name.endswith("_n") else level)
        m.submodules.sdram_dq = data = io.FFBuffer("io", pins.dq)
        o, oe = Signal(16), Signal()
        m.d.comb += [data.o.eq(o), data.oe.eq(oe)]
        return ports | {"o_sdram__o": o, "o_sdram__oe": oe, "i_sdram__i": data.i}

    def elaborate(self, platform):
        m = Module()

        m.submodules.pll = pll = find_pll(platform.device)(
            platform.request(platform.default_clk, dir="-"),
            input_hz=round(platform.default_clk_frequency), output_hz=self.clock_hz)
        m.domains.sync = sync = ClockDomain()
        m.submodules.reset = ResetSynchronizer(~pll.locked)
        # nextpnr derives the constraint of `sync` from the oscillator's and the PLL's dividers.
        m.d.comb += sync.clk.eq(pll.o)

        uart = platform.request("uart", 0, dir="-")
        m.submodules.rx = rx = io.Buffer("i", uart.rx)
        m.submodules.tx = tx = io.Buffer("o", uart.tx)
        leds = Signal(LEDS)
        for number, led in enumerate(leds):
            if ("led", number) not in platform.resources:
                break
            m.submodules[f"led{number}"] = buffer = io.Buffer(
                "o", platform.request("led", number, dir="-"))
            m.d.comb += buffer.o.eq(led)

        m.submodules.accelerator = Instance(ACCELERATOR,
            i_clk=ClockSignal(),
            i_rst=ResetSignal(),
            i_rx=rx.i,
            o_tx=tx.o,
            o_leds=leds,
            **(self.flash(m, platform) if self.memory.has_flash else {}),
            **(self.sdram(m, platform) if self.memory is Memory.SDRAM else {}),
        )

        return m
