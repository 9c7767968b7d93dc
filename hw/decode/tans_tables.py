"""Expansion of tANS tables, stored as counts, into the rows of states."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from sw.format.lanes import NARROW
from sw.format.tables import MAX_EXACT, MAX_SYMBOLS

from .bits import FIELDS, field_reader
from .layouts import lane_row_layout, lane_table_layout


__all__ = ["RowBuilder", "TableReader"]


#: The most ones of a count; more would be a damaged table.
MAX_UNARY = 2048


class RowBuilder(wiring.Component):
    """Numbers the places of each symbol and writes the row of each state.

    Takes 4 cycles for a row and one more for each bit that is read in the state.

    Parameters
    ----------
    lanes : TansLanes
        Shape of the decoder.

    Members
    -------
    start : In(1)
        Begins with state 0; not while it is at work.
    table : In(range(lanes.tables))
        Number of the table; stable meanwhile.
    state : Out(lanes.code.table_bits)
        State whose symbol is asked for; it must be there a cycle later.
    symbol : In(range(MAX_SYMBOLS))
        The symbol.
    entry : In(entry_layout)
        What the symbol asked for a cycle ago stands for, and the number of its next place.
    next : Out(stream)
        That number, one higher, for the symbol.
    rows : Out(stream.Signature(lane_table_layout(lanes), always_ready=True))
        Rows of the table.
    done : Out(1)
        With the last row.
    refused : Out(1)
        With a row that asks for more bits than the decoder takes at once.
    """

    def __init__(self, lanes):
        self.lanes = lanes
        super().__init__({
            "start": In(1),
            "table": In(range(lanes.tables)),
            "state": Out(lanes.code.table_bits),
            "symbol": In(range(MAX_SYMBOLS)),
            "entry": In(entry_layout(lanes)),
            "next": Out(stream.Signature(lanes.code.table_bits + 1, always_ready=True)),
            "rows": Out(stream.Signature(lane_table_layout(lanes), always_ready=True)),
            "done": Out(1),
            "refused": Out(1),
        })

    def elaborate(self, platform):
        m = Module()

        table_bits = self.lanes.code.table_bits
        number = Signal(table_bits + 1)     # Shifted up until its highest bit is where it belongs.
        width = Signal(range(table_bits + 1))
        kept = Signal.like(width)
        row = Signal(lane_row_layout(self.lanes))
        m.d.comb += [
            kept.eq(table_bits - width),
            row.base.eq(number),
            row.code.eq(kept[2:]),
            row.values.eq(self.entry.values),
            self.next.payload.eq(self.entry.next + 1),
            self.rows.payload.address.eq(Cat(self.state, self.table)),
            self.rows.payload.data.eq(row),
        ]
        # See `join_next`: where three bits are read, or more, the lowest two say how many.
        with m.If(width >= 3):
            m.d.comb += row.base.eq(number | kept[:2])
        with m.Elif(width == 0):
            m.d.comb += row.code.eq(2)
        with m.Else():
            m.d.comb += [row.base.eq(number | (width == 2)), row.code.eq(3)]
        taken = Signal(5)
        m.d.comb += taken.eq(width + self.entry.raw)
        if self.lanes.row_bits > NARROW:
            m.d.comb += [row.taken.eq(taken), row.raw.eq(self.entry.raw)]

        with m.FSM():
            with m.State("Idle"):
                m.d.sync += self.state.eq(0)
                with m.If(self.start):
                    m.next = "Ask"

            with m.State("Ask"):
                m.next = "Look up"

            with m.State("Look up"):
                m.next = "Number"

            with m.State("Number"):
                m.d.comb += self.next.valid.eq(1)
                m.d.sync += [number.eq(self.entry.next), width.eq(0)]
                m.next = "Shift"

            with m.State("Shift"):
                with m.If(number[-1]):
                    m.d.comb += [
                        self.rows.valid.eq(1),
                        self.done.eq(self.state.all()),
                        self.refused.eq(taken > self.lanes.symbol_bits),
                    ]
                    m.d.sync += self.state.eq(self.state + 1)
                    m.next = "Ask"
                    with m.If(self.done):
                        m.next = "Idle"
                with m.Else():
                    m.d.sync += [number.eq(number << 1), width.eq(width + 1)]

        return m


def entry_layout(lanes):
    """Return the layout of what is known of a symbol while its table is expanded."""
    return data.StructLayout({
        "next": lanes.code.table_bits + 1,
        "raw": 3,
        "values": data.ArrayLayout(signed(lanes.value_bits), lanes.tuple_size),
    })


class TableReader(wiring.Component):
    """Reads the tables of a tANS code and expands them, one after the other.

    Takes a cycle for each bit and up to 64 + 2 * L + 128 besides, and ``RowBuilder`` for the L
    states of each table. A table that breaks the format, or that the decoder can't hold, is
    refused: the reader stops, and rows that are written already mean nothing.

    Parameters
    ----------
    lanes : TansLanes
        Shape of the decoder.

    Members
    -------
    start : In(1)
        Begins with the first table.
    tables : In(range(lanes.tables + 1))
        How many tables there are; stable meanwhile.
    fields : Out(Signature)
        Asks a `BitReader` for numbers.
    rows : Out(stream.Signature(lane_table_layout(lanes), always_ready=True))
        Rows of all tables.
    done : Out(1)
        With the last row.
    refused : Out(1)
        It has stopped.
    """

    def __init__(self, lanes):
        self.lanes = lanes
        super().__init__({
            "start": In(1),
            "tables": In(range(lanes.tables + 1)),
            "fields": Out(FIELDS),
            "rows": Out(stream.Signature(lane_table_layout(lanes), always_ready=True)),
            "done": Out(1),
            "refused": Out(1),
        })

    def elaborate(self, platform):
        m = Module()

        lanes = self.lanes
        table_bits = lanes.code.table_bits
        size = 1 << table_bits

        m.submodules.builder = builder = RowBuilder(lanes)
        wiring.connect(m, builder.rows, wiring.flipped(self.rows))

        entry = entry_layout(lanes)
        meaning_layout = data.StructLayout({"raw": entry["raw"].shape,
                                            "values": entry["values"].shape})
        m.submodules.meanings = meanings = Memory(shape=meaning_layout, depth=MAX_SYMBOLS, init=[])
        m.submodules.numbers = numbers = Memory(shape=table_bits + 1, depth=MAX_SYMBOLS, init=[])
        m.submodules.places = places = Memory(shape=range(MAX_SYMBOLS), depth=size, init=[])
        meaning, number, place = (memory.write_port() for memory in (meanings, numbers, places))
        meaning_read, number_read, place_read = (
            memory.read_port() for memory in (meanings, numbers, places))

        table = Signal(range(lanes.tables + 1))
        symbol = Signal(range(MAX_SYMBOLS + 1))
        symbols = Signal.like(symbol)
        first = Signal(8)
        raw_bits, tail_bits, exact = Signal(3), Signal(3), Signal(3)
        buckets = Signal(range(MAX_SYMBOLS))
        value = Signal(8)
        k = Signal(3)
        ones = Signal(range(MAX_UNARY + 1))
        # States that no symbol has yet; of the last symbol, and of this one, those to be given.
        left = Signal(range(size + 1))
        count = Signal(range(size + 1))
        copies = Signal(range(size + 1))
        rest = Signal(range(size + 1))
        m.d.comb += [
            builder.table.eq(table),
            builder.symbol.eq(place_read.data),
            builder.entry.next.eq(number_read.data),
            builder.entry.raw.eq(meaning_read.data.raw),
            builder.entry.values.eq(meaning_read.data.values),
            place_read.addr.eq(builder.state),
            meaning_read.addr.eq(place_read.data),
            number_read.addr.eq(place_read.data),
            meaning.addr.eq(symbol),
            meaning.data.values[0].eq(value),
            number.addr.eq(Mux(builder.next.valid, place_read.data, symbol)),
            number.data.eq(Mux(builder.next.valid, builder.next.payload, copies)),
            number.en.eq(builder.next.valid),
            place.data.eq(symbol),
        ]

        refused = "Refuse"
        read = field_reader(m, self.fields, refused)

        def put_meaning(raw):
            m.d.comb += [meaning.en.eq(1), meaning.data.raw.eq(raw)]
            m.d.sync += symbol.eq(symbol + 1)
            with m.If(symbol >= MAX_SYMBOLS):
                m.next = refused

        with m.FSM():
            with m.State("Idle"):
                m.d.sync += table.eq(0)
                with m.If(self.start):
                    m.next = "First"

            with read("First", 8) as field:
                m.d.sync += [first.eq(field), value.eq(field), symbol.eq(0)]
                m.next = "Raw bits"
            with read("Raw bits", 3) as field:
                m.d.sync += raw_bits.eq(field)
                m.next = "Tuple"
                with m.If(field > lanes.raw_bits):
                    m.next = refused
            with read("Tuple", 2) as field:
                m.next = "Exact"
                with m.If(field != 0):
                    m.next = refused
            with read("Exact", bits_for(MAX_EXACT)) as field:
                m.d.sync += exact.eq(field)
                m.next = "Buckets"
            with read("Buckets", 7) as field:
                m.d.sync += buckets.eq(field)
                m.next = "Tails"
            with read("Tails", 3) as field:
                m.d.sync += tail_bits.eq(field)
                m.next = "Put buckets"
                with m.If(field > lanes.raw_bits):
                    m.next = refused

            with m.State("Put buckets"):
                m.d.sync += value.eq(value + (1 << raw_bits))
                m.next = "Put buckets"
                with m.If(symbol == buckets):
                    m.next = "Exact left"
                put_meaning(raw_bits)
            # The value is now the one above all buckets.
            with m.State("Exact left"):
                m.next = "Exact value"
                m.d.sync += copies.eq(value)
                with m.If(exact == 0):
                    m.next = "Lower tail"
            with read("Exact value", 8) as field:
                m.d.sync += value.eq(field)
                m.next = "Put exact"
            with m.State("Put exact"):
                m.d.sync += exact.eq(exact - 1)
                m.next = "Exact value"
                with m.If(exact == 1):
                    m.next = "Lower tail"
                put_meaning(0)
            with m.State("Lower tail"):
                m.d.sync += value.eq(first - (1 << tail_bits))
                m.next = "Put lower tail"
                with m.If(tail_bits == 0):
                    m.next = "Symbols"
            with m.State("Put lower tail"):
                m.d.sync += value.eq(copies)
                m.next = "Put upper tail"
                put_meaning(tail_bits)
            with m.State("Put upper tail"):
                m.next = "Symbols"
                put_meaning(tail_bits)

            # The first count is near the mean.
            with m.State("Symbols"):
                m.d.sync += [symbols.eq(symbol), symbol.eq(0), count.eq(0), rest.eq(size),
                             left.eq(size), place.addr.eq(0)]
                m.next = "Divide"
            with m.State("Divide"):
                m.d.sync += [rest.eq(rest - symbols), count.eq(count + 1)]
                with m.If(rest < symbols):
                    m.d.sync += [rest.eq(rest), count.eq(count)]
                    m.next = "Parameter"
            with read("Parameter", 3) as field:
                m.d.sync += k.eq(field)
                m.next = "Next symbol"

            with m.State("Next symbol"):
                m.d.sync += copies.eq(left)
                m.next = "Ones"
                with m.If(symbol == symbols - 1):
                    m.next = "Give"
            with read("Ones", 0, unary=True) as field:
                m.d.sync += ones.eq(field)
                m.next = "Low bits"
                with m.If(field > MAX_UNARY):
                    m.next = refused
            with read("Low bits", k) as field:
                coded = Signal(range(MAX_UNARY << 7 | 1 << 7))
                changed = Signal(signed(len(coded) + 1))
                m.d.comb += [
                    coded.eq(ones << k | field),
                    changed.eq(Mux(coded[0], count - coded[1:] - 1, count + coded[1:])),
                ]
                m.d.sync += [count.eq(changed), copies.eq(changed)]
                m.next = "Give"
                with m.If((changed < 0) | (changed > left)):
                    m.next = refused

            with m.State("Give"):
                m.d.comb += number.en.eq(1)
                m.d.sync += left.eq(left - copies)
                m.next = "Spread"
            with m.State("Spread"):
                m.d.comb += place.en.eq(copies != 0)
                with m.If(copies == 0):
                    m.d.sync += symbol.eq(symbol + 1)
                    m.next = "Next symbol"
                    with m.If(symbol == symbols - 1):
                        m.d.comb += builder.start.eq(1)
                        m.next = "Build"
                with m.Else():
                    m.d.sync += [
                        copies.eq(copies - 1),
                        place.addr.eq(place.addr + (size >> 1) + (size >> 3) + 3),
                    ]

            with m.State("Build"):
                with m.If(builder.refused):
                    m.d.sync += left.eq(1)
                with m.If(builder.done):
                    m.d.sync += table.eq(table + 1)
                    m.next = "First"
                    with m.If(builder.refused | (left != 0)):
                        m.next = refused
                    with m.Elif(table + 1 == self.tables):
                        m.d.comb += self.done.eq(1)
                        m.next = "Idle"

            with m.State(refused):
                m.d.comb += self.refused.eq(1)
                m.next = "Idle"

        return m
