"""Tables that rescale the inputs of an addition."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.mac.requantise import RECORD
from hw.pipeline import delay
from hw.primitives.dp16kd import DP16KD
from sw.format.timing import TABLE_ENTRIES, TABLE_RECORD_CYCLES


__all__ = ["ENTRY", "AdditionTable", "TableFiller"]


#: What an input of an addition, the first or the second one, is rescaled to.
ENTRY = data.StructLayout({"input": 8, "second": 1, "value": signed(32)})


class TableFiller(wiring.Component):
    """Computes what the inputs of an addition are rescaled to, for all values that they may have.

    An input x becomes ``(x - zero point) << 20``, multiplied and rounded as by `Requantiser`, all
    of it from a channel record whose bias is the zero point. Products are sums, a multiplier more
    for each value. Takes 2 cycles for a value and `sw.format.timing.TABLE_CYCLES` in all.

    Members
    -------
    start : In(1)
        Begins with the first input. Not while it is at work.
    second : Out(1)
        Whether it needs the second input's record.
    record : In(RECORD)
        The record, at most ``TABLE_RECORD_CYCLES`` later, until ``second`` changes.
    o : Out(stream.Signature(ENTRY, always_ready=True))
        Entries of the tables.
    done : Out(1)
        High for a cycle when the last one is out.
    """

    #: Cycles from a product to its entry.
    latency = 3

    start: In(1)
    second: Out(1)
    record: In(RECORD)
    o: Out(stream.Signature(ENTRY, always_ready=True))
    done: Out(1)

    def elaborate(self, platform):
        m = Module()

        multiplier = self.record.multiplier
        # Entries are on their way when the next record comes.
        shift = Signal.like(self.record.shift)
        # The first one is the zero point's, 0; from 127 on they go on with those of -128.
        product = Signal(signed(41))
        value = Signal(signed(8))
        made = Signal()
        left = Signal(range(TABLE_ENTRIES + 1))

        scaled = Signal(signed(31))
        below_half = Signal(30)
        m.d.sync += [
            scaled.eq((product + (1 << 10)) >> 11),
            below_half.eq(C((1 << 30) - 1, 30) >> ~shift),
        ]
        rounded = Signal(signed(32))
        half_up = (scaled >= 0) & (shift != 0)
        m.d.sync += [
            rounded.eq(scaled + below_half + half_up),
            self.o.payload.value.eq(rounded >> shift),
            self.o.payload.input.eq(delay(m, value, self.latency - 1)),
            self.o.payload.second.eq(delay(m, self.second, self.latency - 1)),
            self.o.valid.eq(delay(m, made, self.latency - 1, reset_less=False)),
        ]

        wait = Signal(range(TABLE_RECORD_CYCLES + 1))
        with m.FSM():
            with m.State("Idle"):
                m.d.sync += [self.second.eq(0), wait.eq(TABLE_RECORD_CYCLES)]
                with m.If(self.start):
                    m.next = "Fetch"

            with m.State("Fetch"):
                m.d.sync += wait.eq(wait - 1)
                with m.If(wait == 0):
                    m.d.sync += [
                        shift.eq(self.record.shift),
                        product.eq(0),
                        value.eq(self.record.bias[:8].as_signed()),
                        left.eq(TABLE_ENTRIES),
                    ]
                    m.next = "Make"

            with m.State("Make"):
                m.d.comb += made.eq(1)
                m.d.sync += [
                    product.eq(product + multiplier),
                    value.eq(value + 1),
                    left.eq(left - 1),
                ]
                m.next = "Wrap"

            with m.State("Wrap"):
                with m.If(value == -128):
                    m.d.sync += product.eq(product - (multiplier << 8))
                m.d.sync += wait.eq(TABLE_RECORD_CYCLES)
                m.next = "Make"
                with m.If(left == 0):
                    m.d.sync += self.second.eq(1)
                    m.next = "Fetch"
                    with m.If(self.second):
                        m.next = "Drain"

            with m.State("Drain"):
                m.d.sync += wait.eq(wait - 1)
                with m.If(wait == 0):
                    m.d.comb += self.done.eq(1)
                    m.next = "Idle"

        return m


class AdditionTable(wiring.Component):
    """Looks up what both inputs of an addition are rescaled to.

    Accepts a pair of inputs a cycle, but not while entries are written; the values appear
    ``latency`` cycles later.

    Members
    -------
    entries : In(stream.Signature(ENTRY, always_ready=True))
        Entries to keep.
    inputs : In(8).array(2)
        Values of both inputs.
    values : Out(signed(32)).array(2)
        What they are rescaled to.
    """

    latency = 2

    entries: In(stream.Signature(ENTRY, always_ready=True))
    inputs: In(8).array(2)
    values: Out(signed(32)).array(2)

    def elaborate(self, platform):
        m = Module()

        entry = self.entries.payload
        halves = []
        for half, width in (("low", 18), ("high", 14)):
            m.submodules[half] = memory = DP16KD()
            m.d.comb += [
                memory.a.enable.eq(1),
                memory.a.write.eq(self.entries.valid),
                memory.a.address.eq(self.inputs[0]),
                memory.a.write_data.eq(entry.value[-width:] if half == "high"
                                       else entry.value[:width]),
                memory.b.enable.eq(~self.entries.valid),
                memory.b.address.eq(Cat(self.inputs[1], 1)),
            ]
            with m.If(self.entries.valid):
                m.d.comb += memory.a.address.eq(Cat(entry.input, entry.second))
            halves.append((memory.a.data[:width], memory.b.data[:width]))
        for port in range(2):
            m.d.comb += self.values[port].eq(Cat(half[port] for half in halves))

        return m
