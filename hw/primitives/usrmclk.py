"""The ECP5's way to the clock pin of the flash that it is configured from."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In


__all__ = ["USRMCLK"]


class USRMCLK(wiring.Component):
    """Drives pin CCLK. It has no twin, since nothing simulates it.

    Members
    -------
    clk : In(1)
        What the pin shows.

    Raises
    ------
    NotImplementedError
        At elaboration, if the platform's device isn't an ECP5.
    """

    clk: In(1)

    def elaborate(self, platform):
        device = getattr(platform, "device", None)
        if not str(device).startswith("LFE5U"):
            raise NotImplementedError(f"USRMCLK must be on an ECP5, not {device}")
        m = Module()
        m.submodules.usrmclk = Instance("USRMCLK", i_USRMCLKI=self.clk, i_USRMCLKTS=Const(0))
        return m
