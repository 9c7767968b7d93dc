"""Fills a memory with the image in a flash, and checks it on the way."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hw.memory.flash import FLASH_PINS
from hw.memory.image_check import ImageCheck
from hw.memory.spi_flash import SpiFlash
from hw.memory.spram import BYTES, HOST
from sw.format.status import Error


__all__ = ["FlashFill"]


class FlashFill(wiring.Component):
    """Copies the image byte by byte to the beginning of the memory, in 16 cycles each.

    It ends with the image's last byte, or where something is wrong with it; what is in the memory
    counts only if nothing is. A memory that isn't ready makes the flash wait.

    Parameters
    ----------
    target : Target
        The accelerator that is to run the image.
    clock_hz : int
        Frequency of domain ``sync``.
    offset : int
        Address of the image in the flash.

    Members
    -------
    enable : In(1)
        Fill. Low for two cycles at least before it is filled anew.
    done : Out(1)
        The memory is filled, or can't be; high until ``enable`` is low. ``error`` is valid.
    error : Out(Error)
        NO_FLASH, or as that of `ImageCheck`.
    o : Out(stream.Signature(HOST))
        What to write.
    pins : Out(FLASH_PINS)
        The flash.
    """

    enable: In(1)
    done: Out(1)
    error: Out(Error)
    o: Out(stream.Signature(HOST))
    pins: Out(FLASH_PINS)

    def __init__(self, target, *, clock_hz, offset=0):
        self.target = target
        self.clock_hz = clock_hz
        self.offset = offset
        super().__init__()

    def elaborate(self, platform):
        m = Module()

        m.submodules.flash = flash = SpiFlash(clock_hz=self.clock_hz, offset=self.offset)
        m.submodules.check = check = ImageCheck(self.target, most_bytes=BYTES)
        connect(m, flash.pins, flipped(self.pins))
        m.d.comb += [
            flash.enable.eq(self.enable & ~check.done),
            check.clear.eq(~self.enable),
            # Each byte goes both ways at once.
            self.o.valid.eq(flash.o.valid & check.i.ready),
            check.i.valid.eq(flash.o.valid & self.o.ready),
            flash.o.ready.eq(check.i.ready & self.o.ready),
            check.i.payload.eq(flash.o.payload),
            self.o.payload.write.eq(1),
            self.o.payload.address.eq(check.address),
            self.o.payload.data.eq(flash.o.payload),
            self.done.eq(self.enable & (check.done | flash.missing)),
            self.error.eq(Mux(flash.missing, Error.NO_FLASH, check.error)),
        ]

        return m
