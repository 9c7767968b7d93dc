"""Which table each symbol is looked up in, from runs of symbols."""

from amaranth import *
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from .layouts import choice_layout, run_layout
from .stream_register import StreamRegister


__all__ = ["TableRuns"]


class Stage(enum.Enum, shape=2):
    BEGINS = 0
    RUNS = 1
    LAST_RUN = 2
    ENDS = 3


class TableRuns(wiring.Component):
    """Turns runs of symbols into choices for all lanes, a choice for each step of the decoder.

    Choices come before the first run, for the steps that begin the states; then one each cycle as
    long as runs have as many symbols as there are lanes, or more; one that is shorter may take a
    cycle more. Behind the last run choices let the decoder check its states, the last one of which
    says so and stays. It is known a cycle ahead whether there is one. Reset begins anew.

    Parameters
    ----------
    lanes : TansLanes
        The decoder.
    skipped : int
        Steps from a choice until the decoder has a row.

    Members
    -------
    i : In(stream.Signature(run_layout(lanes)))
        Runs. ``ready`` follows ``take`` combinationally.
    payload : Out(choice_layout(lanes))
        A choice, if ``valid``. Its tables are 0 after reset.
    valid : Out(1)
        There is one.
    next_valid : Out(1)
        There will be one in the next cycle.
    take : In(1)
        The choice is taken. Only if there is one, or behind the last one.
    """

    def __init__(self, lanes, *, skipped):
        self.lanes = lanes
        self.skipped = skipped
        super().__init__({
            "i": In(stream.Signature(run_layout(lanes))),
            "payload": Out(choice_layout(lanes)),
            "valid": Out(1),
            "next_valid": Out(1),
            "take": In(1),
        })

    def elaborate(self, platform):
        m = Module()

        lanes = self.lanes.lanes
        choice = self.payload

        # Choices that a run fills if it begins one, less 2.
        m.submodules.runs = runs = StreamRegister(data.StructLayout({
            "table": range(self.lanes.tables),
            "more": signed(17 - exact_log2(lanes)),
            "phase": exact_log2(lanes),
            "last": 1,
        }))
        run = runs.o.payload
        m.d.comb += [
            runs.i.valid.eq(self.i.valid),
            runs.i.payload.table.eq(self.i.payload.table),
            Cat(runs.i.payload.phase, runs.i.payload.more).eq(self.i.payload.count - 2 * lanes),
            runs.i.payload.last.eq(self.i.payload.last),
            self.i.ready.eq(runs.i.ready),
        ]

        stage = Signal(Stage)
        table = Signal.like(run.table)      # Of the last run.
        phase = Signal.like(run.phase)      # Lanes of the next choice that it has as well.
        more = Signal.like(run.more, init=self.lanes.turns - self.skipped - 2)
        # Besides, there is the choice that the run before has begun.
        begun = Signal()
        first = Signal()                    # None has been taken since symbols ended.

        final = more[-1] & (more[0] ^ begun)
        ends = stage == Stage.ENDS
        above = Cat(phase <= lane for lane in range(lanes))
        m.d.comb += [
            self.valid.eq(~more[-1] | more[0] | begun),
            choice.begins.eq(stage == Stage.BEGINS),
            choice.live.eq(Mux(ends, first & (phase != 0), stage != Stage.BEGINS)),
            choice.ended.eq(Mux(ends, Mux(first, above, ~(final.replicate(lanes) & above)), 0)),
            choice.last.eq(ends & more[-1]),
        ]

        spent = ~self.valid | final & self.take
        comes = Signal()
        checks = Signal()
        next_phase = Signal(len(phase) + 1)
        m.d.comb += [
            runs.o.ready.eq(spent & ((stage == Stage.BEGINS) | (stage == Stage.RUNS))),
            comes.eq(runs.o.valid & runs.o.ready),
            checks.eq(spent & (stage == Stage.LAST_RUN)),
            next_phase.eq(run.phase + phase),
            self.next_valid.eq(~spent | checks | comes & (
                ~run.more[-1] | run.more[0] | next_phase[-1])),
        ]

        with m.If(comes):
            m.d.sync += [
                table.eq(run.table),
                phase.eq(next_phase),
                more.eq(run.more),
                begun.eq(next_phase[-1]),
                stage.eq(Mux(run.last, Stage.LAST_RUN, Stage.RUNS)),
            ]
        with m.Elif(checks):
            m.d.sync += [
                more.eq(self.lanes.turns - 1),
                begun.eq(0),
                first.eq(1),
                stage.eq(Stage.ENDS),
            ]
        with m.Elif(self.take):
            m.d.sync += [
                begun.eq(0),
                first.eq(0),
            ]
            with m.If(self.valid & ~begun):
                m.d.sync += more.eq(more - 1)
        for lane in range(lanes):
            # Lanes below belong to earlier runs, to several of them if these are short.
            with m.If(comes & above[lane]):
                m.d.sync += choice.tables[lane].eq(run.table)
            with m.Elif(self.take):
                m.d.sync += choice.tables[lane].eq(table)

        return m
