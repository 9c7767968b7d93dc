"""Decoder of symbols of fixed width."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from sw.format.sections import Codec
from sw.format.tables import GROUP, RAW_ENTRIES, RAW_WIDTHS

from .layouts import CODE_WORD, chunk_layout


__all__ = ["RawCode", "RawDecoder", "RawUnpacker"]


class RawCode(wiring.Component):
    """Reads section CODE of a raw code. A word takes a cycle; none ever waits.

    ``error`` rises after the last word if the section has another length or codec or an unknown
    width of symbols; the next word then begins another section.

    Members
    -------
    i : In(stream.Signature(CODE_WORD))
        Words of section CODE.
    symbol_bits : Out(4)
        Width of the symbols: 1, 2, 4 or 8.
    busy : Out(1)
        From the first word to the last.
    error : Out(1)
        The last section was refused. Falls with the next first word.
    """

    i: In(stream.Signature(CODE_WORD))
    symbol_bits: Out(4)
    busy: Out(1)
    error: Out(1)

    def elaborate(self, platform):
        m = Module()

        word = self.i.payload
        known = Signal()
        with m.Switch(word.data):
            for width in RAW_WIDTHS:
                with m.Case(Codec.RAW | width << 8):
                    m.d.comb += known.eq(1)

        m.d.comb += self.i.ready.eq(1)
        with m.If(self.i.valid):
            m.d.sync += self.busy.eq(~word.last)
            with m.If(self.busy):
                m.d.sync += self.error.eq(word.last)
            with m.Else():
                m.d.sync += self.error.eq(word.last & ~known)
                with m.If(known):
                    m.d.sync += self.symbol_bits.eq(word.data[8:])

        return m


class RawUnpacker(wiring.Component):
    """Cuts words into groups of four symbols, the lowest bits first.

    A group leaves one cycle or more after its word has come, one per cycle; words follow without a
    gap. A stall keeps the group.

    Members
    -------
    symbol_bits : In(4)
        Width of the symbols: 1, 2, 4 or 8. Must not change while a word is held.
    i : In(stream.Signature(32))
        Coded data. ``ready`` follows ``o.ready`` combinationally.
    o : Out(stream.Signature(ArrayLayout(8, GROUP)))
        Groups of symbols.
    """

    symbol_bits: In(4)
    i: In(stream.Signature(32))
    o: Out(stream.Signature(data.ArrayLayout(8, GROUP)))

    def elaborate(self, platform):
        m = Module()

        bits = Signal(32)
        left = Signal(range(32 // GROUP))
        last_group = Signal.like(left)
        next_bits = Signal.like(bits)

        with m.Switch(self.symbol_bits):
            for width in RAW_WIDTHS:
                with m.Case(width):
                    m.d.comb += [
                        self.o.payload[lane].eq(bits.word_select(lane, width))
                        for lane in range(GROUP)
                    ]
                    m.d.comb += [
                        last_group.eq(32 // (GROUP * width) - 1),
                        next_bits.eq(bits >> GROUP * width),
                    ]

        m.d.comb += self.i.ready.eq(~self.o.valid | self.o.ready & (left == 0))
        with m.If(self.i.ready):
            m.d.sync += [
                self.o.valid.eq(self.i.valid),
                bits.eq(self.i.payload),
                left.eq(last_group),
            ]
        with m.Elif(self.o.ready):
            m.d.sync += [
                bits.eq(next_bits),
                left.eq(left - 1),
            ]

        return m


class RawDecoder(wiring.Component):
    """Decodes raw coded data. Latency, throughput and stall are those of `RawUnpacker`.

    Parameters
    ----------
    shape : RawShape
        Needs no size.

    Members
    -------
    code : In(stream.Signature(CODE_WORD))
        Words of section CODE.
    busy, error : Out(1)
        As in `RawCode`.
    direct : Out(1)
        Symbols are weights instead of indices.
    run : In(1)
        Low holds it at the beginning of the coded data.
    i : In(stream.Signature(32))
        Coded data.
    o : Out(stream.Signature(chunk_layout(8)))
        Symbols, four in each transfer.

    Attributes
    ----------
    symbol_bits, index_bits : int
        Width of symbols, and of those that are indices.
    latency : int
        Cycles from the transfer of a word to its first group.
    """

    symbol_bits = max(RAW_WIDTHS)
    index_bits = ceil_log2(RAW_ENTRIES)
    latency = 1

    code: In(stream.Signature(CODE_WORD))
    busy: Out(1)
    error: Out(1)
    direct: Out(1)
    run: In(1)
    i: In(stream.Signature(32))
    o: Out(stream.Signature(chunk_layout(8)))

    def __init__(self, shape):
        self.shape = shape
        super().__init__()

    def elaborate(self, platform):
        m = Module()

        m.submodules.code = code = RawCode()
        wiring.connect(m, wiring.flipped(self.code), code.i)
        m.d.comb += [
            self.busy.eq(code.busy),
            self.error.eq(code.error),
            self.direct.eq(code.symbol_bits == self.symbol_bits),
        ]

        unpacker = RawUnpacker()
        m.submodules.unpacker = ResetInserter(~self.run)(unpacker)
        wiring.connect(m, wiring.flipped(self.i), unpacker.i)
        m.d.comb += [
            unpacker.symbol_bits.eq(code.symbol_bits),
            self.o.valid.eq(unpacker.o.valid),
            self.o.payload.indices.eq(unpacker.o.payload),
            self.o.payload.count.eq(GROUP),
            unpacker.o.ready.eq(self.o.ready),
        ]

        return m
