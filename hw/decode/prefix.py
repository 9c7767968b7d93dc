"""Decoder of prefix codes with zero runs."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .automaton import Automaton
from .expander import RunExpander
from .layouts import CODE_WORD, chunk_layout
from .table_builder import TableBuilder


__all__ = ["PrefixDecoder"]


class PrefixDecoder(wiring.Component):
    """Decodes coded data of a prefix code, whose table it builds itself.

    Throughput and stall are those of `Automaton` and `RunExpander`.

    Parameters
    ----------
    shape : AutomatonShape
        The automaton.

    Members
    -------
    code : In(stream.Signature(CODE_WORD))
        Words of section CODE; to be written while ``run`` is low.
    busy, error : Out(1)
        As in `TableBuilder`.
    direct : Out(1)
        Low: symbols are indices.
    run : In(1)
        Low holds it at the beginning of the coded data.
    i : In(stream.Signature(32))
        Coded data.
    o : Out(stream.Signature(chunk_layout(shape.symbol_bits)))
        Indices.

    Attributes
    ----------
    symbol_bits, index_bits : int
        Width of symbols, which are indices.
    latency : int
        Cycles from the transfer of a word to the first indices of a group that ends in the word's
        first pieces, if words follow without a gap and nothing is waiting.
    """

    latency = Automaton.latency + RunExpander.latency

    def __init__(self, shape):
        self.shape = shape
        self.symbol_bits = self.index_bits = shape.symbol_bits
        super().__init__({
            "code": In(stream.Signature(CODE_WORD)),
            "busy": Out(1),
            "error": Out(1),
            "direct": Out(1),
            "run": In(1),
            "i": In(stream.Signature(32)),
            "o": Out(stream.Signature(chunk_layout(shape.symbol_bits))),
        })

    def elaborate(self, platform):
        m = Module()

        m.submodules.builder = builder = TableBuilder(self.shape)
        wiring.connect(m, wiring.flipped(self.code), builder.i)
        m.d.comb += [
            self.busy.eq(builder.busy),
            self.error.eq(builder.error),
        ]

        restart = ResetInserter(~self.run)

        automaton = Automaton(self.shape)
        m.submodules.automaton = restart(automaton)
        wiring.connect(m, wiring.flipped(self.i), automaton.i)
        wiring.connect(m, builder.o, automaton.table)

        expander = RunExpander(self.symbol_bits)
        m.submodules.expander = restart(expander)
        wiring.connect(m, automaton.o, expander.i)
        wiring.connect(m, expander.o, wiring.flipped(self.o))
        m.d.comb += expander.runs.eq(builder.runs)

        return m
