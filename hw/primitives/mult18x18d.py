"""ECP5 multiplier of 18 x 18 bits."""

from amaranth import *
from amaranth.lib.wiring import In, Out

from .block import ECP5, Block


__all__ = ["MULT18X18D"]


class MULT18X18D(Block):
    """Multiplies two signed numbers; MULT18X18D with its input and output registers.

    One product a cycle, ``latency`` cycles after its factors.

    Members
    -------
    a, b : In(signed(18))
        Factors.
    product : Out(signed(36))
        Their product, exact.
    """

    family = ECP5
    latency = 2

    a: In(signed(18))
    b: In(signed(18))
    product: Out(signed(36))

    def twin(self):
        m = Module()

        a = Signal.like(self.a)
        b = Signal.like(self.b)
        m.d.sync += [
            a.eq(self.a),
            b.eq(self.b),
            self.product.eq(a * b),
        ]

        return m

    def block(self):
        registers = {}
        for name in ("INPUTA", "INPUTB", "OUTPUT"):
            registers |= {
                f"p_REG_{name}_CLK": "CLK0",
                f"p_REG_{name}_CE": "CE0",
                f"p_REG_{name}_RST": "RST0",
            }
        for name in ("INPUTC", "PIPELINE"):
            registers[f"p_REG_{name}_CLK"] = "NONE"

        # SRIA and SRIB stay open: tied to 0 they don't route (nextpnr#208).
        return Instance(
            "MULT18X18D",
            p_GSR="DISABLED", p_RESETMODE="SYNC", p_MULT_BYPASS="DISABLED",
            p_SOURCEB_MODE="B_SHIFT",
            **registers,
            i_CLK0=ClockSignal(), i_CE0=Const(1), i_RST0=Const(0),
            i_SIGNEDA=Const(1), i_SIGNEDB=Const(1), i_SOURCEA=Const(0), i_SOURCEB=Const(0),
            **{f"i_A{i}": self.a[i] for i in range(18)},
            **{f"i_B{i}": self.b[i] for i in range(18)},
            **{f"o_P{i}": self.product[i] for i in range(36)},
        )
