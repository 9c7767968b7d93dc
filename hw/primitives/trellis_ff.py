"""Flip-flop of the ECP5."""

from amaranth import *
from amaranth.lib.wiring import In, Out

from .block import ECP5, Block


__all__ = ["TRELLIS_FF"]


class TRELLIS_FF(Block):
    """Delays a word by a cycle, in flip-flops that synthesis keeps apart from equal ones.

    yosys merges registers that are equal, even with attribute ``keep``, and one of them would then
    drive loads all over the device. It leaves cells of the vendor alone. They begin as 0 and have
    no reset.

    Parameters
    ----------
    width : int
        Bits, a flip-flop each.

    Members
    -------
    i : In(width)
        A word.
    o : Out(width)
        That of a cycle ago.
    """

    family = ECP5

    def __init__(self, width):
        self.width = width
        super().__init__({"i": In(width), "o": Out(width)})

    def twin(self):
        m = Module()

        later = Signal(self.width, reset_less=True)
        m.d.sync += later.eq(self.i)
        m.d.comb += self.o.eq(later)

        return m

    def block(self):
        m = Module()

        for bit in range(self.width):
            m.submodules[f"bit{bit}"] = Instance(
                "TRELLIS_FF", p_GSR="DISABLED", p_CEMUX="1", p_CLKMUX="CLK", p_LSRMUX="LSR",
                p_REGSET="RESET", i_CLK=ClockSignal(), i_LSR=Const(0), i_DI=self.i[bit],
                o_Q=self.o[bit])

        return m
