"""Joins words into wider ones."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out


__all__ = ["WordJoiner"]


class WordJoiner(wiring.Component):
    """Joins words into wide ones, the first one lowest.

    Takes a word a cycle. A wide word leaves one cycle or more after its last part has come. A stall
    keeps it.

    Parameters
    ----------
    narrow, wide : int
        Widths of the words that come in and go out; ``wide`` is a multiple of ``narrow``.

    Members
    -------
    i : In(stream.Signature(narrow))
        Words. ``ready`` follows ``o.ready`` combinationally.
    o : Out(stream.Signature(wide))
        Wide words.
    """

    def __init__(self, narrow, wide):
        if wide % narrow:
            raise ValueError(f"Wide word must have a multiple of {narrow} bits, not {wide}")

        self.narrow = narrow
        self.wide = wide
        super().__init__({
            "i": In(stream.Signature(narrow)),
            "o": Out(stream.Signature(wide)),
        })

    def elaborate(self, platform):
        m = Module()

        parts = self.wide // self.narrow
        part = Signal(range(parts))
        m.d.comb += self.i.ready.eq(~self.o.valid | self.o.ready)
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(self.i.valid & self.i.ready):
            last = part == parts - 1
            m.d.sync += [
                self.o.payload.word_select(part, self.narrow).eq(self.i.payload),
                part.eq(Mux(last, 0, part + 1)),
                self.o.valid.eq(last),
            ]

        return m
