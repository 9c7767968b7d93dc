"""The next bits of a stream of words, taken a few at a time."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .fields import shifted


__all__ = ["BITS", "BitWindow"]


#: Bits that can be seen, and the most that can be taken in a cycle.
BITS = 16


class BitWindow(wiring.Component):
    """Shows the next bits of a stream of words, bit 0 of a word first.

    As many bits as are taken, up to all, are replaced in the next cycle if words follow without a
    gap. There are bits only while the half of a word behind those shown, and the half behind that,
    have come: one or two words, of any content, must follow those that are to be taken.

    Members
    -------
    i : In(stream.Signature(32))
        Words. ``ready`` follows ``take`` and ``end`` combinationally.
    bits : Out(16)
        What comes next, the first one in bit 0.
    valid : Out(1)
        There are bits. Follows ``i.valid`` combinationally.
    offset : Out(range(16))
        Where in its half of a word the first bit lies.
    take : In(1)
        Go on to ``end``. Only if there are bits.
    end : In(range(32))
        Offset of the first bit that is not to be dropped, at most 16 more than ``offset``.
    """

    i: In(stream.Signature(32))
    bits: Out(BITS)
    valid: Out(1)
    offset: Out(range(BITS))
    take: In(1)
    end: In(range(2 * BITS))

    def elaborate(self, platform):
        m = Module()

        halves = Signal(2 * BITS)   # The lower one holds the first bit.
        held = Signal(range(3))     # How many of them have come.
        upper = Signal()            # Half of the word that comes next.
        move = Signal()

        m.d.comb += [
            self.bits.eq(shifted(halves, self.offset, 1, BITS)),
            self.valid.eq(held[1] & self.i.valid),
            move.eq(~held[1] | self.take & self.end[-1]),
            self.i.ready.eq(move & upper),
        ]
        with m.If(~held[1] & self.i.valid):
            m.d.sync += held.eq(held + 1)
        with m.If(move & self.i.valid):
            m.d.sync += [
                halves.eq(Cat(halves[BITS:], self.i.payload.word_select(upper, BITS))),
                upper.eq(~upper),
            ]
        with m.If(self.take):
            m.d.sync += self.offset.eq(self.end)

        return m
