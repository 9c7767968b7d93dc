"""Decoder of prefix codes that takes a fixed number of bits per cycle."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.primitives.dp16kd import DP16KD
from sw.format.tables import GROUP, AutomatonShape

from .gearbox import Gearbox
from .layouts import result_layout, row_layout, table_layout
from .reorder import Reorder


__all__ = ["Automaton", "Collector"]


class Collector(wiring.Component):
    """Gathers the symbols of two substreams, which take turns, into groups.

    Tells of each step, one cycle later, whether it has begun a group and whether it has completed
    one, and which.

    Parameters
    ----------
    shape : AutomatonShape
        The automaton.

    Members
    -------
    i : In(stream.Signature(row_layout(shape), always_ready=True))
        A row of the table for each step, for one and the other substream by turns.
    o : Out(stream.Signature(result_layout(shape), always_ready=True))
        What each step did.

    Attributes
    ----------
    latency : int
        Cycles from a row to its result.
    """

    latency = 1

    def __init__(self, shape):
        self.shape = shape
        super().__init__({
            "i": In(stream.Signature(row_layout(shape), always_ready=True)),
            "o": Out(stream.Signature(result_layout(shape), always_ready=True)),
        })

    def elaborate(self, platform):
        m = Module()

        width = self.shape.symbol_bits
        row = self.i.payload
        held = data.StructLayout({
            "symbols": width * (GROUP - 1),
            "count": range(GROUP),
            "idle": 1,      # Its last group has ended with the last bit of a piece.
        })
        current = Signal(held, init={"idle": 1})
        other = Signal(held, init={"idle": 1})

        total = Signal(range(2 * GROUP))
        merged = Signal(width * (GROUP - 1 + self.shape.row_symbols))
        complete = Signal()
        bits_left = Signal()
        m.d.comb += [
            total.eq(current.count + row.count),
            complete.eq(total >= GROUP),
            bits_left.eq((total != GROUP) | row.state.any()),
        ]

        with m.Switch(current.count):
            for count in range(GROUP):
                with m.Case(count):
                    # Both are zero where they hold no symbol.
                    m.d.comb += merged.eq(current.symbols
                                          | row.symbols.as_value() << count * width)

        m.d.sync += self.o.valid.eq(self.i.valid)
        with m.If(self.i.valid):
            m.d.sync += [
                self.o.payload.group.eq(merged),
                self.o.payload.complete.eq(complete),
                self.o.payload.begun.eq(current.idle | complete & bits_left),
                current.eq(other),
                other.symbols.eq(Mux(complete, merged >> width * GROUP, merged)),
                other.count.eq(total),
                other.idle.eq(complete & ~bits_left),
            ]

        return m


class Automaton(wiring.Component):
    """Decodes a prefix code: a step takes a piece of each of two substreams.

    Takes 2 * ``step_bits`` bits per cycle (``step_bits`` if there are only two substreams), unless
    the input has no word or groups wait for the output, and delivers up to one group per cycle. A
    group leaves only when two more steps have followed its last: feed zeros behind the coded data.

    Groups leave in the order in which they are numbered. While the output stalls, decoding goes on
    until the groups that wait fill their queues to a level that guarantees that the first of them
    is complete; so no coded data can wedge it. Reset puts it at the beginning of the coded data and
    keeps the table.

    Parameters
    ----------
    shape : AutomatonShape
        The code's limits. Its table has at most 1024 rows, its substreams are 2 or 4.

    Members
    -------
    table : In(stream.Signature(table_layout(shape), always_ready=True))
        Rows of the table, as in ``PrefixTable.rows``; to be written during reset.
    i : In(stream.Signature(32))
        Coded data.
    o : Out(stream.Signature(ArrayLayout(shape.symbol_bits, GROUP)))
        Groups of symbols.

    Attributes
    ----------
    latency : int
        Cycles from the transfer of a word to a group that ends in the word's first pieces, if
        words follow without a gap and no group is waiting.
    """

    latency = 6

    def __init__(self, shape):
        if not isinstance(shape, AutomatonShape):
            raise ValueError(f"Automaton must have an AutomatonShape, not {shape!r}")
        if shape.address_bits > 10:
            raise ValueError(f"Table must have at most 1024 rows, not {1 << shape.address_bits}")
        if shape.substreams not in (2, 4):
            raise ValueError(f"Substreams must be 2 or 4, not {shape.substreams}")

        self.shape = shape
        super().__init__({
            "table": In(stream.Signature(table_layout(shape), always_ready=True)),
            "i": In(stream.Signature(32)),
            "o": Out(stream.Signature(data.ArrayLayout(shape.symbol_bits, GROUP))),
        })

    def elaborate(self, platform):
        m = Module()

        shape = self.shape
        lanes = shape.substreams // 2

        m.submodules.gearbox = gearbox = Gearbox(32, lanes * shape.step_bits)
        wiring.connect(m, wiring.flipped(self.i), gearbox.i)

        room = Signal()
        step = Signal()
        m.d.comb += [
            gearbox.o.ready.eq(room),
            step.eq(gearbox.o.valid & room),
        ]

        # A row leaves the memory two steps after its address has entered, just when the same
        # substream has its next turn.
        steps = Signal(2)
        with m.If(step):
            m.d.sync += steps.eq(Cat(1, steps))
        decoded = steps[1]

        m.submodules.memory = memory = DP16KD()
        m.d.comb += [
            memory.a.enable.eq(step | self.table.valid),
            memory.a.write.eq(self.table.valid),
            memory.a.write_data.eq(self.table.payload.data),
            memory.b.enable.eq(step),
        ]
        m.submodules.reorder = reorder = Reorder(shape)
        wiring.connect(m, reorder.o, wiring.flipped(self.o))
        m.d.comb += room.eq(reorder.room)

        for lane in range(lanes):
            port = (memory.a, memory.b)[lane]
            m.submodules[f"collector{lane}"] = collector = Collector(shape)
            wiring.connect(m, collector.o, reorder.i[lane])
            row = collector.i.payload
            piece = gearbox.o.payload.word_select(lane, shape.step_bits)
            m.d.comb += [
                row.eq(port.data),
                collector.i.valid.eq(step & decoded),
                port.address.eq(Cat(piece, Mux(decoded, row.state, 0))),
            ]
        with m.If(self.table.valid):
            m.d.comb += memory.a.address.eq(self.table.payload.address)

        return m
