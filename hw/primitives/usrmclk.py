"""The ECP5's way to the clock pin of the flash that it is configured from."""

from amaranth import *
from amaranth.lib.wiring import In

from .block import ECP5, Block


__all__ = ["USRMCLK"]


class USRMCLK(Block):
    """Drives pin CCLK. It has no twin, since nothing simulates it.

    Members
    -------
    clk : In(1)
        What the pin shows.
    """

    family = ECP5

    clk: In(1)

    def block(self):
        m = Module()
        m.submodules.usrmclk = Instance("USRMCLK", i_USRMCLKI=self.clk, i_USRMCLKTS=Const(0))
        return m
