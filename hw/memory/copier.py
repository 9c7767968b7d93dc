"""Copies what is read of one memory into another."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hw.memory.contract import region_layout
from hw.memory.sdram import write_layout


__all__ = ["Copier"]


class Copier(wiring.Component):
    """Hands on the words of regions, and writes each to the same address elsewhere.

    Adds no latency. The next word waits until the one before is written.

    Parameters
    ----------
    address_bits : int
        Of words.

    Members
    -------
    regions : In(stream.Signature(region_layout(address_bits)))
        What to read. One is asked for when all words of the one before have been taken.
    reads : Out(stream.Signature(region_layout(address_bits)))
        The same, for the memory that is read.
    i : In(stream.Signature(32))
        Its words.
    o : Out(stream.Signature(32))
        The words.
    writes : Out(stream.Signature(write_layout(address_bits)))
        The words for the other memory.
    """

    def __init__(self, address_bits):
        self.address_bits = address_bits
        regions = stream.Signature(region_layout(address_bits))
        super().__init__({
            "regions": In(regions),
            "reads": Out(regions),
            "i": In(stream.Signature(32)),
            "o": Out(stream.Signature(32)),
            "writes": Out(stream.Signature(write_layout(address_bits))),
        })

    def elaborate(self, platform):
        m = Module()

        connect(m, flipped(self.regions), flipped(self.reads))
        address = Signal(self.address_bits)
        m.d.comb += [
            self.o.valid.eq(self.i.valid & ~self.writes.valid),
            self.o.payload.eq(self.i.payload),
            self.i.ready.eq(self.o.ready & ~self.writes.valid),
        ]
        with m.If(self.writes.ready):
            m.d.sync += self.writes.valid.eq(0)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                self.writes.valid.eq(1),
                self.writes.payload.address.eq(address),
                self.writes.payload.data.eq(self.i.payload),
                address.eq(address + 1),
            ]
        with m.If(self.regions.valid & self.regions.ready):
            m.d.sync += address.eq(self.regions.payload.address)

        return m
