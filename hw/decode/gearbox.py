"""Change of word width in a stream of bits."""

from math import gcd

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out


__all__ = ["Gearbox"]


class Gearbox(wiring.Component):
    """Cuts wide words into narrow ones. Bit 0 comes first, in the words of both sides.

    A bit waits at least one cycle. One narrow word leaves per cycle as long as a wide word is
    there whenever fewer bits than a narrow word would be left. A narrow word may need bits of the
    next wide word and waits for them.

    Parameters
    ----------
    wide, narrow : int
        Widths of the words that come in and go out; ``narrow`` is at most ``wide``.

    Members
    -------
    i : In(stream.Signature(wide))
        Wide words. ``ready`` follows ``o.ready`` combinationally.
    o : Out(stream.Signature(narrow))
        Narrow words.
    """

    def __init__(self, wide, narrow):
        if not 1 <= narrow <= wide:
            raise ValueError(f"Narrow word must have 1 to {wide} bits, not {narrow}")

        self.wide = wide
        self.narrow = narrow
        super().__init__({
            "i": In(stream.Signature(wide)),
            "o": Out(stream.Signature(narrow)),
        })

    def elaborate(self, platform):
        m = Module()

        # Every level is a multiple of this unit, which keeps the number of places small where a
        # wide word may land: one, if the widths divide each other.
        unit = gcd(self.wide, self.narrow)
        step, refill = self.narrow // unit, self.wide // unit

        bits = Signal(self.wide + self.narrow - unit)
        level = Signal(range(refill + step))
        leaving = Signal()
        next_bits = Signal.like(bits)
        left = Signal.like(level)
        next_level = Signal.like(level)

        m.d.comb += [
            leaving.eq(self.o.valid & self.o.ready),
            left.eq(Mux(leaving, level - step, level)),
            self.i.ready.eq(left < step),
            next_level.eq(left),
            next_bits.eq(bits >> self.narrow),
            self.o.payload.eq(bits),
        ]
        m.d.sync += [
            level.eq(next_level),
            self.o.valid.eq(next_level >= step),
        ]
        with m.If(~leaving):
            # A wide word comes, and lands above what may be left.
            m.d.comb += next_bits[:self.narrow - unit].eq(bits)
        with m.If(leaving | self.i.valid & self.i.ready):
            m.d.sync += bits.eq(next_bits)
        with m.If(self.i.valid & self.i.ready):
            m.d.comb += next_level.eq(left + refill)
            with m.Switch(left):
                for place in range(step):
                    with m.Case(place):
                        m.d.comb += next_bits[place * unit:].eq(self.i.payload)

        return m
