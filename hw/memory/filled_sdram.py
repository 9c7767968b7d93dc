"""Weight memory in SDRAM that is filled from a flash, or by the host."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hw.memory.contract import source_members
from hw.memory.copier import Copier
from hw.memory.flash import FLASH_PINS, FlashMemory
from hw.memory.sdram import SDRAM_PINS, SdramMemory, write_layout
from sw.format.status import Error


__all__ = ["FilledSdram"]


class FilledSdram(wiring.Component):
    """Streams regions of an SDRAM; at a load, regions of a flash, each word of which it keeps.

    Once the host has written a word, loads take what is in the SDRAM. A flash's word takes 16
    cycles, and so does its way into the SDRAM, but for refreshes.

    Parameters
    ----------
    address_bits : int
        Of words.
    clock_hz : int
        Frequency of domain ``sync``, up to 100 MHz.
    offset : int
        Address in the flash, in bytes, of word 0.

    Members
    -------
    regions, o, stop
        As in `source_members`.
    writes : In(stream.Signature(write_layout(address_bits)))
        The host's words, while no region is fetched.
    identify : In(1)
        As that of `FlashMemory`: a load begins.
    loading : In(1)
        Regions are those of a load.
    fault : Out(Error)
        As that of `FlashMemory`, if its words are wanted.
    busy : Out(1)
        A word is still to be kept: no region may be fetched but a load's.
    flash : Out(FLASH_PINS), sdram : Out(SDRAM_PINS)
        The chips.
    """

    def __init__(self, *, address_bits, clock_hz, offset=0):
        self.address_bits = address_bits
        self.clock_hz = clock_hz
        self.offset = offset
        super().__init__(source_members(address_bits) | {
            "writes": In(stream.Signature(write_layout(address_bits))),
            "identify": In(1),
            "loading": In(1),
            "fault": Out(Error),
            "busy": Out(1),
            "flash": Out(FLASH_PINS),
            "sdram": Out(SDRAM_PINS),
        })

    def elaborate(self, platform):
        m = Module()

        m.submodules.flash = flash = FlashMemory(
            address_bits=self.address_bits, clock_hz=self.clock_hz, offset=self.offset)
        m.submodules.sdram = sdram = SdramMemory(
            address_bits=self.address_bits, clock_hz=self.clock_hz)
        m.submodules.copier = copier = Copier(self.address_bits)
        connect(m, flash.pins, flipped(self.flash))
        connect(m, sdram.pins, flipped(self.sdram))
        connect(m, copier.reads, flash.regions)
        connect(m, flash.o, copier.i)
        m.d.comb += [
            flash.stop.eq(self.stop),
            flash.identify.eq(self.identify),
            sdram.stop.eq(self.stop),
            self.busy.eq(copier.writes.valid),
        ]

        written = Signal()
        with m.If(self.writes.valid & self.writes.ready):
            m.d.sync += written.eq(1)
        with m.If(self.loading & ~written):
            m.d.comb += self.fault.eq(flash.fault)
            connect(m, flipped(self.regions), copier.regions)
            connect(m, copier.o, flipped(self.o))
        with m.Else():
            connect(m, flipped(self.regions), sdram.regions)
            connect(m, sdram.o, flipped(self.o))

        with m.If(copier.writes.valid):
            connect(m, copier.writes, sdram.writes)
        with m.Else():
            connect(m, flipped(self.writes), sdram.writes)

        return m
