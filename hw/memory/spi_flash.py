"""A flash behind four wires: wakes it, and reads it from an address on, bit by bit."""

from math import ceil

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.memory.flash import FLASH_PINS


__all__ = ["SpiFlash"]


WAKE = 0xab
IDENTIFY = 0x9f
READ = 0x03

#: Seconds from waking to the next instruction (W25Q128JV, tRES1), which a pause between any two is.
WAKE_TIME = 3e-6


class SpiFlash(wiring.Component):
    """Streams what a flash holds, a byte in 16 cycles; any flash that knows instruction 0x03.

    The flash's clock has half the frequency of domain ``sync`` and stands still while a byte waits.
    Data are sampled a whole period of it after the edge that makes the flash show them. The flash
    is woken first: an iCE40 that was configured from it leaves it asleep. Then it is asked for its
    name, of which it only matters that there is one.

    Parameters
    ----------
    clock_hz : int
        Frequency of domain ``sync``.
    offset : int
        Address of the first byte.

    Members
    -------
    enable : In(1)
        Bytes are wanted. Low for a cycle at least before they are wanted from the first one again.
    missing : Out(1)
        No flash answers; high until ``enable`` is low.
    o : Out(stream.Signature(8))
        Bytes. One that waits is given up when ``enable`` is low.
    pins : Out(FLASH_PINS)
        The flash; data go out at 0 and in at 1.
    """

    #: Cycles that a byte takes.
    byte_cycles = 16

    enable: In(1)
    missing: Out(1)
    o: Out(stream.Signature(8))
    pins: Out(FLASH_PINS)

    def __init__(self, *, clock_hz, offset=0):
        if not 1_000_000 <= clock_hz <= 100_000_000:
            raise ValueError(f"Clock of a plain flash must be 1 to 100 MHz, not "
                             f"{clock_hz / 1e6:g} MHz")
        if not 0 <= offset < 1 << 24:
            raise ValueError(f"Offset must be below {1 << 24}, not {offset}")
        self.clock_hz = clock_hz
        self.offset = offset
        super().__init__()

    def elaborate(self, platform):
        m = Module()

        # What is sent: an instruction, three bytes of a name come back; another, and its address.
        sent = [WAKE, IDENTIFY, 0, 0, 0, READ, *self.offset.to_bytes(3, "big")]
        named = 5
        following = Signal(range(len(sent) + 2))
        next_byte = Signal(8)
        with m.Switch(following):
            for number, byte in enumerate(sent):
                with m.Case(number):
                    m.d.comb += next_byte.eq(byte)
        reads = following == len(sent) + 1

        shift = Signal(8)
        pins = self.pins
        received = pins.i[1]
        m.d.comb += [
            pins.o.eq(Cat(shift[7], Const(0b110, 3))),
            pins.oe.eq(0b1101),
            self.o.payload.eq(shift),
        ]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)

        # Bits of a byte, and cycles of a pause.
        count = Signal(max(3, ceil(WAKE_TIME * self.clock_hz).bit_length()))
        byte_ends = count[:3].all()
        # Levels that were seen in the name.
        seen = Signal(2)
        m.d.comb += self.missing.eq((following > named) & ~seen.all())

        def begin_byte():
            m.d.sync += [shift.eq(next_byte), following.eq(following + ~reads), count.eq(0)]

        with m.FSM():
            with m.State("Down"):
                m.d.sync += [pins.cs_n.eq(1), pins.clk.eq(0), following.eq(0), count.eq(0),
                             self.o.valid.eq(0)]
                with m.If(self.enable):
                    m.next = "Pause"

            with m.State("Pause"):
                m.d.sync += [pins.cs_n.eq(1), count.eq(count + 1)]
                with m.If(count.all()):
                    begin_byte()
                    m.d.sync += pins.cs_n.eq(0)
                    m.next = "Byte"
                with m.If(~self.enable):
                    m.next = "Down"

            with m.State("Byte"):
                with m.If(~(self.o.valid & ~self.o.ready)):
                    m.d.sync += pins.clk.eq(~pins.clk)
                    with m.If(pins.clk):
                        m.d.sync += [shift.eq(Cat(received, shift[:7])), count.eq(count + 1)]
                        with m.If(following == 2):
                            m.d.sync += seen.eq(0)
                        with m.Elif(following <= named):
                            m.d.sync += seen.eq(seen | Cat(~received, received))
                        with m.If(byte_ends):
                            with m.If(reads):
                                m.d.sync += self.o.valid.eq(1)
                            with m.Else():
                                begin_byte()
                            with m.If((following == 1) | (following == named)):
                                m.d.sync += following.eq(following)
                                m.next = "Pause"
                with m.If(~self.enable | self.missing):
                    m.next = "End"

            # The clock is low again before the flash is left alone.
            with m.State("End"):
                m.d.sync += [pins.cs_n.eq(1), pins.clk.eq(0), self.o.valid.eq(0)]
                with m.If(~self.enable):
                    m.next = "Down"

        return m
