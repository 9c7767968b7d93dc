"""Which table each symbol is looked up in, from runs of symbols."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from .layouts import choice_layout, run_layout


__all__ = ["TableRuns"]


class TableRuns(wiring.Component):
    """Turns runs of symbols into choices for all lanes, a choice for each step of the decoder.

    A choice leaves one cycle or more after the run that completes it has come, and one each cycle
    as long as runs have as many symbols as there are lanes, or more; one that is shorter may take a
    cycle more. Behind the last run come choices that let the decoder check its states, the last one
    of which says so. Reset begins anew.

    Parameters
    ----------
    lanes : TansLanes
        The decoder.

    Members
    -------
    i : In(stream.Signature(run_layout(lanes)))
        Runs. ``ready`` follows ``o.ready`` combinationally.
    o : Out(stream.Signature(choice_layout(lanes)))
        Choices.
    """

    def __init__(self, lanes):
        self.lanes = lanes
        super().__init__({
            "i": In(stream.Signature(run_layout(lanes))),
            "o": Out(stream.Signature(choice_layout(lanes))),
        })

    def elaborate(self, platform):
        m = Module()

        lanes = self.lanes.lanes
        phase_bits = exact_log2(lanes)
        run, choice = self.i.payload, self.o.payload

        table = Signal.like(run.table)      # Of the last run.
        last = Signal()
        phase = Signal(phase_bits)          # Lanes that the last run leaves to the next one.
        steps = Signal(17 - phase_bits)     # Choices until it does.
        ended = Signal()
        checks = Signal(range(self.lanes.turns + 1))
        above = Signal(lanes)
        end = Signal(17)
        leaving = Signal()
        done = Signal()
        m.d.comb += [
            above.eq(Cat(phase <= lane for lane in range(lanes))),
            end.eq(run.count + phase),
            leaving.eq(self.o.valid & self.o.ready),
            done.eq(~self.o.valid | leaving & (steps == 1)),
            self.i.ready.eq(done & ~last & ~ended),
        ]

        with m.If(leaving):
            m.d.sync += [
                steps.eq(steps - 1),
                choice.tables.eq(Cat(table for _ in range(lanes))),
            ]
        with m.If(done):
            m.d.sync += self.o.valid.eq(0)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                table.eq(run.table),
                last.eq(run.last),
                Cat(phase, steps).eq(end),
                self.o.valid.eq(end >= lanes),
                choice.live.eq(1),
            ]
            for lane in range(lanes):
                with m.If(above[lane]):
                    m.d.sync += choice.tables[lane].eq(run.table)
        with m.If(done & last):
            m.d.sync += [
                ended.eq(1),
                last.eq(0),
                self.o.valid.eq(1),
                choice.ended.eq(above),
                choice.live.eq(phase != 0),
            ]
        with m.If(ended & leaving):
            m.d.sync += [
                checks.eq(checks + 1),
                choice.live.eq(0),
                choice.ended.eq(~0),
            ]
            with m.If(checks == self.lanes.turns - 1):
                m.d.sync += [
                    choice.ended.eq(~above),
                    choice.last.eq(1),
                ]
            with m.If(choice.last):
                m.d.sync += self.o.valid.eq(0)

        return m
