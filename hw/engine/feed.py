"""Feed: the coded data, word by word, for the decoder."""

from amaranth import *
from amaranth.lib import crc, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.memory.contract import region_layout


__all__ = ["READ_AHEAD", "Feed"]


#: Zeros behind the coded data that a decoder may take; if it takes more, the data are broken. An
#: automaton holds some 60 groups, and zeros are its shortest codeword, which has at most 5 bits.
READ_AHEAD = 64


class Feed(wiring.Component):
    """Asks for the coded data once, and hands them on with zeros behind them.

    Adds no latency. A decoder that needs at most ``READ_AHEAD`` zeros gets along with the data;
    after that, nothing comes any more and ``exceeded`` rises. Reset puts it at the beginning.

    Parameters
    ----------
    address_bits : int
        Of the memory.
    checks : bool
        Whether the CRC behind the coded data is compared with theirs: where nobody did before.

    Members
    -------
    region : In(region_layout(address_bits))
        Where the coded data are.
    regions : Out(stream.Signature(region_layout(address_bits)))
        The request for them.
    finish : In(1)
        The decoder takes no more; words that are left are read for the CRC alone.
    checked : Out(1)
        All words are read and compared; high if it doesn't check. ``damaged`` is valid.
    damaged : Out(1)
        Their CRC is wrong.
    i : In(stream.Signature(32))
        The words of the region.
    o : Out(stream.Signature(32))
        The words and zeros.
    coded : Out(1)
        A word of coded data, not a zero behind them, is handed on in this cycle.
    exceeded : Out(1)
        The decoder takes more than there is.
    """

    def __init__(self, address_bits=16, *, checks=False):
        self.address_bits = address_bits
        self.checks = checks
        layout = region_layout(address_bits)
        super().__init__({
            "region": In(layout),
            "regions": Out(stream.Signature(layout)),
            "i": In(stream.Signature(32)),
            "o": Out(stream.Signature(32)),
            "finish": In(1),
            "checked": Out(1),
            "damaged": Out(1),
            "coded": Out(1),
            "exceeded": Out(1),
        })

    def elaborate(self, platform):
        m = Module()

        asked = Signal()
        left = Signal(self.address_bits)
        zeros_left = Signal(range(READ_AHEAD + 1), init=READ_AHEAD)
        ended = asked & (left == 0)

        m.d.comb += [
            self.regions.valid.eq(~asked),
            self.regions.payload.address.eq(self.region.address),
            self.regions.payload.words.eq(self.region.words + self.checks),
            self.exceeded.eq(zeros_left == 0),
            self.o.valid.eq(~self.finish & Mux(ended, ~self.exceeded, asked & self.i.valid)),
            self.o.payload.eq(Mux(ended, 0, self.i.payload)),
            self.i.ready.eq(asked & ~ended & (self.o.ready | self.finish)),
            self.coded.eq(self.i.valid & asked & ~ended & (self.o.ready | self.finish)),
        ]
        with m.If(self.regions.valid & self.regions.ready):
            m.d.sync += [asked.eq(1), left.eq(self.region.words)]
        with m.If(self.coded):
            m.d.sync += left.eq(left - 1)
        with m.If(ended & self.o.valid & self.o.ready):
            m.d.sync += zeros_left.eq(zeros_left - 1)

        if not self.checks:
            m.d.comb += self.checked.eq(1)
            return m

        m.submodules.crc = checksum = crc.catalog.CRC32_ISO_HDLC(data_width=32).create()
        stored = Signal(32)
        has_stored = Signal()
        m.d.comb += [
            checksum.valid.eq(self.coded),
            checksum.data.eq(self.i.payload),
            self.checked.eq(has_stored),
            self.damaged.eq(stored != checksum.crc),
        ]
        with m.If(ended & ~has_stored):
            m.d.comb += self.i.ready.eq(1)
            m.d.sync += [stored.eq(self.i.payload), has_stored.eq(self.i.valid)]

        return m
