"""Words from bytes."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .cobs import BYTE


__all__ = ["WordPacker"]


class WordPacker(wiring.Component):
    """Packs each four bytes into a word, the first byte lowest.

    Accepts a byte each cycle until it has a word, which it offers in the next cycle; the bytes
    after it wait until the word is taken. The word with the last byte is the last.

    Members
    -------
    i : In(stream.Signature(BYTE))
        Bytes; a multiple of four up to the last one.
    o : Out(stream.Signature(StructLayout({"data": 32, "last": 1})))
        Words.
    """

    i: In(stream.Signature(BYTE))
    o: Out(stream.Signature(data.StructLayout({"data": 32, "last": 1})))

    def elaborate(self, platform):
        m = Module()

        place = Signal(2)
        m.d.comb += self.i.ready.eq(~self.o.valid)

        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                self.o.payload.data.eq(Cat(self.o.payload.data[8:], self.i.payload.data)),
                self.o.payload.last.eq(self.i.payload.last),
                self.o.valid.eq(place == 3),
                place.eq(place + 1),
            ]

        return m
