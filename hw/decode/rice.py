"""Decoder of Golomb-Rice codes."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from sw.format.tables import ESCAPE_ONES, RICE_PARAMETERS

from .skid import SkidBuffer
from .window import BITS, BitWindow


__all__ = ["RiceCore"]


class RiceCore(wiring.Component):
    """Decodes Golomb-Rice codes, one weight a cycle; a change of the parameter takes another one.

    Takes up to 16 bits a cycle. A weight leaves ``latency`` cycles or more after its codeword is
    in the window (`BitWindow`), which needs up to two words behind the coded data. A stall keeps
    weights. Codewords that no encoder writes decode to some weight, or change the parameter.

    Members
    -------
    direct : In(1)
        Symbols are weights, in zigzag order, instead of indices.
    i : In(stream.Signature(32))
        Coded data. ``ready`` follows the codeword combinationally, but not ``o.ready``.
    o : Out(stream.Signature(8))
        Weights or indices.

    Attributes
    ----------
    latency : int
        Cycles from a window to its weight.
    """

    latency = 2

    direct: In(1)
    i: In(stream.Signature(32))
    o: Out(stream.Signature(8))

    def elaborate(self, platform):
        m = Module()

        m.submodules.window = window = BitWindow()
        wiring.connect(m, wiring.flipped(self.i), window.i)
        m.submodules.output = output = SkidBuffer(8)
        wiring.connect(m, output.o, wiring.flipped(self.o))
        room = output.i.ready

        # In a loop of one cycle: where does the next codeword begin? What doesn't need this one's
        # ones is added beside counting them.
        parameter = Signal(range(RICE_PARAMETERS))
        ones = Signal(range(ESCAPE_ONES))       # But 7 where there are 8.
        escaped = Signal()
        changes = Signal()
        end = Signal.like(window.end)
        m.d.comb += ones.eq(ESCAPE_ONES - 1)
        for place in reversed(range(ESCAPE_ONES - 1)):
            with m.If(~window.bits[place]):
                m.d.comb += ones.eq(place)
        symbol_bits = window.bits[ESCAPE_ONES:]
        m.d.comb += [
            escaped.eq(window.bits[:ESCAPE_ONES].all()),
            changes.eq(escaped & (symbol_bits < RICE_PARAMETERS)),
            end.eq((window.offset + parameter + 1)[:len(end)] + ones),
            window.end.eq(Mux(escaped, Cat(window.offset, 1), end)),
            window.take.eq(window.valid & room),
        ]
        with m.If(window.take & changes):
            m.d.sync += parameter.eq(symbol_bits)

        decoded = Signal()
        quotient = Signal.like(ones)
        plain = Signal()
        bits = Signal(BITS - 1)
        width = Signal.like(parameter)
        with m.If(room):
            m.d.sync += [
                decoded.eq(window.valid & ~changes),
                quotient.eq(ones),
                plain.eq(escaped),
                bits.eq(window.bits[1:]),
                width.eq(parameter),
            ]

        # Behind 7 ones and a zero as behind 8 ones the low bits begin with bit 8.
        low = (bits >> quotient)[:8]
        symbol = Signal(8)
        m.d.comb += symbol.eq(low)
        with m.If(~plain):
            with m.Switch(width):
                for count in range(RICE_PARAMETERS):
                    with m.Case(count):
                        m.d.comb += symbol.eq(Cat(low[:count], quotient))
        weight = symbol[1:] ^ symbol[0].replicate(8)
        m.d.comb += [
            output.i.valid.eq(decoded),
            output.i.payload.eq(Mux(self.direct, weight, symbol)),
        ]

        return m
