"""Decoder of interleaved tANS: several symbols a cycle, from one sequence of bits."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.pipeline import delay
from sw.format.lanes import NARROW, TansLanes, next_width

from .fields import FieldCutter, WordSplitter, WordWindow, least_additions, shifted
from .layouts import lane_row_layout, lane_table_layout, run_layout
from .skid import SkidBuffer
from .state_tables import LOOKUP, StateTables
from .states import StateDelay
from .table_runs import TableRuns


__all__ = ["RawBits", "TansDecoder"]


# Cycles in which the first words come and the first step is made, and that the first values take
# when they have been looked up.
FILL = 5


class RawBits(wiring.Component):
    """Adds the raw bits behind a state's bits to a value, in two steps.

    It is to step by an enable.

    Parameters
    ----------
    shape : TansLanes
        Shape of the decoder.

    Members
    -------
    field : In(shape.symbol_bits)
        Bits of a state, raw bits behind them.
    width : In(range(shape.code.table_bits + 1))
        How many the state has.
    raw : In(3)
        How many raw bits there are.
    value : In(signed(8))
        The value that they are added to.
    o : Out(signed(8))
        The sum, modulo 256.

    Attributes
    ----------
    latency : int
        Steps from bits to the sum.
    """

    latency = 2

    def __init__(self, shape):
        self.shape = shape
        super().__init__({
            "field": In(shape.symbol_bits),
            "width": In(range(shape.code.table_bits + 1)),
            "raw": In(3),
            "value": In(signed(8)),
            "o": Out(signed(8)),
        })

    def elaborate(self, platform):
        m = Module()

        field, width, raw = (delay(m, part, 1) for part in (self.field, self.width, self.raw))
        bits = Signal(self.shape.raw_bits, reset_less=True)
        m.d.sync += bits.eq(shifted(field, width, 1, len(bits))
                            & Cat(raw > place for place in range(len(bits))))
        m.d.comb += self.o.eq(delay(m, self.value, self.latency) + bits)

        return m


class Lane(wiring.Component):
    """Joins a row's base and the bits that follow to the next state of a lane.

    It is to step by an enable. Reset makes ``state`` 0.

    Parameters
    ----------
    shape : TansLanes
        Shape of the decoder.
    steps : int
        Steps from the row to the field that it asks for, at least 2.

    Members
    -------
    row : In(lane_row_layout(shape))
        The row of a state.
    first : In(1)
        There is none yet: the whole state is to be read.
    taken : Out(range(shape.symbol_bits + 1))
        Bits that the symbol takes.
    values : Out(ArrayLayout(signed(8), shape.tuple_size))
        Its values; with raw bits, ``RawBits.latency`` steps behind the field.
    field : In(shape.symbol_bits)
        The bits that it takes, and others behind them, so many steps later.
    state : Out(shape.code.table_bits)
        The next state, in the same step.
    """

    def __init__(self, shape, steps):
        self.shape = shape
        self.steps = steps
        super().__init__({
            "row": In(lane_row_layout(shape)),
            "first": In(1),
            "taken": Out(range(shape.symbol_bits + 1)),
            "values": Out(data.ArrayLayout(signed(8), shape.tuple_size)),
            "field": In(shape.symbol_bits),
            "state": Out(shape.code.table_bits),
        })

    def elaborate(self, platform):
        m = Module()

        table_bits = self.shape.code.table_bits

        def width(base, code):
            return choose(m, Cat(base[:2], code), range(table_bits + 1),
                          lambda bits: next_width(bits, table_bits))

        base = Signal(table_bits, reset_less=True)
        code = Signal(2, reset_less=True)
        m.d.sync += [
            base.eq(self.row.base),
            code.eq(self.row.code),
        ]
        with m.If(self.first):
            m.d.sync += [
                base.eq(0),
                code.eq(0),
            ]
        base, code = (delay(m, part, self.steps - 2) for part in (base, code))
        kept = Signal(table_bits)
        read = Signal(table_bits)
        m.d.sync += [
            kept.eq(base),
            read.eq(choose(m, Cat(base[:2], code), table_bits,
                           lambda bits: (1 << next_width(bits, table_bits)) - 1)),
        ]
        m.d.comb += self.state.eq(Cat(
            Mux(read[bit], self.field[bit], kept[bit]) for bit in range(table_bits)))

        if self.shape.row_bits == NARROW:
            m.d.comb += self.taken.eq(width(self.row.base, self.row.code))
        else:
            m.d.comb += self.taken.eq(self.row.taken)

        if self.shape.raw_bits:
            m.submodules.raw = raw = RawBits(self.shape)
            m.d.comb += [
                raw.field.eq(self.field),
                raw.width.eq(width(delay(m, base, 1), delay(m, code, 1))),
                raw.raw.eq(delay(m, self.row.raw, self.steps)),
                raw.value.eq(delay(m, self.row.values[0], self.steps)),
                self.values[0].eq(raw.o),
            ]
        else:
            m.d.comb += [self.values[place].eq(self.row.values[place])
                         for place in range(self.shape.tuple_size)]

        return m


def choose(m, code, shape, function):
    """Return what a function makes of four bits, a look-up table for each bit of its result."""
    result = Signal(shape)
    with m.Switch(code):
        for value in range(16):
            with m.Case(value):
                m.d.comb += result.eq(function(value))
    return result


class TansDecoder(wiring.Component):
    """Decodes tANS coded data: ``lanes.lanes`` symbols a cycle.

    Takes up to a word a cycle. Once it has begun it gives a transfer each cycle, unless the input
    had no word, the output stalled, or no run was there, or one with fewer symbols than there are
    lanes; it decides so a cycle ahead, and stalls keep everything. Any words and rows whatever keep
    it going: zeros, or others, must follow the coded data until all values have left.

    Values are those of the rows and raw bits: differences are to be summed up behind it.

    Parameters
    ----------
    lanes : TansLanes
        Shape of the decoder. A lane must not need a state again before ``loop`` cycles.

    Members
    -------
    rows : In(stream.Signature(lane_table_layout(lanes), always_ready=True))
        Rows of the tables, as ``lanes.rows`` gives them, while ``run`` is low.
    run : In(1)
        Low holds it at the beginning of the coded data, and keeps the tables.
    runs : In(stream.Signature(run_layout(lanes)))
        Tables of the symbols: runs, in order.
    i : In(stream.Signature(lanes.word_bits))
        Coded data, the earlier bits lower.
    o : Out(stream.Signature(ArrayLayout(signed(8), lanes.lanes * lanes.tuple_size)))
        Values, in order. The values of a symbol take ``tuple_size`` places, the last of them 0 if
        its table has fewer. Behind the last symbol the last transfer is filled with any values.
    done : Out(1)
        All symbols have been looked up, and ``error`` is known; the last ones may not have left.
    error : Out(1)
        The states weren't 0 at the end: coded data, runs or tables are damaged.

    Attributes
    ----------
    loop : int
        The fewest cycles from a state to the one that follows it.
    latency : int
        Cycles from the transfer of the first word to the first values, if words follow without a
        gap and a run is there.
    """

    def __init__(self, lanes):
        if not isinstance(lanes, TansLanes):
            raise ValueError(f"Decoder must have TansLanes, not {lanes!r}")

        self.lanes = lanes
        levels = exact_log2(lanes.lanes)
        self.additions = least_additions(lanes.lanes)
        self.loop = LOOKUP + self.additions + 1 + levels
        if lanes.turns < self.loop:
            raise ValueError(f"States must be {self.loop * lanes.lanes} or more for "
                             f"{lanes.lanes} lanes, not {lanes.code.states}")
        # Cycles to spare go where they serve speed most; in what is left states wait.
        spare = lanes.turns - self.loop
        self.lookup = LOOKUP + (spare > 0)
        self.registered = spare > 1
        self.additions += spare > 2 and levels > self.additions
        # A few lanes take few bits: these are shifted in parts of a word, at less cost.
        taken = lanes.lanes * lanes.symbol_bits
        self.part_bits = min(lanes.word_bits, 1 << (taken - 1).bit_length())
        self.latency = lanes.turns + FILL + (self.part_bits < lanes.word_bits)
        if lanes.raw_bits:
            self.latency += self.additions + self.registered + 1 + levels + RawBits.latency
        values = data.ArrayLayout(signed(8), lanes.lanes * lanes.tuple_size)
        super().__init__({
            "rows": In(stream.Signature(lane_table_layout(lanes), always_ready=True)),
            "run": In(1),
            "runs": In(stream.Signature(run_layout(lanes))),
            "i": In(stream.Signature(lanes.word_bits)),
            "o": Out(stream.Signature(values)),
            "done": Out(1),
            "error": Out(1),
        })

    def elaborate(self, platform):
        m = Module()

        core = Core(self)
        m.submodules.core = ResetInserter(~self.run)(core)
        wiring.connect(m, wiring.flipped(self.rows), core.rows)
        wiring.connect(m, core.o, wiring.flipped(self.o))
        m.d.comb += [
            self.done.eq(core.done),
            self.error.eq(core.error),
        ]
        # What is in reset must not seem to take anything.
        for source, sink in ((self.runs, core.runs), (self.i, core.i)):
            m.d.comb += [
                sink.payload.eq(source.payload),
                sink.valid.eq(source.valid & self.run),
                source.ready.eq(sink.ready & self.run),
            ]

        return m


class Core(wiring.Component):
    """Is `TansDecoder` with a reset instead of ``run``."""

    def __init__(self, decoder):
        self.decoder = decoder
        members = dict(decoder.signature.members)
        del members["run"]
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()

        shape = self.decoder.lanes
        table_bits = shape.code.table_bits
        lookup = self.decoder.lookup

        step = Signal()

        part_bits = self.decoder.part_bits
        m.submodules.splitter = splitter = WordSplitter(shape.word_bits, part_bits)
        wiring.connect(m, wiring.flipped(self.i), splitter.i)
        m.submodules.window = window = WordWindow(part_bits)
        wiring.connect(m, splitter.o, window.i)
        cutter = FieldCutter(shape.lanes, most_bits=shape.symbol_bits,
                             word_bits=part_bits, fixed_bits=table_bits,
                             additions=self.decoder.additions,
                             registered=self.decoder.registered)
        m.submodules.cutter = EnableInserter(step)(cutter)
        m.d.comb += [
            cutter.words.eq(window.words),
            window.step.eq(step),
            window.advance.eq(cutter.advance),
        ]

        m.submodules.choices = choices = TableRuns(shape, skipped=lookup)
        wiring.connect(m, wiring.flipped(self.runs), choices.i)
        choice = choices.payload
        with m.If(step):
            begins = ~delay(m, ~choice.begins, lookup, reset_less=False)
            live = delay(m, choice.live & choices.valid, lookup, reset_less=False)
        m.d.comb += [
            choices.take.eq(step),
            cutter.fixed.eq(begins),
        ]

        m.submodules.tables = tables = StateTables(shape, latency=lookup)
        wiring.connect(m, wiring.flipped(self.rows), tables.rows)
        m.submodules.states = states = StateDelay(
            table_bits * shape.lanes, shape.turns - lookup - cutter.latency)
        m.d.comb += [
            tables.step.eq(step),
            tables.states.eq(states.o),
            tables.choices.eq(choice.tables),
            states.enable.eq(step),
        ]

        bits = 8 if shape.raw_bits else shape.value_bits
        values = data.ArrayLayout(signed(bits), shape.lanes * shape.tuple_size)
        m.submodules.skid = skid = SkidBuffer(values)
        m.d.comb += [
            self.o.valid.eq(skid.o.valid),
            skid.o.ready.eq(self.o.ready),
        ]
        m.d.comb += [self.o.payload[place].eq(skid.o.payload[place])
                     for place in range(values.length)]
        # Behind the last choice values are still under way.
        m.d.sync += step.eq(window.next_valid & (choices.next_valid | choice.last)
                            & skid.next_ready)
        if shape.raw_bits:
            with m.If(step):
                live = delay(m, live, cutter.latency + RawBits.latency, reset_less=False)
        m.d.comb += skid.i.valid.eq(live & step)

        for lane in range(shape.lanes):
            lane_step = Lane(shape, cutter.latency)
            m.submodules[f"lane{lane}"] = EnableInserter(step)(lane_step)
            m.d.comb += [
                lane_step.row.eq(tables.o[lane]),
                lane_step.first.eq(begins),
                lane_step.field.eq(cutter.fields[lane]),
                cutter.widths[lane].eq(lane_step.taken),
                states.i.word_select(lane, table_bits).eq(lane_step.state),
            ]
            m.d.comb += [
                skid.i.payload[lane * shape.tuple_size + place].eq(lane_step.values[place])
                for place in range(shape.tuple_size)]

        checks = step & choices.valid
        wrong = Signal(shape.lanes)
        ended = Signal()
        m.d.sync += [
            wrong.eq(choice.ended & tables.nonzero & checks.replicate(shape.lanes)),
            ended.eq(checks & choice.last),
            self.error.eq(self.error | wrong.any()),
            self.done.eq(self.done | ended),
        ]

        return m
