"""Decoder of tANS coded data for tiny devices: a symbol a cycle, a byte at a time."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.primitives.sb_ram40_4k import SB_RAM40_4K
from sw.format.lanes import SMALL, TansLanes, next_width

from .fields import shifted
from .layouts import lane_row_layout, lane_table_layout, run_layout
from .skid import SkidBuffer
from .tans import choose


__all__ = ["SmallTansDecoder"]


#: Steps from a state to the one that follows it; states, too, since there is no other delay.
LOOP = 4

BYTE = 8


class SmallTansDecoder(wiring.Component):
    """Decodes tANS coded data like `TansDecoder`, with one lane, on an iCE40.

    Tables of 256 states are in a block RAM of 256 x 16 each; four states take turns. Takes up to a
    byte a cycle. Once it has begun it gives a transfer each cycle, unless the input had no byte,
    the output stalled, or a run came to its end: the next one begins a cycle later, or when it is
    there. It decides so a cycle ahead, and stalls keep everything. Any bytes and rows whatever
    keep it going: zeros, or others, must follow the coded data until it is done.

    Of what `TansDecoder` has it leaves out tuples, raw bits, values beyond 6 bits, other lanes and
    numbers of states, and the register in front of runs.

    Parameters
    ----------
    lanes : TansLanes
        Shape of the decoder, with a port of 16 bits and four states.

    Members
    -------
    rows : In(stream.Signature(lane_table_layout(lanes), always_ready=True))
        Rows of the tables, as ``lanes.rows`` gives them, while ``run`` is low.
    run : In(1)
        Low holds it at the beginning of the coded data, and keeps the tables.
    runs : In(stream.Signature(run_layout(lanes)))
        Tables of the symbols: runs, in order. A run is taken with its last symbol.
    i : In(stream.Signature(8))
        Coded data, the earlier bits lower.
    o : Out(stream.Signature(ArrayLayout(signed(8), 1)))
        Values, in order.
    done : Out(1)
        All symbols have been looked up, and ``error`` is known; the last ones may not have left.
    error : Out(1)
        The states weren't 0 at the end: coded data, runs or tables are damaged.

    Attributes
    ----------
    latency : int
        Cycles from the transfer of the first byte to the first value, if bytes follow without a gap
        and a run is there.
    """

    latency = 8

    def __init__(self, lanes):
        if not isinstance(lanes, TansLanes) or lanes.port_bits != SMALL:
            raise ValueError(f"Decoder must have TansLanes with a port of {SMALL} bits, "
                             f"not {lanes!r}")
        if lanes.code.states != LOOP:
            raise ValueError(f"States must be {LOOP}, not {lanes.code.states}")

        self.lanes = lanes
        super().__init__({
            "rows": In(stream.Signature(lane_table_layout(lanes), always_ready=True)),
            "run": In(1),
            "runs": In(stream.Signature(run_layout(lanes))),
            "i": In(stream.Signature(BYTE)),
            "o": Out(stream.Signature(data.ArrayLayout(signed(8), 1))),
            "done": Out(1),
            "error": Out(1),
        })

    def elaborate(self, platform):
        m = Module()

        tables = Tables(self.lanes)
        m.submodules.tables = tables
        wiring.connect(m, wiring.flipped(self.rows), tables.rows)
        m.submodules.core = core = ResetInserter(~self.run)(Core(self.lanes))
        wiring.connect(m, core.o, wiring.flipped(self.o))
        m.d.comb += [
            tables.read.eq(core.step),
            tables.state.eq(core.state),
            tables.table.eq(self.runs.payload.table),
            core.row.eq(tables.row),
            self.done.eq(core.done),
            self.error.eq(core.error),
        ]
        # What is in reset must not seem to take anything.
        for source, sink in ((self.runs, core.runs), (self.i, core.i)):
            m.d.comb += [
                sink.payload.eq(source.payload),
                sink.valid.eq(source.valid),
                source.ready.eq(sink.ready & self.run),
            ]

        return m


class Tables(wiring.Component):
    """Rows of tables, a block RAM each. What is read is there a cycle later, and stays."""

    def __init__(self, lanes):
        self.lanes = lanes
        super().__init__({
            "rows": In(stream.Signature(lane_table_layout(lanes), always_ready=True)),
            "read": In(1),
            "table": In(range(lanes.tables)),
            "state": In(lanes.code.table_bits),
            "row": Out(lane_row_layout(lanes)),
        })

    def elaborate(self, platform):
        m = Module()

        address = self.rows.payload.address
        table_bits = self.lanes.code.table_bits
        chosen = Signal(range(self.lanes.tables))
        with m.If(self.read):
            m.d.sync += chosen.eq(self.table)
        found = []
        for number in range(self.lanes.tables):
            m.submodules[f"table{number}"] = memory = SB_RAM40_4K()
            m.d.comb += [
                memory.writes.valid.eq(self.rows.valid & (address >> table_bits == number)),
                memory.writes.payload.address.eq(address[:table_bits]),
                memory.writes.payload.data.eq(self.rows.payload.data),
                memory.reads.valid.eq(self.read),
                memory.reads.payload.eq(self.state),
            ]
            found.append(memory.data)
        m.d.comb += self.row.eq(Array(found)[chosen] if len(found) > 1 else found[0])

        return m


class Core(wiring.Component):
    """The loop of states, with a reset instead of ``run`` and the tables beside it.

    A state is looked up in one step, its row is registered in the next one, the field that it asks
    for is half shifted in the third, and cut out and joined with the base in the fourth. There is
    no other register in the loop: logic cells are what a tiny device lacks.
    """

    def __init__(self, lanes):
        self.lanes = lanes
        super().__init__({
            "step": Out(1),
            "state": Out(lanes.code.table_bits),
            "row": In(lane_row_layout(lanes)),
            "runs": In(stream.Signature(run_layout(lanes))),
            "i": In(stream.Signature(BYTE)),
            "o": Out(stream.Signature(data.ArrayLayout(signed(8), 1))),
            "done": Out(1),
            "error": Out(1),
        })

    def elaborate(self, platform):
        m = Module()

        table_bits = self.lanes.code.table_bits
        step = self.step

        # The first steps let the first states come, as if rows of zeros had asked for them.
        age = Signal(LOOP - 1)
        symbols = age[-2]               # A symbol, or the check of a state, is looked up.
        with m.If(step):
            m.d.sync += age.eq(Cat(1, age))

        base = Signal(table_bits)
        code = Signal(2)
        width = Signal(range(table_bits + 1), init=table_bits)
        with m.If(step):
            m.d.sync += [
                base.eq(self.row.base),
                code.eq(self.row.code),
                width.eq(choose(m, Cat(self.row.base[:2], self.row.code), len(width),
                                lambda bits: next_width(bits, table_bits))),
            ]
            with m.If(~age[-1]):
                m.d.sync += [base.eq(0), code.eq(0), width.eq(table_bits)]

        m.submodules.window = window = Window()
        wiring.connect(m, wiring.flipped(self.i), window.i)
        m.d.comb += [
            window.step.eq(step),
            window.width.eq(width),
        ]

        aligned = Signal(table_bits + 1, reset_less=True)
        odd = Signal(reset_less=True)
        kept = Signal(table_bits, reset_less=True)
        read = Signal(table_bits, reset_less=True)
        state = Signal(table_bits, reset_less=True)
        field = Mux(odd, aligned[1:], aligned[:table_bits])
        with m.If(step):
            m.d.sync += [
                aligned.eq(shifted(window.bits, window.position, 2, len(aligned) + 1)),
                odd.eq(window.position[0]),
                kept.eq(base),
                read.eq(choose(m, Cat(base[:2], code), table_bits,
                               lambda bits: (1 << next_width(bits, table_bits)) - 1)),
                state.eq(field & read | kept & ~read),
            ]
        m.d.comb += self.state.eq(state)

        m.submodules.symbols = counter = RunCounter(self.lanes)
        wiring.connect(m, wiring.flipped(self.runs), counter.runs)
        m.d.comb += [
            counter.step.eq(step),
            counter.symbols.eq(symbols),
        ]

        ended = Signal(LOOP)            # So many states have been checked.
        live = Signal()                 # The row is a symbol's.
        with m.If(step):
            m.d.sync += [
                ended.eq(Cat(counter.ended, ended)),
                live.eq(symbols & ~counter.ended),
                self.error.eq(self.error | counter.ended & ~ended[-1] & state.any()),
            ]

        m.submodules.skid = skid = SkidBuffer(signed(self.lanes.value_bits))
        m.d.comb += [
            skid.i.valid.eq(step & live),
            skid.i.payload.eq(self.row.values[0]),
            self.o.valid.eq(skid.o.valid),
            self.o.payload[0].eq(skid.o.payload),
            skid.o.ready.eq(self.o.ready),
            self.done.eq(ended[-1]),
        ]
        m.d.sync += step.eq(window.next_valid & counter.next_valid & skid.next_ready & ~ended[-1])

        return m


class Window(wiring.Component):
    """Two bytes that bits are taken from, and a third one behind them.

    There may be a step only if ``next_valid`` has been in the cycle before; it is in each cycle in
    which there is a byte to come, once enough have come.

    Members
    -------
    i : In(stream.Signature(8))
        Bytes. ``ready`` follows ``width`` combinationally.
    bits : Out(16)
        Two bytes, the earlier one lower.
    position : Out(range(8))
        Of the next bit in the lower one.
    width : In(range(9))
        Bits that a step takes.
    step : In(1)
        There is a step.
    next_valid : Out(1)
        In the next cycle all three bytes will be there.
    """

    i: In(stream.Signature(BYTE))
    bits: Out(2 * BYTE)
    position: Out(range(BYTE))
    width: In(range(BYTE + 1))
    step: In(1)
    next_valid: Out(1)

    def elaborate(self, platform):
        m = Module()

        bits = Signal(2 * BYTE, reset_less=True)
        valid = Signal(2)
        full = valid[0]
        byte = Signal(BYTE, reset_less=True)
        held = Signal()
        end = Signal(range(2 * BYTE))
        m.d.comb += [
            self.bits.eq(bits),
            end.eq(self.position + self.width),
            self.i.ready.eq(~held | ~full | self.step & end[-1]),
            # Whether a step takes the byte is known too late to count here.
            self.next_valid.eq(full & (self.i.valid | held & ~self.step)),
        ]

        # The sum is late: it only chooses what registers take, in one LUT; what enables them comes
        # from registers. Written as a multiplexer, synthesis would make it an enable as well.
        def chosen(choice, new, old):
            return old ^ ((old ^ new) & choice.replicate(len(old)))

        with m.If(self.step):
            m.d.sync += self.position.eq(end)
        with m.If(self.step | held & ~full):
            m.d.sync += bits.eq(chosen(end[-1] | ~full, Cat(bits[BYTE:], byte), bits))
        with m.If(~held | ~full | self.step):
            m.d.sync += [
                byte.eq(chosen(end[-1] | ~(held & full), self.i.payload, byte)),
                held.eq(chosen(end[-1] | ~(held & full), self.i.valid, held)),
            ]
        with m.If(held & ~full):
            m.d.sync += valid.eq(Cat(valid[1], 1))

        return m


class RunCounter(wiring.Component):
    """Counts the symbols of runs; between two of them it takes a cycle without a step.

    There may be a step only if ``next_valid`` has been in the cycle before. Steps count if there
    are ``symbols``. All of them have been counted once ``ended``.
    """

    def __init__(self, lanes):
        super().__init__({
            "runs": In(stream.Signature(run_layout(lanes))),
            "step": In(1),
            "symbols": In(1),
            "next_valid": Out(1),
            "ended": Out(1),
        })

    def elaborate(self, platform):
        m = Module()

        ahead = Signal(16, reset_less=True)     # The symbol of the next step.
        final = Signal(reset_less=True)
        loaded = Signal()
        next_loaded = Signal()
        loads = ~loaded & self.runs.valid
        leaves = Signal()
        m.d.comb += [
            leaves.eq(self.step & final & self.symbols & ~self.ended),
            self.runs.ready.eq(leaves),
            next_loaded.eq(Mux(loaded, ~leaves, self.runs.valid)),
            self.next_valid.eq(self.ended | next_loaded),
        ]
        m.d.sync += loaded.eq(next_loaded)
        # Nothing but the step itself is in front of the carry chain.
        with m.If(self.step):
            m.d.sync += ahead.eq(ahead + 1)
        with m.If(leaves):
            m.d.sync += [
                ahead.eq(1),
                self.ended.eq(self.runs.payload.last),
            ]
        with m.If(loads):
            # Two steps go before the first symbol.
            m.d.sync += ahead.eq(Cat(0, self.symbols))
        with m.If(self.step | loads):
            m.d.sync += final.eq(ahead == self.runs.payload.count)

        return m
