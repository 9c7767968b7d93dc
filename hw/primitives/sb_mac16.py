"""Multiplier of the iCE40 UltraPlus, as two of 8 x 8 bits."""

from amaranth import *
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from .block import ULTRAPLUS, Block


__all__ = ["SB_MAC16"]


PAIR = data.ArrayLayout(signed(8), 2)


class SB_MAC16(Block):
    """Multiplies two pairs of signed bytes; SB_MAC16 with its input and product registers.

    Two products a cycle, ``latency`` cycles after their factors. Its adders aren't used: they have
    16 bits each, less than a sum of products takes.

    Members
    -------
    a, b : In(ArrayLayout(signed(8), 2))
        Factors.
    products : Out(ArrayLayout(signed(16), 2))
        Of the first two, and of the second two; exact.
    """

    family = ULTRAPLUS
    latency = 2

    a: In(PAIR)
    b: In(PAIR)
    products: Out(data.ArrayLayout(signed(16), 2))

    def twin(self):
        m = Module()

        a = Signal(PAIR)
        b = Signal(PAIR)
        m.d.sync += [
            a.eq(self.a),
            b.eq(self.b),
            *(self.products[place].eq(a[place] * b[place]) for place in range(2)),
        ]

        return m

    def block(self):
        # Output 2 is the product of 8 x 8 bits, behind its register. What follows it isn't used,
        # but must be legal: the adders get both operands from outside.
        return Instance(
            "SB_MAC16",
            p_NEG_TRIGGER=Const(0, 1), p_MODE_8x8=Const(1, 1),
            p_A_SIGNED=Const(1, 1), p_B_SIGNED=Const(1, 1),
            p_A_REG=Const(1, 1), p_B_REG=Const(1, 1), p_C_REG=Const(0, 1), p_D_REG=Const(0, 1),
            p_TOP_8x8_MULT_REG=Const(1, 1), p_BOT_8x8_MULT_REG=Const(1, 1),
            p_PIPELINE_16x16_MULT_REG1=Const(0, 1), p_PIPELINE_16x16_MULT_REG2=Const(0, 1),
            p_TOPOUTPUT_SELECT=Const(2, 2), p_BOTOUTPUT_SELECT=Const(2, 2),
            p_TOPADDSUB_LOWERINPUT=Const(0, 2), p_BOTADDSUB_LOWERINPUT=Const(0, 2),
            p_TOPADDSUB_UPPERINPUT=Const(1, 1), p_BOTADDSUB_UPPERINPUT=Const(1, 1),
            p_TOPADDSUB_CARRYSELECT=Const(0, 2), p_BOTADDSUB_CARRYSELECT=Const(0, 2),
            i_CLK=ClockSignal(), i_CE=Const(1),
            i_A=self.a, i_B=self.b, i_C=Const(0, 16), i_D=Const(0, 16),
            **{f"i_{name}": Const(0) for name in (
                "AHOLD", "BHOLD", "CHOLD", "DHOLD", "IRSTTOP", "IRSTBOT", "ORSTTOP", "ORSTBOT",
                "OLOADTOP", "OLOADBOT", "ADDSUBTOP", "ADDSUBBOT", "OHOLDTOP", "OHOLDBOT",
                "CI", "ACCUMCI", "SIGNEXTIN")},
            o_O=self.products,
        )
