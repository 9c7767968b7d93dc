"""How many filters layers have, and how long these are, out of their records."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.decode.layouts import FILTERS
from hw.engine.records import RECORD_WORD, has_weights
from sw.format.schedule import HALFWORDS, Dataflow


__all__ = ["FilterCount"]


#: Bits of the outputs of a tile; records with more are refused.
OUTPUT_BITS = 6


class FilterCount(wiring.Component):
    """Tells the filters of layers that have weights, as records come by.

    A layer is told 17 cycles after its record's last word. Words must be 4 cycles apart, or more.
    Products that don't fit give 0 filters, which no layer has.

    Members
    -------
    clear : In(1)
        The next record is the first one.
    words : In(stream.Signature(RECORD_WORD, always_ready=True))
        Words of records, in order.
    layers : Out(stream.Signature(FILTERS, always_ready=True))
        Filters, and weights of each.
    """

    clear: In(1)
    words: In(stream.Signature(RECORD_WORD, always_ready=True))
    layers: Out(stream.Signature(FILTERS, always_ready=True))

    def elaborate(self, platform):
        m = Module()

        word = Signal(data.ArrayLayout(16, 2))
        m.d.comb += word.eq(self.words.payload.data)
        fields = {name: word[number % 2] for number, name in enumerate(HALFWORDS)}

        def at(name):
            """Return whether the word with a field comes by."""
            return self.words.valid & (self.words.payload.index == HALFWORDS.index(name) // 2)

        dataflow = Signal(Dataflow)
        tiles = Signal(16)
        outputs = Signal(OUTPUT_BITS)
        outputs_last = Signal(OUTPUT_BITS)
        kernel_rows = Signal(16)

        # A product takes 16 cycles, less than four words: filters = (tiles - 1) * outputs +
        # outputs_last; weights of a filter = kernel rows * kernel row.
        total = Signal(32)
        factor = Signal(16)
        multiplicand = Signal(32)
        left = Signal(range(17))
        filters = Signal(16)
        too_many = Signal()
        ends = Signal()
        with m.If(left != 0):
            m.d.sync += [
                left.eq(left - 1),
                factor.eq(factor >> 1),
                multiplicand.eq(multiplicand << 1),
                total.eq(total + Mux(factor[0], multiplicand, 0)),
            ]
        with m.If(at("flags")):
            m.d.sync += dataflow.eq(fields["flags"])
        with m.If(at("tiles")):
            m.d.sync += tiles.eq(fields["tiles"])
        with m.If(at("outputs")):
            m.d.sync += [outputs.eq(fields["outputs"]), outputs_last.eq(fields["outputs_last"])]
        with m.If(at("kernel_rows")):
            m.d.sync += [
                kernel_rows.eq(Mux(dataflow == Dataflow.DEPTHWISE, 1, fields["kernel_rows"])),
                total.eq(outputs_last),
                factor.eq(tiles - 1),
                multiplicand.eq(outputs),
                left.eq(16),
            ]
        with m.If(at("kernel_row")):
            m.d.sync += [
                filters.eq(total),
                too_many.eq(total[16:] != 0),
                total.eq(0),
                factor.eq(kernel_rows),
                multiplicand.eq(fields["kernel_row"]),
                left.eq(16),
                ends.eq(has_weights(dataflow)),
            ]

        m.d.comb += [
            self.layers.valid.eq(ends & (left == 0)),
            self.layers.payload.filters.eq(Mux(too_many | (total[16:] != 0), 0, filters)),
            self.layers.payload.size.eq(total),
        ]
        with m.If(self.layers.valid):
            m.d.sync += [ends.eq(0), self.layers.payload.first.eq(0)]
        with m.If(self.clear):
            m.d.sync += [ends.eq(0), left.eq(0), self.layers.payload.first.eq(1)]

        return m
