"""Decoder of run lengths."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from sw.format.tables import BLOCK, MAX_RUN_BITS, MAX_VALUE_BITS

from .fields import shifted
from .skid import SkidBuffer
from .window import BITS, BitWindow


__all__ = ["RunLengthCore"]


#: Bits of what a block begins with, and where the width of its runs lies.
HEADER_BITS = 8
RUN_PLACE = 4


class RunLengthCore(wiring.Component):
    """Decodes run lengths, one weight a cycle; the beginning of a block takes another one.

    Takes up to 15 bits a cycle. A weight leaves ``latency`` cycles or more after its field is in
    the window (`BitWindow`), which needs up to two words behind the coded data. A stall keeps
    weights. A run that reaches beyond its block ends with it; widths that no encoder writes make
    some weights.

    Members
    -------
    direct : In(1)
        Symbols are weights, in zigzag order, instead of indices.
    i : In(stream.Signature(32))
        Coded data. ``ready`` follows the fields combinationally, but not ``o.ready``.
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

        run_bits = Signal(range(MAX_RUN_BITS + 1))
        run_mask = Signal(MAX_RUN_BITS)
        value_bits = Signal(range(MAX_VALUE_BITS + 1))
        inside = Signal()                               # A block has begun.
        left = Signal(range(BLOCK), init=BLOCK - 1)     # Its weights behind the next one.
        in_run = Signal()                               # The next one is another zero of a run.
        zeros = Signal(MAX_RUN_BITS)                    # Zeros of the run with the last one.
        at_value = Signal()                             # Behind the run comes a value.

        # In a loop of one cycle: is there a run, and what does it leave in the window?
        run = window.bits[:MAX_RUN_BITS] & run_mask
        at_run = inside & ~in_run & ~at_value
        length = Signal(range(BITS))
        with m.If(~inside):
            m.d.comb += length.eq(HEADER_BITS)
        with m.Elif(in_run):
            m.d.comb += length.eq(0)
        with m.Elif(at_value):
            m.d.comb += length.eq(value_bits)
        with m.Else():
            m.d.comb += length.eq(run_bits + value_bits)
        m.d.comb += [
            window.end.eq(Mux(at_run & run.any(), window.offset + run_bits,
                              window.offset + length)),
            window.take.eq(window.valid & room),
        ]

        header = window.bits[:HEADER_BITS]
        with m.If(window.take & ~inside):
            m.d.sync += [
                inside.eq(1),
                value_bits.eq(header),
                run_bits.eq(header[RUN_PLACE:]),
                run_mask.eq(Cat(header[RUN_PLACE:] > bit for bit in range(MAX_RUN_BITS))),
            ]
        with m.If(window.take & inside):
            m.d.sync += [
                inside.eq(left.any()),
                left.eq(left - 1),
                zeros.eq(Mux(in_run, zeros - 1, run)),
                in_run.eq(Mux(in_run, zeros != 2, ~at_value & (run > 1))),
            ]
            with m.If(~in_run):
                m.d.sync += at_value.eq(~at_value & run.any() & (run != run_mask))
            with m.If(~left.any()):
                m.d.sync += [
                    in_run.eq(0),
                    at_value.eq(0),
                ]

        decoded = Signal()
        is_value = Signal()
        bits = Signal(BITS - 1)
        start = Signal.like(run_bits)
        width = Signal.like(value_bits)
        with m.If(room):
            m.d.sync += [
                decoded.eq(window.valid & inside),
                is_value.eq(~in_run & (at_value | ~run.any())),
                bits.eq(window.bits),
                start.eq(Mux(at_value, 0, run_bits)),
                width.eq(value_bits),
            ]

        value = shifted(bits, start, 1, MAX_VALUE_BITS)
        value &= Cat(is_value & (width > bit) for bit in range(MAX_VALUE_BITS))
        symbol = (value + (is_value & run_bits.any()))[:8]
        weight = symbol[1:] ^ symbol[0].replicate(8)
        m.d.comb += [
            output.i.valid.eq(decoded),
            output.i.payload.eq(Mux(self.direct, weight, symbol)),
        ]

        return m
