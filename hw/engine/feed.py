"""Feed: the coded data, word by word, for the decoder."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.engine.fetcher import REGION


__all__ = ["READ_AHEAD", "Feed"]


#: Zeros behind the coded data that a decoder may take; if it takes more, the data are broken. An
#: automaton holds some 60 groups, and zeros are its shortest codeword, which has at most 5 bits.
READ_AHEAD = 64


class Feed(wiring.Component):
    """Asks for the coded data once, and hands them on with zeros behind them.

    Adds no latency. A decoder that needs at most ``READ_AHEAD`` zeros gets along with the data;
    after that, nothing comes any more and ``exceeded`` rises. Reset puts it at the beginning.

    Members
    -------
    region : In(REGION)
        Where the coded data are.
    regions : Out(stream.Signature(REGION))
        The request for them.
    i : In(stream.Signature(32))
        The words of the region.
    o : Out(stream.Signature(32))
        The words and zeros.
    coded : Out(1)
        A word of coded data, not a zero behind them, is handed on in this cycle.
    exceeded : Out(1)
        The decoder takes more than there is.
    """

    region: In(REGION)
    regions: Out(stream.Signature(REGION))
    i: In(stream.Signature(32))
    o: Out(stream.Signature(32))
    coded: Out(1)
    exceeded: Out(1)

    def elaborate(self, platform):
        m = Module()

        asked = Signal()
        left = Signal(16)
        zeros_left = Signal(range(READ_AHEAD + 1), init=READ_AHEAD)
        ended = asked & (left == 0)

        m.d.comb += [
            self.regions.valid.eq(~asked),
            self.regions.payload.eq(self.region),
            self.exceeded.eq(zeros_left == 0),
            self.o.valid.eq(Mux(ended, ~self.exceeded, asked & self.i.valid)),
            self.o.payload.eq(Mux(ended, 0, self.i.payload)),
            self.i.ready.eq(asked & ~ended & self.o.ready),
            self.coded.eq(self.i.valid & self.i.ready),
        ]
        with m.If(self.regions.valid & self.regions.ready):
            m.d.sync += [asked.eq(1), left.eq(self.region.words)]
        with m.If(self.coded):
            m.d.sync += left.eq(left - 1)
        with m.If(ended & self.o.valid & self.o.ready):
            m.d.sync += zeros_left.eq(zeros_left - 1)

        return m
