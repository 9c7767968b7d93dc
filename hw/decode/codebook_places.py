"""Places of codebooks whose number of entries the image says."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .layouts import CODEBOOK_WORD


__all__ = ["CodebookPlaces"]


class CodebookPlaces(wiring.Component):
    """Spaces codebooks that follow one another so that each begins where its indices look.

    A word leaves a cycle after it has come.

    Parameters
    ----------
    index_bits : int
        Bits of an index: codebooks are ``2 ** index_bits`` weights apart.

    Members
    -------
    words : In(index_bits - 1)
        Words of a codebook, 1 or more.
    i : In(stream.Signature(CODEBOOK_WORD, always_ready=True))
        Words of section CODEBOOK, from address 0 up.
    o : Out(stream.Signature(CODEBOOK_WORD, always_ready=True))
        The same, with the address where they belong.
    """

    def __init__(self, index_bits):
        self.index_bits = index_bits
        super().__init__({
            "words": In(index_bits - 1),
            "i": In(stream.Signature(CODEBOOK_WORD, always_ready=True)),
            "o": Out(stream.Signature(CODEBOOK_WORD, always_ready=True)),
        })

    def elaborate(self, platform):
        m = Module()

        place = Signal(self.index_bits - 2)     # Of the next word.
        codebook = Signal(len(self.o.payload.address) - len(place))
        m.d.sync += self.o.valid.eq(self.i.valid)
        with m.If(self.i.valid):
            begins = self.i.payload.address == 0
            own_place, own_codebook = Mux(begins, 0, place), Mux(begins, 0, codebook)
            ends = own_place == (self.words - 1)[:len(place)]
            m.d.sync += [
                self.o.payload.data.eq(self.i.payload.data),
                self.o.payload.address.eq(Cat(own_place, own_codebook)),
                place.eq(Mux(ends, 0, own_place + 1)),
                codebook.eq(own_codebook + ends),
            ]

        return m
