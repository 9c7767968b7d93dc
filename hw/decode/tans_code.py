"""Section CODE of a tANS code, read in gateware: tables, and the runs of symbols that use them."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for, exact_log2

from sw.format.sections import Codec
from sw.format.tans import ALL, EACH, ORDERED

from .bits import FIELDS, BitReader, field_reader
from .layouts import CODE_WORD, FILTERS, lane_table_layout, run_layout
from .tans_tables import TableReader


__all__ = ["ChoiceReader", "RunSource", "TansCode"]


class RunSource(wiring.Component):
    """Keeps each layer's filters and each filter's table, and tells the runs that they make.

    A run a cycle; each layer takes another one, and so does the first run.

    Parameters
    ----------
    lanes : TansLanes
        Shape of the decoder.
    layers, channels : int
        The most layers, and filters of all layers together.

    Members
    -------
    layers : In(stream.Signature(FILTERS, always_ready=True))
        Layers that have weights, in order.
    choices : In(stream.Signature(range(lanes.tables), always_ready=True))
        The tables of all their filters, in order.
    rewind : In(1)
        The next choice is the first one.
    layer : In(range(layers))
        The layer that is asked for while ``run`` is low; the first one in the cycle before ``run``
        rises.
    sizes : Out(FILTERS)
        Its sizes, a cycle later.
    count : Out(range(layers + 1))
        How many layers there are.
    run : In(1)
        Low holds it at the beginning.
    o : Out(stream.Signature(run_layout(lanes)))
        A run for each filter.
    """

    def __init__(self, lanes, *, layers, channels):
        self.lanes = lanes
        self.most_layers = layers
        self.channels = channels
        super().__init__({
            "layers": In(stream.Signature(FILTERS, always_ready=True)),
            "choices": In(stream.Signature(range(lanes.tables), always_ready=True)),
            "rewind": In(1),
            "layer": In(range(layers)),
            "sizes": Out(FILTERS),
            "count": Out(range(layers + 1)),
            "run": In(1),
            "o": Out(stream.Signature(run_layout(lanes))),
        })

    def elaborate(self, platform):
        m = Module()

        m.submodules.sizes = sizes = Memory(shape=FILTERS, depth=self.most_layers, init=[])
        m.submodules.tables = tables = Memory(
            shape=range(self.lanes.tables), depth=self.channels, init=[])
        sizes_write, sizes_read = sizes.write_port(), sizes.read_port()
        tables_write, tables_read = tables.write_port(), tables.read_port()

        place = Signal(range(self.most_layers + 1))
        m.d.comb += [
            place.eq(Mux(self.layers.payload.first, 0, self.count)),
            sizes_write.en.eq(self.layers.valid),
            sizes_write.addr.eq(place),
            sizes_write.data.eq(self.layers.payload),
            tables_write.en.eq(self.choices.valid),
            tables_write.data.eq(self.choices.payload),
            self.sizes.eq(sizes_read.data),
        ]
        with m.If(self.layers.valid):
            m.d.sync += self.count.eq(place + 1)
        with m.If(self.choices.valid):
            m.d.sync += tables_write.addr.eq(tables_write.addr + 1)
        with m.If(self.rewind):
            m.d.sync += tables_write.addr.eq(0)

        layer = Signal(range(self.most_layers + 1))
        filter_ = Signal(range(self.channels))
        left = Signal(16)
        run = self.o.payload
        taken = self.o.valid & self.o.ready
        m.d.comb += [
            # A layer has a run, so its successor's sizes come in time.
            sizes_read.addr.eq(Mux(self.run, layer, self.layer)),
            sizes_read.en.eq(~self.layers.valid),
            tables_read.addr.eq(filter_ + taken),
            run.table.eq(tables_read.data),
            run.last.eq((left == 1) & (layer == self.count)),
        ]
        with m.If(~self.run):
            m.d.sync += [layer.eq(0), filter_.eq(0), self.o.valid.eq(0)]
        with m.Elif(taken):
            m.d.sync += [
                filter_.eq(filter_ + 1),
                left.eq(left - 1),
                self.o.valid.eq(left != 1),
            ]
        with m.Elif(~self.o.valid & (layer != self.count)):
            m.d.sync += [
                layer.eq(layer + 1),
                left.eq(self.sizes.filters),
                run.count.eq(self.sizes.size),
                self.o.valid.eq(1),
            ]

        return m


class ChoiceReader(wiring.Component):
    """Reads which tables the filters of each layer use.

    Takes a cycle for each bit, for each filter, and up to 16 for a layer besides. What breaks the
    format, or asks for more than the decoder has, is refused: the reader stops.

    Parameters
    ----------
    lanes : TansLanes
        Shape of the decoder.
    layers, channels : int
        As in `RunSource`.

    Members
    -------
    start : In(1)
        Begins with the first layer.
    tables : In(range(lanes.tables + 1))
        How many tables there are; stable meanwhile.
    fields : Out(FIELDS)
        Asks a `BitReader` for numbers.
    layer, sizes, count, choices
        To be connected with `RunSource`.
    done : Out(1)
        With the last choice, or after it.
    refused : Out(1)
        It has stopped.
    """

    def __init__(self, lanes, *, layers, channels):
        self.lanes = lanes
        self.layers = layers
        self.channels = channels
        super().__init__({
            "start": In(1),
            "tables": In(range(lanes.tables + 1)),
            "fields": Out(FIELDS),
            "layer": Out(range(layers + 1)),
            "sizes": In(FILTERS),
            "count": In(range(layers + 1)),
            "choices": Out(stream.Signature(range(lanes.tables), always_ready=True)),
            "done": Out(1),
            "refused": Out(1),
        })

    def elaborate(self, platform):
        m = Module()

        most = bits_for(self.lanes.tables - 1)
        width = Signal(range(most + 1))         # Of the number of a table.
        with m.Switch(self.tables - 1):
            for bits in range(1, most + 1):
                for value in range(1 << bits - 1, 1 << bits):
                    with m.Case(value):
                        m.d.comb += width.eq(bits)

        left = Signal(16)                       # Filters of the layer without a table.
        room = Signal(range(self.channels + 1))  # Filters that fit besides.
        rest = Signal(16)
        count_bits = Signal(range(17))
        mode = Signal(2)
        table = Signal(range(self.lanes.tables + 1))
        copies = Signal(16)
        m.d.comb += self.choices.payload.eq(table)

        refused = "Refuse"
        read = field_reader(m, self.fields, refused)

        with m.FSM():
            with m.State("Idle"):
                m.d.sync += [self.layer.eq(0), room.eq(self.channels)]
                with m.If(self.start):
                    m.next = "Look up"

            with m.State("Look up"):
                m.next = "Layer"

            with m.State("Layer"):
                filters = self.sizes.filters
                m.d.sync += [left.eq(filters), rest.eq(filters), count_bits.eq(0),
                             room.eq(room - filters)]
                m.next = "Delta"
                with m.If(self.layer == self.count):
                    m.d.comb += self.done.eq(1)
                    m.d.sync += self.layer.eq(0)
                    m.next = "Idle"
                    # Nobody would ever end a network without weights.
                    with m.If(self.count == 0):
                        m.next = refused
                        m.d.comb += self.done.eq(0)
                with m.Elif((filters > room) | (filters == 0) | (self.sizes.size == 0)):
                    m.next = refused

            with read("Delta", 8) as delta:
                m.next = "Mode"
                with m.If(delta != 0):
                    m.next = refused

            with read("Mode", 2) as field:
                m.d.sync += [mode.eq(field), table.eq(0), copies.eq(left)]
                m.next = "Number"
                with m.If((field > ORDERED) | (field != ALL) & (width == 0)):
                    m.next = refused
                with m.Elif(field == EACH):
                    m.d.sync += copies.eq(1)
                with m.Elif(field == ORDERED):
                    m.next = "Measure"

            with read("Number", width) as field:
                m.d.sync += table.eq(field)
                m.next = "Choose"
                with m.If(field >= self.tables):
                    m.next = refused

            # How wide the number of the layer's filters is.
            with m.State("Measure"):
                m.d.sync += [rest.eq(rest >> 1), count_bits.eq(count_bits + 1)]
                with m.If(rest == 0):
                    m.d.sync += count_bits.eq(count_bits)
                    m.next = "Filters"
            with read("Filters", count_bits) as field:
                m.d.sync += copies.eq(field)
                m.next = "Choose"
                with m.If(field > left):
                    m.next = refused

            with m.State("Choose"):
                m.d.comb += self.choices.valid.eq(copies != 0)
                with m.If(copies != 0):
                    m.d.sync += [copies.eq(copies - 1), left.eq(left - 1)]
                with m.Elif(mode == ORDERED):
                    m.d.sync += table.eq(table + 1)
                    m.next = "Filters"
                    with m.If(table == self.tables - 1):
                        m.d.sync += self.layer.eq(self.layer + 1)
                        m.next = "Look up"
                    with m.Elif(table == self.tables - 2):
                        m.d.sync += copies.eq(left)
                        m.next = "Choose"
                with m.Elif(left != 0):
                    m.d.sync += copies.eq(1)
                    m.next = "Number"
                with m.Else():
                    m.d.sync += self.layer.eq(self.layer + 1)
                    m.next = "Look up"

            with m.State(refused):
                m.d.comb += self.refused.eq(1)
                m.next = "Idle"

        return m


class TansCode(wiring.Component):
    """Reads section CODE of a tANS code: writes the rows of its tables, and tells its runs.

    Takes a cycle for each bit of the section, about 8 cycles for each state of each table, and one
    for each filter: for 4 tables of 256 states about 8,500. Words that come meanwhile wait.

    ``error`` rises if the section is longer or shorter, or of another codec or shape, or asks for
    more tables, wider raw bits, more filters or other symbols than the decoder has, or for deltas,
    or if counts don't fill their table. Whatever the section holds, ``busy`` falls in the end; the
    next word then begins another section.

    Parameters
    ----------
    lanes : TansLanes
        Shape of the decoder.
    entries : int
        The most entries of a codebook.
    layers, channels : int
        As in `RunSource`.

    Members
    -------
    i : In(stream.Signature(CODE_WORD))
        Words of section CODE.
    layers : In(stream.Signature(FILTERS, always_ready=True))
        Layers that have weights, in order; before the section.
    rows : Out(stream.Signature(lane_table_layout(lanes), always_ready=True))
        Rows of the tables.
    entries : Out(6)
        Words of a codebook, 4 entries each; 0 if values are weights themselves.
    busy : Out(1)
        From the first word until tables and choices are there, or an error is found.
    error : Out(1)
        The last section was refused. Falls with the next first word.
    run : In(1)
        Low holds the runs at the beginning.
    runs : Out(stream.Signature(run_layout(lanes)))
        Runs of symbols.
    """

    def __init__(self, lanes, *, entries, layers, channels):
        self.lanes = lanes
        self.most_entries = entries
        self.most_layers = layers
        self.channels = channels
        super().__init__({
            "i": In(stream.Signature(CODE_WORD)),
            "layers": In(stream.Signature(FILTERS, always_ready=True)),
            "rows": Out(stream.Signature(lane_table_layout(lanes), always_ready=True)),
            "entries": Out(6),
            "busy": Out(1),
            "error": Out(1),
            "run": In(1),
            "runs": Out(stream.Signature(run_layout(lanes))),
        })

    def elaborate(self, platform):
        m = Module()

        lanes = self.lanes
        sizes = {"layers": self.most_layers, "channels": self.channels}
        m.submodules.bits = bits = BitReader()
        m.submodules.table_reader = tables = TableReader(lanes)
        m.submodules.choice_reader = choices = ChoiceReader(lanes, **sizes)
        m.submodules.source = source = RunSource(lanes, **sizes)
        wiring.connect(m, wiring.flipped(self.i), bits.i)
        wiring.connect(m, wiring.flipped(self.layers), source.layers)
        wiring.connect(m, tables.rows, wiring.flipped(self.rows))
        wiring.connect(m, choices.choices, source.choices)
        wiring.connect(m, source.o, wiring.flipped(self.runs))

        count = Signal(range(lanes.tables + 1))
        m.d.comb += [
            tables.tables.eq(count),
            choices.tables.eq(count),
            choices.sizes.eq(source.sizes),
            choices.count.eq(source.count),
            source.layer.eq(choices.layer),
            source.run.eq(self.run),
        ]

        # Who wants nothing asks for nothing: so requests are joined.
        own = FIELDS.create()
        requests = own, tables.fields, choices.fields
        for name in ("want", "width", "unary"):
            own_value, *others = (getattr(fields, name) for fields in requests)
            m.d.comb += getattr(bits.fields, name).eq(own_value | others[0] | others[1])
        for fields in requests:
            m.d.comb += [
                fields.value.eq(bits.fields.value),
                fields.done.eq(bits.fields.done),
                fields.failed.eq(bits.fields.failed),
            ]

        refused = "Refuse"
        read = field_reader(m, own, refused)
        shape = lanes.code.table_bits | exact_log2(lanes.code.states) << 4

        with m.FSM():
            with read("Codec", 8) as field:
                m.d.comb += source.rewind.eq(1)
                m.next = "Shape"
                with m.If(field != Codec.TANS):
                    m.next = refused
            with read("Shape", 8) as field:
                m.next = "Tables"
                with m.If(field != shape):
                    m.next = refused
            with read("Tables", 8) as field:
                m.d.sync += count.eq(field)
                m.next = "Entries"
                with m.If((field == 0) | (field > lanes.tables)):
                    m.next = refused
            with read("Entries", 8) as field:
                m.d.sync += self.entries.eq(field)
                m.d.comb += tables.start.eq(1)
                m.next = "Expand"
                with m.If(field > self.most_entries // 4):
                    m.d.comb += tables.start.eq(0)
                    m.next = refused

            with m.State("Expand"):
                m.d.comb += choices.start.eq(tables.done)
                with m.If(tables.refused | choices.refused):
                    m.next = refused
                with m.Elif(choices.done):
                    m.next = "Finish"

            with m.State("Finish"):
                m.d.comb += bits.clear.eq(bits.last)
                m.d.sync += self.busy.eq(~bits.last)
                m.next = "Codec"
                with m.If(~bits.last):
                    m.next = refused

            with m.State(refused):
                m.d.comb += [bits.drop.eq(1), bits.clear.eq(bits.last)]
                m.d.sync += self.error.eq(1)
                with m.If(bits.last):
                    m.d.sync += self.busy.eq(0)
                    m.next = "Codec"

        with m.If(self.i.valid & self.i.ready & ~self.busy):
            m.d.sync += [self.busy.eq(1), self.error.eq(0)]

        return m
