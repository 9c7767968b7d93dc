"""Decoders of codes without a table: Golomb-Rice and run lengths."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from sw.format.sections import Codec
from sw.format.tables import CODEBOOK_ENTRIES, RiceShape

from .layouts import CODE_WORD, chunk_layout
from .rice import RiceCore
from .runlength import RunLengthCore


__all__ = ["PlainDecoder"]


class PlainDecoder(wiring.Component):
    """Decodes coded data of a code without a table, one symbol a cycle.

    Throughput and stall are those of `RiceCore` or `RunLengthCore`. A section CODE of another
    length or codec, or with larger codebooks than there can be, is refused after its last word.

    Parameters
    ----------
    shape : RiceShape or RunLengthShape
        Which code.

    Members
    -------
    code : In(stream.Signature(CODE_WORD))
        Words of section CODE; none ever waits.
    busy : Out(1)
        From the first word to the last.
    error : Out(1)
        The last section was refused. Falls with the next first word.
    entries : Out(4)
        Words of a codebook.
    direct : Out(1)
        Symbols are weights instead of indices.
    run : In(1)
        Low holds it at the beginning of the coded data.
    i : In(stream.Signature(32))
        Coded data.
    o : Out(stream.Signature(chunk_layout(8)))
        Weights or indices, one in each transfer.
    """

    symbol_bits = 8
    index_bits = (CODEBOOK_ENTRIES - 1).bit_length()

    code: In(stream.Signature(CODE_WORD))
    busy: Out(1)
    error: Out(1)
    entries: Out(4)
    direct: Out(1)
    run: In(1)
    i: In(stream.Signature(32))
    o: Out(stream.Signature(chunk_layout(8)))

    def __init__(self, shape):
        self.shape = shape
        super().__init__()

    def elaborate(self, platform):
        m = Module()

        is_rice = isinstance(self.shape, RiceShape)
        codec = Codec.RICE if is_rice else Codec.RUN_LENGTH
        word = self.code.payload
        known = ((word.data[:8] == codec) & (word.data[16:] == 0)
                 & (word.data[8:16] <= CODEBOOK_ENTRIES // 4))
        m.d.comb += [
            self.code.ready.eq(1),
            self.direct.eq(self.entries == 0),
        ]
        with m.If(self.code.valid):
            m.d.sync += self.busy.eq(~word.last)
            with m.If(self.busy):
                m.d.sync += self.error.eq(word.last)
            with m.Else():
                m.d.sync += [
                    self.error.eq(word.last & ~known),
                    self.entries.eq(word.data[8:]),
                ]

        core = RiceCore() if is_rice else RunLengthCore()
        m.submodules.core = ResetInserter(~self.run)(core)
        wiring.connect(m, wiring.flipped(self.i), core.i)
        m.d.comb += [
            core.direct.eq(self.direct),
            self.o.valid.eq(core.o.valid),
            self.o.payload.indices[0].eq(core.o.payload),
            self.o.payload.count.eq(1),
            core.o.ready.eq(self.o.ready),
        ]

        return m
