"""From groups of symbols to transfers of indices: zero runs and kernel rows."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from sw.format.tables import GROUP, MAX_RUNS

from .layouts import JOB, RUNS, chunk_layout, transfer_layout
from .skid import SkidBuffer


__all__ = ["RowCounter", "RowSplitter", "RunExpander"]


class RunExpander(wiring.Component):
    """Replaces run symbols by as many zeros.

    Works off a group in one cycle for each sequence of literals, which a run or the end of the
    group ends, and ``ceil(n / 4)`` cycles for each run of n zeros: a group without runs takes one
    cycle. Groups follow without a gap. A chunk leaves ``latency`` cycles or more after its group
    has come. A run of 0 zeros takes one cycle, whose chunk is empty.

    Parameters
    ----------
    symbol_bits : int
        Width of a symbol.

    Members
    -------
    runs : In(RUNS)
        Symbols that stand for runs. Must not change while a group is held.
    i : In(stream.Signature(ArrayLayout(symbol_bits, GROUP)))
        Groups of symbols.
    o : Out(stream.Signature(chunk_layout(symbol_bits)))
        Their indices: 1 to 4 literals, or zeros, a transfer.

    Attributes
    ----------
    latency : int
        Cycles from a group to its first chunk.
    """

    latency = 2

    def __init__(self, symbol_bits):
        self.symbol_bits = symbol_bits
        super().__init__({
            "runs": In(RUNS),
            "i": In(stream.Signature(data.ArrayLayout(symbol_bits, GROUP))),
            "o": Out(stream.Signature(chunk_layout(symbol_bits))),
        })

    def elaborate(self, platform):
        m = Module()

        lane_layout = data.StructLayout({"symbol": self.symbol_bits, "run": 1, "literal": 1})
        lanes_layout = data.ArrayLayout(lane_layout, GROUP)
        incoming = Signal(lanes_layout)
        group = Signal(lanes_layout)    # What is still to come, from lane 0 on; zero behind it.
        zeros = Signal(8)               # What is left of the run in lane 0.
        zeros_end = Signal()            # They fit a chunk.

        for lane in range(GROUP):
            run = self.i.payload[lane] >= self.runs.first
            m.d.comb += [
                incoming[lane].symbol.eq(self.i.payload[lane]),
                incoming[lane].run.eq(run & self.i.valid),
                incoming[lane].literal.eq(~run & self.i.valid),
            ]

        literals = Signal(range(GROUP + 1))
        rest = Signal(lanes_layout)     # What follows the literals, or the run, in lane 0.
        with m.If(group[0].run):
            m.d.comb += rest.eq(group.as_value() >> lane_layout.size)
        with m.Else():
            m.d.comb += literals.eq(GROUP)
            for lane in reversed(range(1, GROUP)):
                with m.If(~group[lane].literal):
                    m.d.comb += [
                        literals.eq(lane),
                        rest.eq(group.as_value() >> lane * lane_layout.size),
                    ]

        m.submodules.output = output = SkidBuffer(chunk_layout(self.symbol_bits))
        wiring.connect(m, output.o, wiring.flipped(self.o))
        chunk = output.i
        room = chunk.ready
        m.d.comb += [
            chunk.valid.eq(group[0].run | group[0].literal),
            chunk.payload.count.eq(Mux(group[0].run, Mux(zeros_end, zeros, GROUP), literals)),
        ]
        m.d.comb += [
            chunk.payload.indices[lane].eq(Mux(lane < literals, group[lane].symbol, 0))
            for lane in range(GROUP)
        ]

        following = Signal(lanes_layout)
        ends = ~group[0].run | zeros_end
        m.d.comb += [
            self.i.ready.eq(room & ends & ~(rest[0].run | rest[0].literal)),
            following.eq(Mux(rest[0].run | rest[0].literal, rest, incoming)),
        ]
        run = (following[0].symbol - self.runs.first)[:bits_for(MAX_RUNS)]
        # No symbol of a sound table is beyond the last run; one that is stands for nothing.
        fits = Cat(*(zeros <= GROUP for zeros in self.runs.zeros), 1)

        with m.If(room):
            with m.If(ends):
                m.d.sync += [
                    group.eq(following),
                    zeros.eq(self.runs.zeros[run]),
                    zeros_end.eq(fits.bit_select(run, 1)),
                ]
            with m.Else():
                m.d.sync += [
                    zeros.eq(zeros - GROUP),
                    zeros_end.eq(zeros <= 2 * GROUP),
                ]

        return m


class RowCounter(wiring.Component):
    """Tells the transfers of kernel rows: how many indices each has, and which ends a row.

    One per cycle, from two cycles after the job on. A job that comes before the last transfer of
    the job before it follows without a gap.

    Parameters
    ----------
    most : int
        The most indices of a transfer, a power of two.

    Members
    -------
    jobs : In(stream.Signature(JOB))
        Kernel rows.
    o : Out(stream.Signature(StructLayout({"count": range(most + 1), "last": 1, "codebook": 4})))
        Transfers of the kernel rows.
    """

    def __init__(self, most=GROUP):
        self.most = most
        super().__init__({
            "jobs": In(stream.Signature(JOB)),
            "o": Out(stream.Signature(data.StructLayout({
                "count": range(most + 1), "last": 1, "codebook": 4}))),
        })

    def elaborate(self, platform):
        m = Module()

        # Numbers of rows and transfers are of those that follow.
        job_layout = data.StructLayout({
            "rows": 16, "transfers": 14, "tail": range(self.most + 1), "codebook": 4})
        waiting = Signal(job_layout)
        waiting_valid = Signal()
        current = Signal(job_layout)
        transfers = Signal(14)
        last_row = Signal()
        last = Signal()
        job_ends = Signal()
        tail = Signal(range(self.most + 1))
        m.d.comb += [
            self.jobs.ready.eq(~waiting_valid | job_ends),
            job_ends.eq(~self.o.valid | self.o.ready & self.o.payload.last & last_row),
            tail.eq(Mux(job_ends, waiting.tail, current.tail)),
            self.o.payload.codebook.eq(current.codebook),
        ]

        with m.If(job_ends):
            m.d.comb += last.eq(waiting.transfers == 0)
            m.d.sync += [
                waiting_valid.eq(0),
                self.o.valid.eq(waiting_valid),
                current.eq(waiting),
                transfers.eq(waiting.transfers),
                last_row.eq(waiting.rows == 0),
            ]
        with m.Elif(self.o.payload.last):
            m.d.comb += last.eq(current.transfers == 0)
            with m.If(self.o.ready):
                m.d.sync += [
                    current.rows.eq(current.rows - 1),
                    transfers.eq(current.transfers),
                    last_row.eq(current.rows == 1),
                ]
        with m.Else():
            m.d.comb += last.eq(transfers == 1)
            with m.If(self.o.ready):
                m.d.sync += transfers.eq(transfers - 1)

        with m.If(~self.o.valid | self.o.ready):
            m.d.sync += [
                self.o.payload.last.eq(last),
                self.o.payload.count.eq(Mux(last, tail, self.most)),
            ]

        with m.If(self.jobs.valid & self.jobs.ready):
            length = (self.jobs.payload.length - 1)[:16]
            m.d.sync += [
                waiting_valid.eq(1),
                waiting.rows.eq(self.jobs.payload.kernel_rows - 1),
                waiting.transfers.eq(length // self.most),
                waiting.tail.eq(length % self.most + 1),
                waiting.codebook.eq(self.jobs.payload.codebook),
            ]

        return m


class RowSplitter(wiring.Component):
    """Divides indices among kernel rows.

    A transfer has ``most`` indices, or what is left of its kernel row. Indices that are left of a
    chunk are kept for the next transfer. Each cycle takes a chunk, unless the indices kept suffice
    for the next transfer, and makes a transfer if there are indices enough then: so chunks of
    ``most`` indices make one transfer per cycle. A transfer leaves ``latency`` cycles after the
    chunk that completes it, or later. Jobs follow one another as in `RowCounter`.

    Parameters
    ----------
    symbol_bits : int
        Width of an index.
    most : int
        The most indices of a chunk, and of a transfer; a power of two.

    Members
    -------
    jobs : In(stream.Signature(JOB))
        Kernel rows to be delivered. No number in them is 0.
    i : In(stream.Signature(chunk_layout(symbol_bits, most)))
        Indices. ``ready`` follows ``o.ready`` combinationally.
    o : Out(stream.Signature(transfer_layout(symbol_bits, most)))
        Indices of one kernel row; those beyond ``count`` mean nothing.

    Attributes
    ----------
    latency : int
        Cycles from the chunk that completes a transfer to the transfer.
    """

    latency = 2

    def __init__(self, symbol_bits, most=GROUP):
        self.symbol_bits = symbol_bits
        self.most = most
        super().__init__({
            "jobs": In(stream.Signature(JOB)),
            "i": In(stream.Signature(chunk_layout(symbol_bits, most))),
            "o": Out(stream.Signature(transfer_layout(symbol_bits, most))),
        })

    def elaborate(self, platform):
        m = Module()

        m.submodules.counter = counter = RowCounter(self.most)
        wiring.connect(m, wiring.flipped(self.jobs), counter.jobs)

        m.submodules.buffer = buffer = SkidBuffer(counter.o.payload.shape())
        wiring.connect(m, counter.o, buffer.i)
        rows = buffer.o

        width, most = self.symbol_bits, self.most
        room = Signal()
        m.d.comb += room.eq(~self.o.valid | self.o.ready)

        # What each cycle does is decided by numbers alone, one cycle ahead of the indices.
        wanted = rows.payload.count
        held_count = Signal(range(most))
        enough = Signal()       # What is held suffices for the next transfer.
        missing = Signal(range(most + 1))      # If not, so many more do.
        takes = Signal()
        makes = Signal()
        m.d.comb += [
            enough.eq(held_count >= wanted),
            missing.eq(wanted - held_count),
            takes.eq(rows.valid & self.i.valid & ~enough),
            makes.eq(rows.valid & (enough | self.i.valid & (self.i.payload.count >= missing))),
            self.i.ready.eq(room & rows.valid & ~enough),
            rows.ready.eq(room & makes),
        ]

        indices = self.i.payload.indices.as_value()
        early = Signal(width * most)           # Those taken, in their place behind those held.
        late = Signal(width * (most - 1))      # Of those taken, what the transfer leaves.
        late_valid = Signal()
        made = Signal(transfer_layout(width, most))
        made_valid = Signal()
        with m.If(room):
            m.d.sync += [
                held_count.eq(held_count + Mux(takes, self.i.payload.count, 0)
                              - Mux(makes, wanted, 0)),
                early.eq(0),
                late_valid.eq(takes & makes),
                made.count.eq(wanted),
                made.codebook.eq(rows.payload.codebook),
                made.last.eq(rows.payload.last),
                made_valid.eq(makes),
            ]
            with m.If(takes):
                with m.Switch(held_count):
                    for count in range(most):
                        with m.Case(count):
                            m.d.sync += early.eq(indices << count * width)
            with m.Switch(missing):
                for count in range(1, most + 1):
                    with m.Case(count):
                        m.d.sync += late.eq(indices >> count * width)

        held = Signal(width * (most - 1))
        with m.If(room):
            m.d.sync += [
                self.o.valid.eq(made_valid),
                self.o.payload.eq(made),
                self.o.payload.indices.eq(held | early),
            ]
            with m.If(late_valid):
                m.d.sync += held.eq(late)
            with m.Elif(made_valid):
                with m.Switch(made.count):
                    for count in range(1, most):
                        with m.Case(count):
                            m.d.sync += held.eq(held >> count * width)
            with m.Else():
                m.d.sync += held.eq(held | early)

        return m
