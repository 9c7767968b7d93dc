"""Decoder of tANS for an accelerator: it reads its tables itself."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from sw.format.tables import CODEBOOK_ENTRIES, GROUP

from .joiner import WordJoiner
from .layouts import CODE_WORD, FILTERS, chunk_layout
from .stream_register import StreamRegister
from .tans import TansDecoder
from .tans_code import TansCode


__all__ = ["InterleavedDecoder"]


class InterleavedDecoder(wiring.Component):
    """Decodes coded data of a tANS code, whose tables it expands itself.

    Throughput and stall are those of `TansDecoder`, as far as words come.

    Parameters
    ----------
    lanes : TansLanes
        Shape of the decoder; tuples have one value.
    layers, channels : int
        The most layers, and filters of all layers together.

    Members
    -------
    layers : In(stream.Signature(FILTERS, always_ready=True))
        Layers that have weights, in order; before section CODE.
    code : In(stream.Signature(CODE_WORD))
        Words of section CODE; to be written while ``run`` is low.
    busy, error : Out(1)
        As in `TansCode`.
    entries : Out(4)
        Words of a codebook.
    direct : Out(1)
        Symbols are weights instead of indices.
    run : In(1)
        Low holds it at the beginning of the coded data.
    i : In(stream.Signature(32))
        Coded data. Behind the last symbol no word is taken.
    o : Out(stream.Signature(chunk_layout(8, max(GROUP, lanes.lanes))))
        Weights or indices. Behind the last symbol the last transfer is filled with any.
    settled : Out(1)
        All symbols have been looked up, and ``failed`` is known.
    failed : Out(1)
        The states weren't 0 at the end: coded data or tables are damaged.
    """

    symbol_bits = 8
    index_bits = (CODEBOOK_ENTRIES - 1).bit_length()

    def __init__(self, lanes, *, layers, channels):
        if lanes.tuple_size > 1:
            raise ValueError(f"Symbols must have 1 value, not {lanes.tuple_size}")

        self.lanes = lanes
        self.most_layers = layers
        self.channels = channels
        super().__init__({
            "layers": In(stream.Signature(FILTERS, always_ready=True)),
            "code": In(stream.Signature(CODE_WORD)),
            "busy": Out(1),
            "error": Out(1),
            "entries": Out(4),
            "direct": Out(1),
            "run": In(1),
            "i": In(stream.Signature(32)),
            "o": Out(stream.Signature(chunk_layout(8, max(GROUP, lanes.lanes)))),
            "settled": Out(1),
            "failed": Out(1),
        })

    def elaborate(self, platform):
        m = Module()

        m.submodules.code = code = TansCode(
            self.lanes, entries=CODEBOOK_ENTRIES, layers=self.most_layers,
            channels=self.channels)
        wiring.connect(m, wiring.flipped(self.code), code.i)
        wiring.connect(m, wiring.flipped(self.layers), code.layers)
        m.d.comb += [
            self.busy.eq(code.busy),
            self.error.eq(code.error),
            self.entries.eq(code.entries),
            self.direct.eq(code.entries == 0),
            code.run.eq(self.run),
        ]

        m.submodules.decoder = decoder = TansDecoder(self.lanes)
        wiring.connect(m, code.rows, decoder.rows)
        wiring.connect(m, code.runs, decoder.runs)
        m.d.comb += [
            decoder.run.eq(self.run),
            self.settled.eq(decoder.done),
            self.failed.eq(decoder.error),
            self.o.valid.eq(decoder.o.valid),
            self.o.payload.count.eq(self.lanes.lanes),
            decoder.o.ready.eq(self.o.ready),
        ]
        m.d.comb += [self.o.payload.indices[lane].eq(decoder.o.payload[lane])
                     for lane in range(self.lanes.lanes)]

        joiner = WordJoiner(32, self.lanes.word_bits)
        m.submodules.joiner = ResetInserter(~self.run)(joiner)
        wiring.connect(m, wiring.flipped(self.i), joiner.i)
        # The lanes step if the word behind those that they see is there: so while the joiner has
        # none, another one waits.
        register = StreamRegister(self.lanes.word_bits)
        m.submodules.register = ResetInserter(~self.run)(register)
        wiring.connect(m, joiner.o, register.i)
        # Once all symbols have been looked up any words let the last ones come out.
        m.d.comb += [
            decoder.i.payload.eq(register.o.payload),
            decoder.i.valid.eq(register.o.valid | decoder.done),
            register.o.ready.eq(decoder.i.ready & ~decoder.done),
        ]

        return m
